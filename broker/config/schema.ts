import { durationPattern } from '../../shared/duration.ts';
import { signatureAlgorithms } from '../../shared/jwt.ts';
// As a namespace: what is not used then stays out of the bundle, 6 MiB of a running broker.
import * as z from 'zod';
import { platforms } from './platforms.ts';

const label = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const labelPattern = new RegExp(`^${label}$`);

export function isNamespaceName(text: string): boolean {
  return labelPattern.test(text);
}

// A grant's name is an OAuth scope token on the wire, a label value and part of object names in the cluster.
const grantPattern = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/;
const subdomainPattern = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);
// What the API server calls a path segment name, which is all it demands of a Role's name.
const roleName = /^(?!\.{1,2}$)[^/%\s\p{Cc}]{1,253}$/u;

/** Bindings of one grant. */
export const mostAccess = 1000;

const duration = z.string().regex(durationPattern, 'write a number with its unit, like 15m, 90s or 1h30m');
const text = z.string().min(1, 'is empty').max(1024, 'is longer than 1024 characters');
const file = text.describe('Path of a file; it is read again when it changes.');
const namespace = z
  .string()
  .regex(labelPattern, 'is no namespace name: lower-case letters, digits and "-", at most 63, no "-" at either end');
const objectName = z
  .string()
  .regex(subdomainPattern, 'is no Kubernetes name: lower-case letters, digits, "-" and ".", at most 253');
const accountName = z
  .string()
  .regex(
    new RegExp(`^${label}/(?=.{1,253}$)${label}(\\.${label})*$`),
    'is no service account: write NAMESPACE/NAME, like cert-manager/cert-manager',
  );
const entryName = z
  .string()
  .regex(labelPattern, 'is no name here: lower-case letters, digits and "-", at most 63, no "-" at either end');
const grantName = z
  .string()
  .regex(
    grantPattern,
    'is no grant name: lower-case letters, digits, "-" and ".", at most 63, a letter or digit at both ends',
  );
const claimName = text.describe('Name of a claim at the top level of the token.');
// RFC 6749 section 3.3.
const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'is no scope (RFC 6749 section 3.3)');
const claimValue = z.union([z.string(), z.number(), z.boolean()]);

/** What `where` holds is checked by the policy compiler, which knows better words for what is wrong. */
export const whereSchema = z
  .record(z.string(), z.unknown())
  .describe('Claims that the token must have. A plain value matches exactly and by type.');

interface Notes {
  /** What holds where nothing is said; `complete.ts` fills it in, and a test compares. */
  readonly default?: unknown;
  /** For the reference alone: the description stands in messages and editors too. */
  readonly $comment?: string;
}

/** A setting that may be left out. */
function optional<T extends z.ZodType>(schema: T, description: string, notes: Notes = {}): z.ZodOptional<T> {
  return schema.optional().meta({ description, ...notes });
}

const issuer = z.strictObject({
  url: optional(text, 'The issuer, exactly as it stands in the `iss` claim of its tokens. https.', {
    $comment: 'It may be left out with `cluster`.',
  }),
  cluster: optional(
    entryName,
    'The API server of this entry in `clusters` is the issuer, and gives its keys to the broker.',
    {
      $comment:
        'They come through the connection that the broker has: a stock API server tells them to nobody else, and its URL need not resolve. The ClusterRole `system:service-account-issuer-discovery`, which every service account has, allows it. Clusters that have one URL, as those of kubeadm do, are told apart by their keys; tokens of a key that two of them share are refused, and `/readyz` names both. Until each such cluster has answered once, no token of any of them is taken; `url` beside it says what the API server must call itself, and waits for no other.',
    },
  ),
  platform: optional(
    z.enum(platforms),
    'Whose tokens they are, for id claims and warnings. Guessed by the address unless given.',
    { $comment: '`other`: none of these; nothing is warned of.' },
  ),
  allowLoopbackHttp: optional(z.literal(true), 'Lets `url` be http on a loopback address. For trying out.'),
  audience: text.describe('The one audience that tokens for this broker are made for. Nothing else may accept it.'),
  singleUse: optional(z.boolean(), 'Whether a token may be exchanged only once.', { default: false }),
  tenantClaim: optional(claimName, 'The claim that rate limits are counted by, after verification.', {
    $comment: 'Known for platforms.',
  }),
  certificateAuthority: optional(file, 'PEM file; then nothing else vouches for the issuer.'),
  algorithms: optional(z.array(z.enum(signatureAlgorithms)).min(1), 'Signature algorithms that are accepted.', {
    $comment: 'All of these unless given.',
  }),
  maxAge: optional(duration, 'How long after `iat` a token is accepted at most.'),
  leeway: optional(duration, 'What clocks may differ by, 60s at most.', { default: '30s' }),
  jwks: optional(file, 'JWKS file, for an issuer that cannot be reached.'),
  idClaims: optional(z.array(claimName).min(1), 'Claims that say who somebody is and never pass to somebody else.', {
    $comment: 'Known for platforms; `sub` for all others.',
  }),
  signIn: optional(
    z.strictObject({
      clientId: optional(text, 'The client that is registered for Kleis there.', {
        $comment: 'The audience if not given.',
      }),
      scopes: optional(z.array(scope).min(1).max(64), 'Scopes to ask for beside `openid`.'),
      certificateAuthority: optional(file, 'PEM file that vouches for the provider.', {
        $comment: 'That of the issuer if not given.',
      }),
    }),
    'How people sign in there with Kleis: `{}` if there is nothing to say.',
    { $comment: 'It stands in `/.well-known/kleis`, for everybody to read.' },
  ),
});

const cluster = z.strictObject({
  server: optional(text, 'https URL of the API server.', {
    $comment:
      'Not with a kubeconfig, which says it. It stands in what callers are told, so give one that they can reach.',
  }),
  certificateAuthority: optional(file, 'PEM file that vouches for the API server.'),
  tlsServerName: optional(text, 'The name that the certificate of the API server is for, if not that of `server`.'),
  credentials: z
    .union([
      z.strictObject({ inCluster: z.literal(true).describe("As the pod's own account.") }),
      z.strictObject({
        kubeconfig: file.describe('Path of a kubeconfig; it is read again when it changes.'),
        context: optional(text, 'The context of that kubeconfig, if not its current one.'),
      }),
      z.strictObject({
        tokenFile: file.describe('Path of a file with a token; it is read again when it changes.'),
        renew: optional(z.boolean(), 'Whether the broker replaces that file by a new token for its own account.', {
          $comment:
            'Once half of its time is over. The file must be writable, and `kleis-broker rbac` grants the right.',
        }),
      }),
    ])
    .describe('How the broker signs in to the cluster.'),
  audiences: optional(z.array(text).min(1), 'What the API server itself accepts; asked of it if not given.'),
  identityNamespace: optional(namespace, 'Where the accounts live that are minted for.', {
    default: 'kleis-identities',
  }),
  ephemeralNamespace: optional(namespace, 'Where accounts for one lease live.', { default: 'kleis-ephemeral' }),
  systemNamespace: optional(namespace, "Where the broker's own account lives, alone.", { default: 'kleis-system' }),
  serviceAccount: optional(objectName, "The broker's own account.", { default: 'kleis-broker' }),
});

const grant = z.strictObject({
  issuer: entryName.describe('Name of an entry in `issuers`.'),
  where: whereSchema.optional(),
  condition: optional(z.string(), 'CEL over `claims`, for what `where` cannot say.'),
  cluster: entryName.describe('Name of an entry in `clusters`.'),
  serviceAccount: optional(
    z.union([
      objectName,
      z.strictObject({
        namespace: namespace.describe('Where an account elsewhere is.'),
        name: objectName.describe('Its name there.'),
      }),
    ]),
    'An account in the identity namespace by its name, or one elsewhere by namespace and name.',
  ),
  ephemeral: optional(z.literal(true), 'Make an account for each lease, bound to what `access` says.'),
  access: optional(
    z
      .array(
        z.strictObject({
          namespace: optional(namespace, 'The one namespace that it is about.'),
          namespaces: optional(
            z.array(namespace).min(1).max(mostAccess, `names more than ${mostAccess} namespaces`),
            'Several namespaces, each with the same.',
          ),
          scope: optional(z.literal('cluster'), 'The ClusterRole holds in the whole cluster.', {
            $comment: 'Not for ephemeral accounts.',
          }),
          role: optional(
            z.string().regex(roleName, 'is no name of a Role'),
            'A Role of that namespace, or of each of them. It is yours to write.',
          ),
          clusterRole: optional(
            z.string().regex(roleName, 'is no name of a ClusterRole'),
            "A ClusterRole instead: yours to write, or one of Kubernetes' own like `view`.",
          ),
        }),
      )
      .min(1)
      .max(mostAccess, `has more than ${mostAccess} entries`),
    'Roles and ClusterRoles that `kleis-broker rbac` binds to the account and `check` compares with.',
  ),
  ttl: optional(
    z.strictObject({
      default: optional(duration, 'What callers get that do not ask, 10m at least.', { default: '15m' }),
      max: optional(duration, 'What callers get at most, 24h at most.', { default: '1h' }),
    }),
    'How long a token lives.',
  ),
  revocable: optional(z.boolean(), 'Whether one token can be taken back by itself. Wherever possible unless said.'),
  killSwitch: optional(objectName, 'For an account elsewhere: the Secret that all tokens are bound to.'),
  explain: optional(z.boolean(), 'Show expected values to callers that are denied.', { default: false }),
});

const count = z.int().min(1).max(10_000_000);

const objectNames = z.array(objectName).min(1).max(100, 'names more than 100');
const writer = z.strictObject({
  serviceAccount: accountName.meta({
    description: 'Its account, NAMESPACE/NAME, which must come with a token of its own.',
    $comment:
      'Accounts of `kube-system` may write anyway, and so may whoever may change admission policies: they need no entry.',
  }),
  cluster: optional(entryName, 'Name of an entry in `clusters`: where it writes.', {
    $comment: 'That with `inCluster` unless given, where the broker itself runs.',
  }),
  secrets: optional(objectNames, 'Names of the Secrets that it may make, change and delete in `systemNamespace`.'),
  configMaps: optional(objectNames, 'The same of ConfigMaps.', {
    $comment: "Whoever writes the broker's configuration decides who gets what: name that one only if this is meant.",
  }),
});

const web = z.strictObject({
  issuer: entryName.meta({
    description: 'Name of an entry in `issuers`: people sign in to the web page there.',
    $comment: 'Grants and `admins` judge them as they judge its tokens. Its `signIn.scopes` are asked for.',
  }),
  clientId: text.meta({
    description: 'The client that is registered for the web page there.',
    $comment: 'With the redirect URI `publicUrl` + `/ui/callback`, and `/ui/signed-out` for after the sign-out.',
  }),
  clientSecretFile: optional(file, 'File with the secret of that client, one line.', {
    $comment: 'Without it the client is a public one, by PKCE alone.',
  }),
  cookieKeyFile: file.meta({
    description: 'File with the keys that seal sessions: 32 bytes in base64 a line. The first seals, all open.',
    $comment: 'The same for all replicas. `openssl rand -base64 32` makes one.',
  }),
  contact: optional(
    z.string().regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,200}$/u, 'is no line of at most 200 characters'),
    'Whom people ask that no grant is for: a line of text, or an https or mailto URL.',
  ),
  session: optional(duration, 'How long somebody stays signed in to the page, 12h at most.', { default: '1h' }),
});

export const documentSchema = z.strictObject({
  apiVersion: z.literal('kleis.dev/v1').describe('Which form of configuration it is.'),
  kind: z.literal('BrokerConfig').describe('What the document is.'),
  publicUrl: text.meta({
    description: 'The URL at which callers reach the broker.',
    $comment: 'Usually the audience of the issuers, too.',
  }),
  listen: z
    .strictObject({
      address: z.string().describe('host:port, [ipv6]:port, or :port for every address.'),
      tls: optional(
        z.strictObject({
          certFile: file.meta({
            description: 'PEM file with the certificate and those between it and its authority.',
            $comment:
              'Looked at every 10 s and on SIGHUP; a pair that cannot be used leaves the old one, is logged, and shows in `/readyz` and the metrics.',
          }),
          keyFile: file.describe('PEM file with its private key.'),
        }),
        'TLS 1.2 and later. Without it only loopback and `trustedProxies` are served.',
      ),
    })
    .describe('Where to listen, like { address: ":8443", tls: { certFile: …, keyFile: … } }.'),
  state: z
    .union([
      z.strictObject({
        cluster: entryName.describe('Name of an entry in `clusters`: leases and anchors are there.'),
        namespace: optional(namespace, 'The namespace for them.', { default: 'kleis-state' }),
      }),
      z.strictObject({
        memory: z.literal(true).meta({
          description: 'For trying out.',
          $comment: 'A restart forgets which tokens were used, and two replicas do not know of each other.',
        }),
      }),
    ])
    .describe('Where leases are kept: a cluster and a namespace of it (kleis-state), or memory for trying out.'),
  audit: optional(
    z.strictObject({
      file: text.meta({
        description: 'Path of the file for audit events, JSON lines; "-" is standard output.',
        default: '-',
        $comment: 'A named pipe needs its reader first. Logs go to standard error.',
      }),
    }),
    'Where audit events go.',
  ),
  admins: optional(
    z.array(
      z.strictObject({
        issuer: entryName.describe('Name of an entry in `issuers`.'),
        claim: claimName,
        value: claimValue.describe('The claim itself, or one element of it where it is a list.'),
      }),
    ),
    'Whose tokens may list and end leases and see expected values.',
  ),
  issuers: z.record(entryName, issuer).describe('Who vouches for the callers, by a name of yours.'),
  clusters: z.record(entryName, cluster).describe('Where tokens are minted, by a name of yours.'),
  grants: z
    .record(grantName, grant)
    .describe('Without it nothing would be allowed: say `grants: {}` if that is meant.'),
  admissionPolicy: optional(
    z.enum(['required', 'optional']),
    'Whether nothing is minted where the policy of `kleis-broker rbac` is not in force.',
    { default: 'required', $comment: '`optional` takes that back, and refuses ephemeral grants.' },
  ),
  namespaces: optional(
    z.strictObject({
      writers: optional(
        z.array(writer).max(50, 'has more than 50 entries'),
        "Who else may write where the broker's own account is, like a controller that renews its certificate.",
        { $comment: 'The policy of `kleis-broker rbac` refuses all others. See rbac.md, "Who else may write there".' },
      ),
    }),
    "Kleis's own namespaces.",
  ),
  trustedProxies: optional(
    z.array(text),
    'Proxies whose X-Forwarded-For counts: addresses, networks (10.0.0.0/8), or loopback.',
    { $comment: 'The right-most address that is none of theirs is the caller, with or without a port.' },
  ),
  limits: optional(
    z.strictObject({
      perAddress: optional(count, 'Requests a minute from one address (IPv6: a /56), before anything is verified.', {
        default: 600,
      }),
      perIssuer: optional(count, 'Exchanges a minute of one issuer, after verification.', {
        default: 6000,
        $comment:
          "Strangers, whom no grant that they name is for, share one allowance of it for each issuer and use up nobody else's; so do bearer tokens of who is no admin.",
      }),
      perTenant: optional(count, "Exchanges a minute of one value of the issuer's `tenantClaim`, after verification.", {
        default: 600,
        $comment: 'Never by a claim that nobody verified.',
      }),
      leases: optional(
        z.strictObject({
          perGrant: optional(count, 'Live leases of one grant.', {
            default: 5000,
            $comment: 'Beyond it an exchange is refused until one ends.',
          }),
          perSubject: optional(count, 'Live leases of one subject (`sub` of one issuer).', { default: 500 }),
        }),
        'How many tokens may live that have a lease.',
      ),
    }),
    'How often, and how much. Rates hold for one replica.',
  ),
  web: optional(web, 'The web page for people, at `publicUrl`. Without it there is none.'),
  metrics: optional(
    z.strictObject({
      listen: z.string().meta({
        description: 'host:port, [ipv6]:port, or :port for every address.',
        $comment:
          "`/metrics` is there, and `/readyz` with all details. Nobody but you should reach it: grants' names are in it.",
      }),
    }),
    'An address of its own for /metrics, and for /readyz with all details.',
  ),
  reload: optional(
    z.strictObject({
      maxStale: optional(duration, 'How long the last good configuration holds when the files cannot be used.', {
        default: '24h',
        $comment:
          'Then everything is denied. Where there is no file, or only empty ones, everything is denied at once.',
      }),
    }),
    'What happens when the files change.',
  ),
});

export type BrokerDocument = z.infer<typeof documentSchema>;
export type IssuerDocument = BrokerDocument['issuers'][string];
export type GrantDocument = BrokerDocument['grants'][string];
export type WriterDocument = NonNullable<NonNullable<BrokerDocument['namespaces']>['writers']>[number];
export type AccessDocument = NonNullable<GrantDocument['access']>[number];

/** Entries of several documents come together by name; everything else may be said once. */
export const mergedSections = ['issuers', 'clusters', 'grants'] as const;

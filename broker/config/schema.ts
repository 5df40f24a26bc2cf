import { durationPattern } from '../../shared/duration.ts';
import { signatureAlgorithms } from '../../shared/jwt.ts';
// As a namespace: what is not used then stays out of the bundle, 6 MiB of a running broker.
import * as z from 'zod';
import type { AdminRule } from '../policy/admins.ts';
import type { Grant } from '../policy/grant.ts';
import { type Platform, platforms } from './platforms.ts';

export interface IssuerConfig {
  readonly name: string;
  /** Exactly as the issuer writes it in `iss`. Undefined only with `cluster`: then it is what that API server says. */
  readonly url: string | undefined;
  /** Name of the cluster whose API server is the issuer: its keys come through the connection that the broker has. */
  readonly cluster?: string;
  /** As configured, else as guessed; undefined if nobody knows. */
  readonly platform: Platform | undefined;
  readonly audience: string;
  readonly singleUse: boolean;
  readonly tenantClaim?: string;
  readonly certificateAuthority?: string;
  readonly algorithms?: readonly string[];
  /** Milliseconds since `iat`. */
  readonly maxAge?: number;
  /** Milliseconds. */
  readonly leeway: number;
  readonly jwks?: string;
  /** Claims that say who somebody is and are never given to somebody else. */
  readonly idClaims: readonly string[];
}

export type ClusterCredentials =
  | { readonly inCluster: true }
  | { readonly kubeconfig: string; readonly context?: string }
  | { readonly tokenFile: string };

export interface ClusterConfig {
  readonly name: string;
  readonly server?: string;
  readonly certificateAuthority?: string;
  readonly tlsServerName?: string;
  readonly credentials: ClusterCredentials;
  readonly audiences?: readonly string[];
  readonly identityNamespace: string;
  readonly ephemeralNamespace: string;
  readonly systemNamespace: string;
  readonly serviceAccount: string;
}

export interface BrokerConfig {
  /** Without a trailing slash. */
  readonly publicUrl: string;
  readonly listen: { readonly address: string; readonly tls?: { readonly certFile: string; readonly keyFile: string } };
  readonly state: { readonly cluster: string; readonly namespace: string } | { readonly memory: true };
  readonly audit: { readonly file: string };
  readonly admins: readonly AdminRule[];
  readonly issuers: Readonly<Record<string, IssuerConfig>>;
  readonly clusters: Readonly<Record<string, ClusterConfig>>;
  readonly grants: Readonly<Record<string, Grant>>;
  readonly admissionPolicy: 'required' | 'optional';
  readonly trustedProxies: readonly string[];
  readonly limits: {
    /** Requests a minute. */
    readonly perAddress: number;
    readonly perIssuer: number;
    readonly perTenant: number;
    /** Live leases. `perSubject`: of one `sub` of one issuer. */
    readonly leases: { readonly perGrant: number; readonly perSubject: number };
  };
  readonly metrics?: { readonly listen: string };
  /** Milliseconds. */
  readonly reload: { readonly maxStale: number };
}

const label = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const labelPattern = new RegExp(`^${label}$`);
// A grant's name is an OAuth scope token on the wire, a label value and part of object names in the cluster.
const grantPattern = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/;
const subdomainPattern = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);
// What the API server calls a path segment name, which is all it demands of a Role's name.
const roleName = /^(?!\.{1,2}$)[^/%\s\p{Cc}]{1,253}$/u;

const duration = z.string().regex(durationPattern, 'write a number with its unit, like 15m, 90s or 1h30m');
const text = z.string().min(1, 'is empty').max(1024, 'is longer than 1024 characters');
const file = text.describe('Path of a file; it is read again when it changes.');
const namespace = z
  .string()
  .regex(labelPattern, 'is no namespace name: lower-case letters, digits and "-", at most 63, no "-" at either end');
const objectName = z
  .string()
  .regex(subdomainPattern, 'is no Kubernetes name: lower-case letters, digits, "-" and ".", at most 253');
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
const claimValue = z.union([z.string(), z.number(), z.boolean()]);

/** What `where` holds is checked by the policy compiler, which knows better words for what is wrong. */
export const whereSchema = z
  .record(z.string(), z.unknown())
  .describe('Claims that the token must have. A plain value matches exactly and by type; see docs/grants.md.');

const issuer = z.strictObject({
  url: text.optional().describe('The issuer, exactly as it stands in the `iss` claim of its tokens. https.'),
  cluster: entryName
    .optional()
    .describe(
      'Instead of asking `url`: the API server of this entry in `clusters` is the issuer, and gives its keys to the broker.',
    ),
  platform: z
    .enum(platforms)
    .optional()
    .describe('Which platform it is, for its id claims and warnings. Guessed by the host of `url` unless given.'),
  allowLoopbackHttp: z.literal(true).optional().describe('Lets `url` be http on a loopback address. For trying out.'),
  audience: text.describe('The one audience that tokens for this broker are made for. Nothing else may accept it.'),
  singleUse: z.boolean().optional().describe('Whether a token may be exchanged only once. Default false.'),
  tenantClaim: claimName.optional().describe('The claim that rate limits are counted by, after verification.'),
  certificateAuthority: file.optional().describe('PEM file; then nothing else vouches for the issuer.'),
  algorithms: z
    .array(z.enum(signatureAlgorithms))
    .min(1)
    .optional()
    .describe('Signature algorithms that are accepted.'),
  maxAge: duration.optional().describe('How long after `iat` a token is accepted at most.'),
  leeway: duration.optional().describe('What clocks may differ by: 30s unless told, 60s at most.'),
  jwks: file.optional().describe('JWKS file, for an issuer that cannot be reached.'),
  idClaims: z
    .array(claimName)
    .min(1)
    .optional()
    .describe(
      'Claims that say who somebody is and never pass to somebody else. Known for GitHub, GitLab, CircleCI and Buildkite.',
    ),
});

const cluster = z.strictObject({
  server: text.optional().describe('https URL of the API server.'),
  certificateAuthority: file.optional().describe('PEM file that vouches for the API server.'),
  tlsServerName: text.optional(),
  credentials: z
    .union([
      z.strictObject({ inCluster: z.literal(true) }),
      z.strictObject({ kubeconfig: file, context: text.optional() }),
      z.strictObject({ tokenFile: file }),
    ])
    .describe('How the broker signs in to the cluster.'),
  audiences: z.array(text).min(1).optional().describe('What the API server itself accepts; asked of it if not given.'),
  identityNamespace: namespace
    .optional()
    .describe('Where the accounts live that are minted for. Default kleis-identities.'),
  ephemeralNamespace: namespace.optional().describe('Where accounts for one lease live. Default kleis-ephemeral.'),
  systemNamespace: namespace.optional().describe("Where the broker's own account lives, alone. Default kleis-system."),
  serviceAccount: objectName.optional().describe("The broker's own account. Default kleis-broker."),
});

const grant = z.strictObject({
  issuer: entryName.describe('Name of an entry in `issuers`.'),
  where: whereSchema.optional(),
  condition: z.string().optional().describe('CEL over `claims`, for what `where` cannot say.'),
  cluster: entryName.describe('Name of an entry in `clusters`.'),
  serviceAccount: z
    .union([objectName, z.strictObject({ namespace, name: objectName })])
    .optional()
    .describe('An account in the identity namespace by its name, or one elsewhere by namespace and name.'),
  ephemeral: z.literal(true).optional().describe('Make an account for each lease, bound to the Roles of `access`.'),
  access: z
    .array(z.strictObject({ namespace, role: z.string().regex(roleName, 'is no name of a Role') }))
    .min(1)
    .optional()
    .describe('Roles that `kleis-broker rbac` binds to the account and `check` compares with.'),
  ttl: z
    .strictObject({ default: duration.optional(), max: duration.optional() })
    .optional()
    .describe('How long a token lives: 15m unless the caller asks, 1h at most unless told.'),
  revocable: z
    .boolean()
    .optional()
    .describe('Whether one token can be taken back by itself. Default: wherever possible.'),
  killSwitch: objectName.optional().describe('For an account elsewhere: the Secret that all tokens are bound to.'),
  explain: z.boolean().optional().describe('Show expected values to callers that are denied. Default false.'),
});

const count = z.int().min(1).max(10_000_000);

export const documentSchema = z.strictObject({
  apiVersion: z.literal('kleis.dev/v1'),
  kind: z.literal('BrokerConfig'),
  publicUrl: text.describe('The URL at which callers reach the broker.'),
  listen: z
    .strictObject({
      address: z.string().describe('host:port, [ipv6]:port, or :port for every address.'),
      tls: z.strictObject({ certFile: file, keyFile: file }).optional(),
    })
    .describe('Where to listen, like { address: ":8443", tls: { certFile: …, keyFile: … } }.'),
  state: z
    .union([
      z.strictObject({ cluster: entryName, namespace: namespace.optional() }),
      z.strictObject({ memory: z.literal(true) }),
    ])
    .describe('Where leases are kept: a cluster and a namespace of it (kleis-state), or memory for trying out.'),
  audit: z
    .strictObject({ file: text })
    .optional()
    .describe('Where audit events go, as JSON lines. "-" is standard output.'),
  admins: z.array(z.strictObject({ issuer: entryName, claim: claimName, value: claimValue })).optional(),
  issuers: z.record(entryName, issuer).describe('Who vouches for the callers, by a name of yours.'),
  clusters: z.record(entryName, cluster).describe('Where tokens are minted, by a name of yours.'),
  grants: z
    .record(grantName, grant)
    .describe('Without it nothing would be allowed: say `grants: {}` if that is meant.'),
  admissionPolicy: z.enum(['required', 'optional']).optional(),
  trustedProxies: z
    .array(text)
    .optional()
    .describe('Proxies whose X-Forwarded-For counts: addresses, networks (10.0.0.0/8), or loopback.'),
  limits: z
    .strictObject({
      perAddress: count.optional().describe('Requests a minute from one address. Default 600.'),
      perIssuer: count.optional().describe('Exchanges a minute of one issuer. Default 6000.'),
      perTenant: count
        .optional()
        .describe("Exchanges a minute of one value of the issuer's `tenantClaim`. Default 600."),
      leases: z
        .strictObject({
          perGrant: count.optional().describe('Live leases of one grant. Default 5000.'),
          perSubject: count.optional().describe('Live leases of one subject (`sub` of one issuer). Default 500.'),
        })
        .optional(),
    })
    .optional(),
  metrics: z.strictObject({ listen: z.string() }).optional().describe('An address of its own for /metrics.'),
  reload: z.strictObject({ maxStale: duration.optional() }).optional(),
});

export type BrokerDocument = z.infer<typeof documentSchema>;
export type IssuerDocument = BrokerDocument['issuers'][string];
export type GrantDocument = BrokerDocument['grants'][string];

/** Entries of several documents come together by name; everything else may be said once. */
export const mergedSections = ['issuers', 'clusters', 'grants'] as const;

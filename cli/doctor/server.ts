import { KleisError } from '../../shared/errors.ts';
import type { UnverifiedJwt } from '../../shared/jwt.ts';
import type { Secret } from '../../shared/secret.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import { type ClusterClient, openCluster } from '../cluster/client.ts';
import { readVersion, type Rule, rulesIn, type SeenUser, type ServerVersion, whoAmI } from '../cluster/questions.ts';
import type { FoundEntry } from '../kubeconfig/find.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { whyRefused } from './claims.ts';
import { describeClock } from './clock.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

/** The API server, before it gets a token. */
export interface ReachedServer {
  readonly cluster: ClusterClient;
  readonly ahead: number | undefined;
  readonly version: ServerVersion | undefined;
  readonly findings: readonly DoctorFinding[];
}

/** Whether it answers, with a certificate that the entry vouches for, and what its clock says. */
export async function reachServer(
  entry: Pick<FoundEntry, 'cluster'>,
  deps: Deps,
): Promise<ReachedServer | readonly DoctorFinding[]> {
  try {
    const cluster = openCluster(entry.cluster, deps);
    const { status, body, ahead } = await cluster.ask({ method: 'GET', path: '/version' });
    const version = status === 200 ? readVersion(body) : undefined;
    const findings = [
      ok('server', `${cluster.host} answers${version === undefined ? '' : `; it is Kubernetes ${version.text}`}.`),
      describeClock('clock', `the API server ${cluster.host}`, ahead),
    ];
    return { cluster, ahead, version, findings };
  } catch (error) {
    const failure = toFailure(error, deps);
    // Said of the entry already.
    if (entry.cluster['insecure-skip-tls-verify'] === true) return [unknown('server', failure.message)];
    return [failed('server', failure)];
  }
}

/** Where no request is anonymous, the version is for who is signed in. */
export async function versionOf(
  { cluster, version }: ReachedServer,
  token?: Secret,
): Promise<ServerVersion | undefined> {
  if (version !== undefined) return version;
  try {
    return readVersion((await cluster.ask({ method: 'GET', path: '/version', token })).body);
  } catch (error) {
    // What follows asks it too, and says why.
    if (error instanceof KleisError && error.code === 'cluster_unavailable') return undefined;
    throw error;
  }
}

export interface PresentedToken {
  readonly token: Secret;
  readonly jwt: UnverifiedJwt | undefined;
  /** A broker made it. */
  readonly ofBroker: boolean;
  /** What a comparison has found already. */
  readonly knownFault: boolean;
  /** The context, for the next command. */
  readonly context: string;
}

/** Whom the API server sees, and what they may do: 401 apart from 403. */
export async function askServer(
  { cluster, ahead }: ReachedServer,
  presented: PresentedToken,
  { namespace = 'default' }: Pick<FoundEntry, 'namespace'>,
  deps: Deps,
): Promise<DoctorFinding[]> {
  try {
    const seen = await whoAmI(cluster, presented.token);
    switch (seen.kind) {
      case 'unknown':
        return [refusal(cluster.host, ahead, presented, deps)];
      case 'odd':
        return [
          failed(
            'identity',
            new KleisError('cluster_unavailable', `${cluster.host} answers with HTTP ${seen.status}.`),
          ),
        ];
      case 'forbidden':
        return [
          warning(
            'identity',
            'review_forbidden',
            'The API server takes the token, and does not let you ask whose it is (403).',
            {
              why: seen.message,
              next: 'Ask its administrator to restore the ClusterRoleBinding system:basic-user.',
            },
          ),
        ];
      case 'silent':
        return [
          ok('identity', 'The API server takes the token; it is too old to say for whose (before Kubernetes 1.27).'),
          ...(await rights(cluster, presented, { namespace, user: undefined }, deps)),
        ];
      case 'known':
        return [describeUser(seen.user), ...(await rights(cluster, presented, { namespace, user: seen.user }, deps))];
    }
  } catch (error) {
    return [failed('identity', toFailure(error, deps))];
  }
}

function describeUser({ username, groups }: SeenUser): DoctorFinding {
  const own = groups.filter((group) => group !== 'system:authenticated');
  const shown = own.slice(0, 8).join(', ');
  const more = own.length > 8 ? ` and ${own.length - 8} more` : '';
  return ok('identity', `The API server sees ${username}, in ${own.length === 0 ? 'no groups' : `${shown}${more}`}.`);
}

function refusal(host: string, ahead: number | undefined, presented: PresentedToken, deps: Deps): DoctorFinding {
  const { certain, possible } = whyRefused(presented.jwt, { now: deps.clock.now(), ahead });
  const error = new KleisError('token_unusable', `${host} takes this token for nobody's (401).`);
  const finding = (why: string, next: string) => ({
    ...failed('identity', error, { why, next }),
    code: 'unauthenticated',
  });
  if (certain !== undefined) {
    return finding(
      `Time: ${certain}.`.replace('Time: the token has', 'The token has'),
      'Set the clocks, or let the provider give tokens that live longer.',
    );
  }
  if (presented.knownFault) return finding('What the token lacks is said above.', 'Mend that first.');
  if (presented.ofBroker) {
    return finding(
      'The broker made it for another cluster, or its account or lease was taken away meanwhile.',
      `Get a new one: kleis token --force --context ${shellWord(presented.context, deps.platform)}. If that is refused too, tell the administrator of the broker.`,
    );
  }
  return finding(
    `Not the time: it has begun and lives, by both clocks. It can be: ${possible.join('; ')}.`,
    'Compare it with what the API server expects: kleis doctor --authentication-config FILE, or --oidc-issuer-url and --oidc-client-id. The log of the API server has the reason.',
  );
}

/** What everybody may do who is signed in: the Roles system:basic-user, system:discovery. */
function isEverybodys({ apiGroups, resources }: Rule): boolean {
  return (
    apiGroups.every((group) => /^(authorization|authentication)\.k8s\.io$/.test(group)) &&
    resources.every((each) => each.startsWith('selfsubject'))
  );
}

async function rights(
  cluster: ClusterClient,
  { token, ofBroker, context }: PresentedToken,
  { namespace, user }: { readonly namespace: string; readonly user: SeenUser | undefined },
  { platform }: Deps,
): Promise<DoctorFinding[]> {
  const place = clean(namespace);
  const found = await rulesIn(cluster, token, namespace);
  if (found === undefined) return [unknown('rights', 'The API server does not say what you may do.')];
  const rules = found.rules.filter((rule) => !isEverybodys(rule));
  const who = user?.username ?? 'you';
  if (rules.length > 0) return [ok('rights', `In ${place}: ${summarize(rules)}.`)];
  if (found.incomplete) {
    return [unknown('rights', `RBAC gives ${who} nothing in ${place}; another authorizer may, which does not tell.`)];
  }
  const groups = user?.groups.filter((group) => group !== 'system:authenticated') ?? [];
  const whom = groups.length === 0 ? who : `${who} or one of ${groups.slice(0, 8).join(', ')}`;
  // No binding for the groups of a service account: every account of a namespace, or of the cluster, is in them.
  const asking = ofBroker
    ? 'Else ask the administrator of the broker for a grant with `access` here.'
    : `Else ask for a RoleBinding here for ${whom}.`;
  const error = new KleisError(
    'grant_denied',
    `${who} may do nothing in the namespace ${place}: kubectl is answered with 403.`,
    {
      hint: `If your namespace is another one: kubectl config set-context ${shellWord(context, platform)} --namespace NAME. ${asking}`,
    },
  );
  return [
    {
      ...failed('rights', error, {
        ...(groups.length === 0 &&
          user !== undefined && { why: 'The API server sees no groups of yours: bindings for groups give nothing.' }),
      }),
      code: 'no_rights',
    },
  ];
}

/** `get, list pods, services` and so on, as short as a line. */
function summarize(rules: readonly Rule[]): string {
  if (rules.some((rule) => all(rule.verbs) && all(rule.resources) && all(rule.apiGroups))) return 'everything';
  const byVerbs = new Map<string, Set<string>>();
  for (const { verbs, resources, names } of rules) {
    const key = all(verbs) ? 'anything with' : verbs.slice(0, 8).join(', ');
    const set = byVerbs.get(key) ?? new Set();
    for (const resource of resources)
      set.add(`${resource}${names.length > 0 ? ` (${names.slice(0, 3).join(', ')})` : ''}`);
    byVerbs.set(key, set);
  }
  const parts = [...byVerbs].map(([verbs, set]) => {
    const list = [...set];
    return `${verbs} ${list.slice(0, 6).join(', ')}${list.length > 6 ? ` and ${list.length - 6} more` : ''}`;
  });
  return `${parts.slice(0, 4).join('; ')}${parts.length > 4 ? `; and ${parts.length - 4} more` : ''}`;
}

function all(list: readonly string[]): boolean {
  return list.includes('*');
}

/** kubectl supports servers one minor version older and newer (kubernetes.io, version skew policy). */
export function checkSkew(kubectl: ServerVersion | undefined, server: ServerVersion | undefined): DoctorFinding {
  if (kubectl === undefined) return unknown('kubectl', 'kubectl is not on PATH, or does not say its version.');
  if (server === undefined)
    return unknown('kubectl', `kubectl is ${kubectl.text}; the API server does not say its version.`);
  const apart = Math.abs(kubectl.minor - server.minor);
  const both = `kubectl is ${kubectl.text}, the API server ${server.text}`;
  if (apart <= 1) return ok('kubectl', `${both}.`);
  return warning('kubectl', 'version_skew', `${both}: ${apart} minor versions apart, and one is supported.`, {
    next: `Use kubectl 1.${server.minor}.`,
  });
}

import { KleisError } from '../../../shared/errors.ts';
import { shellWord } from '../../../shared/shell.ts';
import { clean } from '../../../shared/text.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { whoAmI } from '../../cluster/questions.ts';
import { openOwnCluster, type OwnCluster } from '../../get-token/own-cluster.ts';
import { readExec } from '../../kubeconfig/entry.ts';
import { findContext, type FoundContext } from '../../kubeconfig/find.ts';
import type { Deps } from '../../surroundings/deps.ts';
import { toFailure } from '../../surroundings/failure.ts';
import { type DoctorFinding, failed, ok, unknown } from '../finding.ts';
import { reachServer, versionOf } from '../server.ts';
import { checkAccounts } from './accounts.ts';
import { checkAnonymous } from './anonymous.ts';
import { checkAuthorization } from './authorization.ts';
import { checkEncryption } from './encryption.ts';
import { indexBindings } from './grants.ts';
import { type Metrics, readMetrics } from './metrics.ts';
import { type RbacRead, readRbacObjects } from './rbac-objects.ts';
import { checkSupport } from './releases.ts';
import { checkSecrets } from './secrets.ts';
import { readServerFlags, type ServerFlags } from './server-flags.ts';
import { checkOidc, checkTokenFile } from './sign-in.ts';
import { checkUsers } from './users.ts';
import type { Words } from './words.ts';

export interface ClusterExamination {
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly signIn: boolean;
}

export interface ClusterExamined {
  readonly findings: readonly DoctorFinding[];
  readonly context: string | undefined;
}

/** Looks at what gives access to a cluster for ever, or more of it than it seems. Changes nothing. */
export async function examineCluster(request: ClusterExamination, deps: Deps): Promise<ClusterExamined> {
  let found: FoundContext;
  try {
    found = await findContext(request, deps);
  } catch (error) {
    return { findings: [failed('kubeconfig', toFailure(error, deps))], context: undefined };
  }
  const { context, kubeconfig } = found;
  const findings: DoctorFinding[] = [];
  // Not as arguments: a call takes a hundred thousand at most, and a cluster has more Secrets than that.
  const find = (more: readonly DoctorFinding[]) => {
    for (const each of more) findings.push(each);
  };

  const server = await reachServer(found, deps);
  const ofUsers = await checkUsers(kubeconfig, { now: deps.clock.now(), platform: deps.platform });
  if (!('cluster' in server)) {
    find([
      ...server,
      ...ofUsers,
      unknown('cluster', 'Nothing of the cluster was looked at: the API server was not asked.'),
    ]);
    return { findings, context };
  }
  find(server.findings);

  const { own, finding } = await openOwn(found, request, deps);
  const words = wordsFor(found, server.cluster, deps);
  const visit = { anonymous: server.cluster, words, attempt: attempting(deps) };
  const version = own === undefined ? server.version : await versionOf({ ...server, cluster: own.cluster });
  find([finding, checkSupport(version, deps.clock.now()), ...ofUsers]);
  find(own === undefined ? await checkAsNobody(visit) : await checkAll(own, visit));
  return { findings, context };
}

/** The cluster with the credential of the context, where it takes that. */
async function openOwn(
  found: FoundContext,
  { signIn, kubeconfig }: ClusterExamination,
  deps: Deps,
): Promise<{ readonly own: OwnCluster | undefined; readonly finding: DoctorFinding }> {
  try {
    const own = await openOwnCluster(found, { signIn, kubeconfig }, deps);
    const finding = await checkIdentity(own.cluster, found, deps);
    return { own: finding.severity === 'ok' ? own : undefined, finding };
  } catch (error) {
    deps.signal.throwIfAborted();
    const { message, hint } = toFailure(error, deps);
    const finding = unknown('identity', 'The cluster is asked without a credential.', { why: message, next: hint });
    return { own: undefined, finding };
  }
}

async function checkIdentity(
  cluster: ClusterClient,
  { context, user }: FoundContext,
  { platform }: Pick<Deps, 'platform'>,
): Promise<DoctorFinding> {
  const seen = await whoAmI(cluster);
  switch (seen.kind) {
    case 'known': {
      const groups = seen.user.groups.filter((group) => group !== 'system:authenticated').slice(0, 8);
      const list = groups.length === 0 ? '' : `, in ${groups.join(', ')}`;
      return ok('identity', `It is asked as ${seen.user.username}${list}.`);
    }
    case 'unknown': {
      const what = `The API server takes the credential of the context ${clean(context)} for nobody's (401).`;
      return failed('identity', new KleisError('token_unusable', what), {
        next:
          readExec(user.body) === undefined
            ? `It has ended or was taken away. With Kleis they renew: kleis kubeconfig migrate ${shellWord(context, platform)}`
            : `What is wrong with it: kleis doctor --context ${shellWord(context, platform)}`,
      });
    }
    case 'forbidden':
    case 'silent':
    case 'odd':
      return ok('identity', `It is asked with the credential of the context ${clean(context)}.`);
  }
}

function wordsFor(
  { context, clusterName, namespace }: FoundContext,
  { host }: ClusterClient,
  { platform }: Deps,
): Words {
  return {
    host,
    kubectl: `kubectl --context ${shellWord(context, platform)}`,
    cluster: clean(clusterName, 100),
    namespace: /^[a-z0-9-]{1,63}$/.exec(namespace ?? '')?.[0] ?? 'default',
    platform,
  };
}

/** A part that cannot be asked hides no other. */
type Attempt = <T>(ask: () => Promise<T>, otherwise: (why: string) => T) => Promise<T>;

function attempting(deps: Deps): Attempt {
  return async (ask, otherwise) => {
    try {
      return await ask();
    } catch (error) {
      const failure = toFailure(error, deps);
      if (deps.signal.aborted || failure.code !== 'cluster_unavailable') throw error;
      return otherwise(failure.message);
    }
  };
}

interface Visit {
  readonly anonymous: ClusterClient;
  readonly words: Words;
  readonly attempt: Attempt;
}

const not = (why: string) => ({ kind: 'unknown', why }) as const;
const unanswered = (about: string) => (why: string) => [
  unknown(about, 'The API server does not answer this.', { why }),
];

async function checkAsNobody({ anonymous, words, attempt }: Visit): Promise<DoctorFinding[]> {
  const rbac = not('Only somebody who is signed in may.');
  return [
    ...(await attempt(() => checkAnonymous(anonymous, rbac, words), unanswered('anonymous'))),
    unknown('cluster', 'Nothing else of the cluster was looked at: that takes a credential.'),
  ];
}

async function checkAll(
  { cluster, issuer }: OwnCluster,
  { anonymous, words, attempt }: Visit,
): Promise<DoctorFinding[]> {
  const rbac = await attempt<RbacRead>(() => readRbacObjects(cluster), not);
  const flags = await attempt<ServerFlags>(() => readServerFlags(cluster), not);
  const metrics = await attempt<Metrics>(() => readMetrics(cluster), not);
  const bindingsOf = rbac.kind === 'read' ? indexBindings(rbac.state) : undefined;
  return [
    ...(await attempt(() => checkAnonymous(anonymous, rbac, words), unanswered('anonymous'))),
    ...(await attempt(async () => [await checkAuthorization(cluster, flags)], unanswered('rbac'))),
    checkOidc(flags, metrics, issuer),
    ...checkTokenFile(flags),
    checkEncryption(flags, metrics),
    ...(rbac.kind === 'read' && bindingsOf !== undefined
      ? checkAccounts(rbac.state, bindingsOf, words)
      : [unknownAccounts(rbac, words)]),
    ...(await attempt(() => checkSecrets(cluster, bindingsOf, words), unanswered('secrets'))),
  ];
}

function unknownAccounts(rbac: RbacRead, { kubectl }: Words): DoctorFinding {
  return unknown(
    'accounts',
    'Who reaches cluster-admin or mints tokens for others is not known: RBAC may not be read.',
    {
      why: rbac.kind === 'unknown' ? rbac.why : undefined,
      next: `Whoever may list Roles, ClusterRoles and their bindings in all namespaces sees it: ${kubectl} auth can-i list clusterrolebindings`,
    },
  );
}

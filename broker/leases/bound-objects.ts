import type { NamespacedAccess } from '../policy/access.ts';
import { apiPath, type KubeClient } from '../../shared/kube/client.ts';
import { isStatus } from '../../shared/kube/error.ts';
import { inParallel } from '../../shared/parallel.ts';
import { ClusterFault, clusterFault } from '../cluster/fault.ts';
import type { Cluster, Clusters } from '../cluster/clusters.ts';
import { boundName, type Lease, mintWindow, placementOf } from './lease.ts';

/** What to mint, so that it dies with the lease. */
export interface MintTarget {
  readonly account: { readonly namespace: string; readonly name: string; readonly uid?: string };
  readonly boundSecret?: { readonly name: string; readonly uid: string };
}

interface Made {
  readonly kind?: string;
  readonly metadata?: { readonly uid?: string; readonly deletionTimestamp?: string };
}

/** Seconds after which nothing takes the token any more. */
export const deadWithin = {
  /** Nobody ever had it, or it was dead already. */
  atOnce: 0,
  /** The API server remembers for 10 s that it took a token. */
  cached: 10,
  /** Somebody put a finalizer on the object: tokens end 60 s after its deletion began, and then there is the cache. */
  finalizer: 70,
} as const;

const timeout = 5_000;
/**
 * Turns of a lease at once, and RoleBindings of a turn. Whoever changed a lease has its work done slowly, and does not take
 * the connections from those who mint: sweeping has some leases under way at once.
 */
const parallel = 5;

/**
 * Makes what the token of the lease's turn is to depend on: a Secret of its own, or an account with its RoleBindings.
 * The lease is written before, so whatever comes of this is found by its name. Throws `ClusterFault`; `superseded` if
 * a retry or a revocation came first.
 */
export async function createBound(
  cluster: Cluster,
  lease: Lease,
  access: readonly NamespacedAccess[] = [],
): Promise<MintTarget> {
  try {
    switch (lease.bound) {
      case 'none':
        return { account: lease.account };
      case 'secret':
        return { account: lease.account, boundSecret: await createSecret(cluster, lease) };
      case 'account':
        return { account: await createAccount(cluster, lease, access) };
    }
  } catch (error) {
    throw clusterFault(cluster.name, error);
  }
}

async function createSecret(cluster: Cluster, lease: Lease): Promise<{ name: string; uid: string }> {
  const { namespace, manifest, plural } = boundObject(lease, lease.turn);
  const { body } = await cluster.kube.request<Made>('POST', apiPath('v1', namespace, plural), {
    body: manifest,
    timeout,
  });
  return { name: boundName(lease), uid: uidOf(cluster, body) };
}

async function createAccount(
  cluster: Cluster,
  lease: Lease,
  access: readonly NamespacedAccess[],
): Promise<{ namespace: string; name: string; uid: string }> {
  const { namespace, manifest, plural } = boundObject(lease, lease.turn);
  const name = boundName(lease);
  // All at once; when one fails the others are waited for, so that cleaning up after them finds them.
  const [account, ...bindings] = await Promise.allSettled([
    cluster.kube.request<Made>('POST', apiPath('v1', namespace, plural), { body: manifest, timeout }),
    ...access.map((each, index) =>
      cluster.kube.request<Made>('POST', apiPath(rbac, each.namespace, 'rolebindings'), {
        body: roleBinding(lease, index, each),
        timeout,
      }),
    ),
  ]);
  const failed = [account, ...bindings].find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return { namespace, name, uid: uidOf(cluster, (account as PromiseFulfilledResult<{ body: Made }>).value.body) };
}

const rbac = 'rbac.authorization.k8s.io/v1';

const bindingName = (lease: Lease, turn: number, index: number) => `${boundName(lease, turn)}-${index}`;

function roleBinding(lease: Lease, index: number, { kind, name, namespace }: NamespacedAccess): object {
  return {
    apiVersion: rbac,
    kind: 'RoleBinding',
    metadata: { name: bindingName(lease, lease.turn, index), namespace, labels: ofLease(lease) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
    subjects: [{ kind: 'ServiceAccount', name: boundName(lease), namespace: lease.account.namespace }],
  };
}

const ofLease = ({ name }: Lease) => ({ 'kleis.dev/lease': name });

function boundObject(lease: Lease, turn: number): { namespace: string; plural: string; manifest: object } {
  const { bound, namespace } = placementOf(lease, turn);
  const metadata = { name: boundName(lease, turn), namespace, labels: ofLease(lease) };
  return bound === 'account'
    ? {
        namespace,
        plural: 'serviceaccounts',
        manifest: { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
      }
    : {
        namespace,
        plural: 'secrets',
        manifest: { apiVersion: 'v1', kind: 'Secret', type: 'kleis.dev/lease', metadata },
      };
}

function uidOf({ name }: Cluster, { metadata }: Made): string {
  if (typeof metadata?.uid === 'string') return metadata.uid;
  const why = 'The API server answers with an object that has no UID.';
  throw new ClusterFault(name, 'invalid', why, { ambiguous: true, retryable: false });
}

export interface RemoveOptions {
  /** The last turn to remove; all before it go too. That of the lease if not given. */
  readonly turn?: number;
  /** Only that one turn. */
  readonly only?: boolean;
  /**
   * A request of one of the turns may still be under way, in another process: leaves an object in the place of each,
   * so that it cannot be made any more. Sweeping removes those.
   */
  readonly block?: boolean;
}

/**
 * Removes what the tokens of the lease depend on. Repeating it is harmless. Gives the seconds after which they are
 * dead; throws `ClusterFault` if that is not certain.
 */
export async function removeBound(
  clusters: Pick<Clusters, 'get'>,
  lease: Lease,
  options: RemoveOptions = {},
): Promise<number> {
  const last = options.turn ?? lease.turn;
  // The latest first: if any token lives, it is of that one.
  const turns = options.only === true ? [last] : Array.from({ length: last + 1 }, (_, index) => last - index);
  const seconds = await inParallel(turns, parallel, async (turn) => removeTurn(clusters, lease, turn, options));
  return Math.max(...seconds);
}

async function removeTurn(
  clusters: Pick<Clusters, 'get'>,
  lease: Lease,
  turn: number,
  { block = false }: RemoveOptions,
): Promise<number> {
  const placement = placementOf(lease, turn);
  if (placement.bound === 'none') return deadWithin.atOnce;
  const cluster = clusters.get(placement.cluster);
  if (cluster === undefined) {
    // Of an earlier turn that was freed there is no token, and nobody who could still remove what it left.
    if (placement.cluster !== lease.cluster) return deadWithin.atOnce;
    throw new ClusterFault(placement.cluster, 'unavailable', 'The configuration has this cluster no more.', {
      ambiguous: false,
      retryable: false,
    });
  }
  try {
    return await removeObjects(cluster.kube, lease, turn, block);
  } catch (error) {
    throw clusterFault(cluster.name, error);
  }
}

async function removeObjects(kube: KubeClient, lease: Lease, turn: number, block: boolean): Promise<number> {
  const { namespace, plural, manifest } = boundObject(lease, turn);
  const name = boundName(lease, turn);
  // The account first: without it the bindings give nobody anything.
  let seconds: number = await removeOne(kube, apiPath('v1', namespace, plural, name));
  if (block && seconds !== deadWithin.finalizer)
    seconds = Math.max(seconds, await occupy(kube, namespace, plural, name, manifest));
  const { bound, access } = placementOf(lease, turn);
  if (bound === 'account') {
    await inParallel(access.entries(), parallel, async ([index, space]) =>
      removeOne(kube, apiPath(rbac, space, 'rolebindings', bindingName(lease, turn, index))),
    );
  }
  return seconds;
}

/** Until our own object has the name: a request that was slower than us may have made its own just before. */
async function occupy(
  kube: KubeClient,
  namespace: string,
  plural: string,
  name: string,
  manifest: object,
): Promise<number> {
  let seconds: number = deadWithin.atOnce;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await kube.request('POST', apiPath('v1', namespace, plural), { body: manifest, timeout });
      return seconds;
    } catch (error) {
      if (attempt > 3 || !isStatus(error, 409, 'AlreadyExists')) throw error;
      seconds = Math.max(seconds, await removeOne(kube, apiPath('v1', namespace, plural, name)));
      if (seconds === deadWithin.finalizer) return seconds;
    }
  }
}

async function removeOne(kube: KubeClient, path: string): Promise<number> {
  try {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions' };
    const answer = await kube.request<Made>('DELETE', path, { body, timeout, repeatable: true });
    // A Status says that it is gone; the object itself, that it waits for its finalizers.
    const waits = answer.body.kind !== 'Status' && answer.body.metadata?.deletionTimestamp !== undefined;
    return waits ? deadWithin.finalizer : deadWithin.cached;
  } catch (error) {
    if (isStatus(error, 404)) return deadWithin.atOnce;
    throw error;
  }
}

/**
 * Whether the object of that turn is there and has that UID. Asked by a delete that is not carried out: the broker has
 * the right to delete and none to read. Throws `ClusterFault`.
 */
export async function isBoundObject(
  cluster: Cluster,
  lease: Lease,
  turn: number,
  uid: string | undefined,
): Promise<boolean> {
  if (uid === undefined || lease.bound === 'none') return false;
  const { namespace, plural } = boundObject(lease, turn);
  try {
    await cluster.kube.request('DELETE', apiPath('v1', namespace, plural, boundName(lease, turn)), {
      // Beside a body the API server does not look at the query.
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, dryRun: ['All'] },
      timeout,
      repeatable: true,
    });
    return true;
  } catch (error) {
    if (isStatus(error, 404) || isStatus(error, 409)) return false;
    throw clusterFault(cluster.name, error);
  }
}

/**
 * Deletes the Secret that an admin made and that all tokens of a grant are bound to. Gives the seconds after which they
 * are dead; undefined if there is no such Secret (any more). Throws `ClusterFault`.
 */
export async function pullKillSwitch(cluster: Cluster, namespace: string, name: string): Promise<number | undefined> {
  try {
    const seconds = await removeOne(cluster.kube, apiPath('v1', namespace, 'secrets', name));
    return seconds === deadWithin.atOnce ? undefined : seconds;
  } catch (error) {
    throw clusterFault(cluster.name, error);
  }
}

/** Whether the request that began the lease's latest turn may still be under way: so if nobody knows the time. */
export function mayBeUnderWay(lease: Lease, now: number | undefined): boolean {
  return now === undefined || Math.abs(now - lease.renewedAt) < mintWindow;
}

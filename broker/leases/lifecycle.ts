import type { NamespacedAccess } from '../policy/access.ts';
import { ClusterFault } from '../cluster/fault.ts';
import type { Cluster, Clusters } from '../cluster/clusters.ts';
import { createBound, type MintTarget, removeBound } from './bound-objects.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import type { LeaseStore } from './store.ts';

export interface LeaseServices {
  readonly store: LeaseStore;
  readonly clusters: Clusters;
}

export type Opened =
  | { readonly kind: 'new' | 'retry'; readonly lease: Lease; readonly target: MintTarget }
  | { readonly kind: 'replayed'; readonly lease: Lease | undefined };

/**
 * Takes the lease, ends what an earlier turn of it left, and makes what the new token is to depend on. When that cannot
 * be made, the lease is free again if the cluster and the store can still be asked. Throws `ClusterFault`.
 */
export async function openLease(
  services: LeaseServices,
  request: LeaseRequest,
  access: readonly NamespacedAccess[] = [],
): Promise<Opened> {
  const cluster = clusterOf(services, request);
  const acquired = await services.store.acquire({ ...request, access: access.map(({ namespace }) => namespace) });
  if (acquired.kind === 'replayed') return acquired;
  const { kind, lease } = acquired;
  // The first request may be under way still: what it has not made yet it must not make after this. If this fails, the
  // same request finds the lease as it is and begins with this again.
  if (kind === 'retry') await removeBound(services.clusters, acquired.previous, { block: true });
  try {
    return { kind, lease, target: await createBound(cluster, lease, access) };
  } catch (error) {
    // Also where it may have been made: no token was asked for, and the next turn has objects of other names.
    if (error instanceof ClusterFault && error.reason !== 'superseded') {
      await freeLease(services, { kind, lease }).catch(() => undefined);
    }
    throw error;
  }
}

/**
 * For a mint that failed for certain: the subject token counts as unused. Whatever was made for it goes first; if that
 * fails, the lease stays for the same request alone. True if it is free. Throws `ClusterFault`.
 */
export async function freeLease(
  services: LeaseServices,
  { kind, lease }: { readonly kind: 'new' | 'retry'; readonly lease: Lease },
): Promise<boolean> {
  await removeBound(services.clusters, lease, { only: true });
  // Before a retry something was minted, so the subject token is used: only the request that it was for may go on.
  const state = kind === 'new' ? 'free' : 'withdrawn';
  return (await services.store.mark(lease, state, 'minting failed')) !== undefined && state === 'free';
}

/**
 * Takes back a token that its caller never got. The same request may come again and gets another. Gives false if the
 * token cannot be taken back (nothing of its own is bound to it). Throws `ClusterFault` when it may live: the sweep then
 * goes on with it, unless the lease could not be written either.
 */
export async function withdrawLease(services: LeaseServices, lease: Lease, why: string): Promise<boolean> {
  const { store } = services;
  if (lease.bound === 'none') {
    await store.mark(lease, 'withdrawn', why);
    return false;
  }
  const [marking] = await Promise.allSettled([store.mark(lease, 'withdrawing', why)]);
  await removeBound(services.clusters, lease, { only: true });
  if (marking.status === 'rejected') throw marking.reason;
  // Nobody else writes a lease in that state but the sweep and a retry, which both do the same.
  if (marking.value !== undefined) await store.mark(marking.value, 'withdrawn', why);
  return true;
}

/** The time to take a lease at. Throws `ClusterFault` where it is not certain: others would remove the lease too early. */
export async function leaseTime({ store }: LeaseServices): Promise<number> {
  const now = await store.now();
  if (now !== undefined) return now;
  const why = 'The time by which leases are kept is not certain: clocks differ, or the cluster does not answer.';
  throw new ClusterFault('of the state', 'unavailable', why, { ambiguous: false, retryable: true });
}

/** Throws `ClusterFault` where a new configuration has the cluster no more. */
export function clusterOf({ clusters }: LeaseServices, { cluster: name }: { readonly cluster: string }): Cluster {
  const cluster = clusters.get(name);
  if (cluster !== undefined) return cluster;
  const why = `The configuration has no cluster ${name} any more.`;
  throw new ClusterFault(name, 'unavailable', why, { ambiguous: false, retryable: false });
}

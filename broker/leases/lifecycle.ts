import { ClusterFault } from '../cluster/fault.ts';
import type { Cluster, Clusters } from '../cluster/clusters.ts';
import { createBound, deadWithin, mayBeUnderWay, type MintTarget, removeBound } from './bound-objects.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import type { LeaseStore } from './store.ts';

export interface LeaseServices {
  readonly store: LeaseStore;
  readonly clusters: Clusters;
  readonly clock: { now(): number };
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
  access: readonly { readonly namespace: string; readonly role: string }[] = [],
): Promise<Opened> {
  const cluster = clusterOf(services, request);
  const acquired = await services.store.acquire({ ...request, access: access.map(({ namespace }) => namespace) });
  if (acquired.kind === 'replayed') return acquired;
  const { kind, lease } = acquired;
  // The first request may be under way still: what it has not made yet it must not make after this. If this fails, the
  // same request finds the lease as it is and begins with this again.
  if (kind === 'retry') await removeBound(cluster, acquired.previous, { block: true });
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
  await removeBound(clusterOf(services, lease), lease, { only: true });
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
  await removeBound(clusterOf(services, lease), lease, { only: true });
  if (marking.status === 'rejected') throw marking.reason;
  // Nobody else writes a lease in that state but the sweep and a retry, which both do the same.
  if (marking.value !== undefined) await store.mark(marking.value, 'withdrawn', why);
  return true;
}

export interface Revocation {
  /**
   * `revoked`: by this call, or to its end by this call; `already`: before; `expired`: its token had ended;
   * `not_revocable`: the lease is closed, but its token lives until it ends by itself; `unknown`: no such lease.
   */
  readonly outcome: 'revoked' | 'already' | 'expired' | 'not_revocable' | 'unknown';
  /** Seconds after which nothing takes the token any more. */
  readonly deadWithin: number;
  readonly lease: Lease | undefined;
}

/**
 * Closes the lease for good and kills its token. `uid` is that of the Secret or account, where the token told it.
 * Throws `ClusterFault` when the token may live: the lease then says `revoking`, and sweeping goes on with it.
 */
export async function revokeLease(
  services: LeaseServices,
  name: string,
  why: string,
  { uid }: { readonly uid?: string | undefined } = {},
): Promise<Revocation> {
  const { store, clock } = services;
  for (let attempt = 1; ; attempt += 1) {
    const lease = await store.get(name);
    if (lease === undefined) return { outcome: 'unknown', deadWithin: 0, lease };
    if (lease.state === 'revoked')
      return {
        outcome: 'already',
        deadWithin: lease.bound === 'none' ? untilEnd(lease, clock) : deadWithin.cached,
        lease,
      };
    const expired = lease.endsAt <= clock.now();
    if (lease.bound === 'none') {
      const marked = await store.mark(lease, 'revoked', why);
      if (marked === undefined) {
        checkAttempt(lease, attempt);
        continue;
      }
      return { outcome: expired ? 'expired' : 'not_revocable', deadWithin: untilEnd(lease, clock), lease: marked };
    }
    const marked = lease.state === 'revoking' ? lease : await store.mark(lease, 'revoking', why);
    if (marked === undefined) {
      checkAttempt(lease, attempt);
      continue;
    }
    const { seconds, lease: done } = await finishLease(services, marked, uid);
    return { outcome: expired ? 'expired' : 'revoked', deadWithin: expired ? 0 : seconds, lease: done };
  }
}

/**
 * Kills the token of an earlier turn; that of the latest one lives on. Gives the seconds after which it is dead. Throws
 * `ClusterFault` when it may live.
 */
export async function revokeTurn(
  services: LeaseServices,
  lease: Lease,
  turn: number,
  uid: string | undefined,
): Promise<number> {
  const block = mayBeUnderWay(lease, services.clock.now());
  const seconds = await removeBound(clusterOf(services, lease), lease, { turn, only: true, uid, block });
  // What was gone already may have been used until a moment ago.
  return Math.max(seconds, deadWithin.cached);
}

/** Does what `revoking` and `withdrawing` promise. */
export async function finishLease(
  services: LeaseServices,
  lease: Lease,
  uid?: string,
): Promise<{ readonly seconds: number; readonly lease: Lease }> {
  const { store, clock } = services;
  const block = mayBeUnderWay(lease, clock.now());
  const seconds = await removeBound(clusterOf(services, lease), lease, { block, uid });
  const state = lease.state === 'withdrawing' ? 'withdrawn' : 'revoked';
  // The token is dead; if this fails the sweep says so once more.
  const done = await store.mark(lease, state, lease.why).catch(() => undefined);
  return { seconds, lease: done ?? lease };
}

function untilEnd(lease: Lease, clock: { now(): number }): number {
  return Math.max(0, Math.ceil((lease.endsAt - clock.now()) / 1000));
}

function checkAttempt(lease: Lease, attempt: number): void {
  if (attempt < 5) return;
  const why = `The lease ${lease.name} keeps changing.`;
  throw new ClusterFault(lease.cluster, 'unavailable', why, { ambiguous: false, retryable: true });
}

function clusterOf({ clusters }: LeaseServices, { cluster: name }: { readonly cluster: string }): Cluster {
  const cluster = clusters.get(name);
  if (cluster !== undefined) return cluster;
  const why = `The configuration has no cluster ${name} any more.`;
  throw new ClusterFault(name, 'unavailable', why, { ambiguous: false, retryable: false });
}

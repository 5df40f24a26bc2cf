import { ClusterFault } from '../cluster/fault.ts';
import { deadWithin, isBoundObject, mayBeUnderWay, removeBound, type RemoveOptions } from './bound-objects.ts';
import type { Lease } from './lease.ts';
import { clusterOf, type LeaseServices } from './lifecycle.ts';
import { isOfTurn, type TokenBinding } from './token-binding.ts';

export interface Revocation {
  /**
   * `revoked`: its token is dead, or to its end by this call; `already`: it was revoked before, and is dead; `expired`:
   * its token had ended; `not_revocable`: the lease is closed, but its token lives until it ends by itself; `unknown`: no
   * such lease.
   */
  readonly outcome: 'revoked' | 'already' | 'expired' | 'not_revocable' | 'unknown';
  /** Seconds after which nothing takes the token any more. */
  readonly deadWithin: number;
  readonly lease: Lease | undefined;
}

const unknown: Revocation = { outcome: 'unknown', deadWithin: 0, lease: undefined };

/**
 * Closes the lease for good and kills its token. Throws `ClusterFault` when the token may live: the lease then says
 * `revoking`, and sweeping goes on with it.
 */
export async function revokeLease(services: LeaseServices, name: string, why: string): Promise<Revocation> {
  return untilUnchanged(services, name, async (lease) => close(services, lease, why));
}

/**
 * The same for somebody who has a token that says it is of that turn of the lease. What it says anybody can arrange who
 * may make objects and tokens in the namespace, so the API server is asked about the UID before the lease is touched.
 * `signers`: names of the clusters whose keys signed the token. A token of an earlier turn, or one that the broker took
 * back, ends alone.
 */
export async function revokeToken(
  services: LeaseServices,
  presented: { readonly name: string; readonly turn: number; readonly binding: TokenBinding },
  signers: readonly string[],
): Promise<Revocation> {
  const { name, turn, binding } = presented;
  return untilUnchanged(services, name, async (lease) => {
    if (!signers.includes(lease.cluster) || !isOfTurn(binding, lease, turn)) return unknown;
    const closed = lease.state === 'revoking' || lease.state === 'revoked';
    const live = lease.state === 'active' && turn === lease.turn;
    // What is not live goes by its name, whatever its UID. Where clusters share a key it may be another's all the same.
    if (live || signers.length > 1) {
      const isOwn = await isBoundObject(clusterOf(services, lease), lease, turn, binding.object?.uid);
      if (!isOwn) return unknown;
    }
    if (live || closed) return close(services, lease, 'revoked by its holder');
    return { outcome: 'revoked', deadWithin: await revokeTurn(services, lease, turn), lease };
  });
}

/** Undefined if somebody changed the lease since it was read. */
async function close(services: LeaseServices, lease: Lease, why: string): Promise<Revocation | undefined> {
  const { store } = services;
  const now = await store.now();
  const expired = now !== undefined && lease.endsAt <= now;
  if (lease.bound === 'none') {
    const seconds = untilEnd(lease, now);
    if (lease.state === 'revoked') return { outcome: 'already', deadWithin: seconds, lease };
    const marked = await store.mark(lease, 'revoked', why);
    return marked && { outcome: expired ? 'expired' : 'not_revocable', deadWithin: seconds, lease: marked };
  }
  if (lease.state === 'revoked') {
    // Whoever said so may have been mistaken, so its objects go once more.
    const seconds = expired ? deadWithin.cached : await removeTurns(services, lease);
    return { outcome: 'already', deadWithin: seconds, lease };
  }
  const marked = lease.state === 'revoking' ? lease : await store.mark(lease, 'revoking', why);
  if (marked === undefined) return undefined;
  const { seconds, lease: done } = await finishLease(services, marked);
  return { outcome: expired ? 'expired' : 'revoked', deadWithin: expired ? deadWithin.atOnce : seconds, lease: done };
}

/** Kills the token of one turn; gives the seconds after which it is dead. Throws `ClusterFault` when it may live. */
async function revokeTurn(services: LeaseServices, lease: Lease, turn: number): Promise<number> {
  return removeTurns(services, lease, { turn, only: true });
}

/** Does what `revoking` and `withdrawing` promise. */
export async function finishLease(
  services: LeaseServices,
  lease: Lease,
): Promise<{ readonly seconds: number; readonly lease: Lease }> {
  const seconds = await removeTurns(services, lease);
  const state = lease.state === 'withdrawing' ? 'withdrawn' : 'revoked';
  // The token is dead; if this fails the sweep says so once more.
  const done = await services.store.mark(lease, state, lease.why).catch(() => undefined);
  return { seconds, lease: done ?? lease };
}

async function removeTurns(
  services: LeaseServices,
  lease: Lease,
  which: Pick<RemoveOptions, 'turn' | 'only'> = {},
): Promise<number> {
  const block = mayBeUnderWay(lease, await services.store.now());
  const seconds = await removeBound(services.clusters, lease, { ...which, block });
  // What is gone already may have gone a moment ago: by the sweep, or by a call that got no answer.
  return Math.max(seconds, deadWithin.cached);
}

/** Seconds; all of its life if nobody knows the time. */
function untilEnd({ endsAt, renewedAt }: Lease, now = renewedAt): number {
  return Math.max(0, Math.ceil((endsAt - now) / 1000));
}

/** Again while somebody else changes the lease. Throws `ClusterFault` when that goes on. */
async function untilUnchanged(
  { store }: LeaseServices,
  name: string,
  attempt: (lease: Lease) => Promise<Revocation | undefined>,
): Promise<Revocation> {
  for (let count = 1; ; count += 1) {
    const lease = await store.get(name);
    if (lease === undefined) return unknown;
    const done = await attempt(lease);
    if (done !== undefined) return done;
    if (count === 5) {
      const why = `The lease ${name} keeps changing.`;
      throw new ClusterFault(lease.cluster, 'unavailable', why, { ambiguous: false, retryable: true });
    }
  }
}

import { KleisError } from '../../shared/errors.ts';
import { shownHolder } from './holder.ts';
import { type Lease, type LeaseRequest, retryWindow } from './lease.ts';
import { createLiveCount, type LiveCount } from './live-count.ts';
import type { LeaseStore } from './store.ts';

export interface LiveLimits {
  readonly perGrant: number;
  /** Of one `sub` of one issuer. */
  readonly perSubject: number;
}

export interface LiveOptions {
  /** As of now. */
  readonly limits: () => LiveLimits;
  readonly now: () => number;
  /** Runs what goes on by itself. */
  readonly background: (what: string, work: () => Promise<unknown>) => void;
  /** Told of each request that was beyond a limit. */
  readonly onLimit?: (by: 'leases_per_grant' | 'leases_per_subject') => void;
}

/** Live leases, as far as this replica knows of them. */
export interface LiveUsage {
  readonly byGrant: ReadonlyMap<string, number>;
  /** Of the grant, and of the subject, that has the most: which part of its limit is used. */
  readonly perGrant: number;
  readonly perSubject: number;
}

export interface LimitedStore extends LeaseStore {
  usage(): LiveUsage;
}

/** A lease that this replica took lately. */
interface Taken {
  readonly keys: readonly string[];
  readonly endsAt: number;
  /** When; ms. */
  readonly at: number;
}

/** A look at all leases, while it goes on. */
interface Look {
  readonly count: LiveCount;
  readonly began: number;
  /** Taken here lately, and in the list. */
  readonly listed: Set<string>;
  /** Ended here meanwhile: the list is of when the look began. */
  readonly ended: Set<string>;
}

/** Milliseconds; a list of all leases is the dearest thing that a broker asks for. */
const lookEvery = 30_000;
/** It takes a tenth of the time at most, however many there are. */
const restFor = 9;
const tidyEvery = 60_000;
const pageSize = 200;

const ofGrant = 'grant ';
const keysOf = ({ grant, holder }: { readonly grant: string; readonly holder: string }) =>
  [`${ofGrant}${grant}`, `subject ${holder}`] as const;

/**
 * The same store, which takes no lease beyond the limits: `acquire` throws `rate_limited` then. It counts what goes through
 * it, and looks at all leases, those of other replicas among them, when it takes its first and once half of a limit is
 * used. So several replicas together may exceed a limit by what they take until they look again. Of leases it remembers
 * only when they end, so that many cost little.
 */
export function limitLive(store: LeaseStore, { limits, now, background, onLimit }: LiveOptions): LimitedStore {
  let live = createLiveCount();
  const taken = new Map<string, Taken>();
  /** Requests under way, by the same keys. */
  const pending = new Map<string, number>();
  let looking: Look | undefined;
  /** It has looked at all leases once. */
  let informed = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let restUntil = Number.NEGATIVE_INFINITY;
  let tidiedAt = now();

  function add(lease: Lease): void {
    const keys = keysOf(lease);
    const { name, endsAt } = lease;
    const before = taken.get(name);
    if (before !== undefined) live.remove(before.keys, before.endsAt);
    live.add(keys, endsAt);
    taken.set(name, { keys, endsAt, at: now() });
    looking?.ended.delete(name);
  }

  function end(lease: Lease): void {
    if (lease.state !== 'active') return;
    const { name, endsAt } = lease;
    live.remove(keysOf(lease), endsAt);
    taken.delete(name);
    if (looking === undefined) return;
    looking.count.remove(keysOf(lease), endsAt);
    looking.ended.add(name);
  }

  function tidy(): void {
    if (now() - tidiedAt < tidyEvery && now() >= tidiedAt) return;
    tidiedAt = now();
    live.tidy(now());
    if (looking !== undefined) return;
    for (const [name, { at }] of taken) if (Math.abs(now() - at) > retryWindow) taken.delete(name);
  }

  /** Others take and end leases too. */
  function look(): void {
    const began = now();
    if (looking !== undefined || (began < restUntil && began >= lookedAt)) return;
    const mine: Look = { count: createLiveCount(), began, listed: new Set(), ended: new Set() };
    looking = mine;
    lookedAt = began;
    background('count live leases', async () => {
      try {
        let next: string | undefined;
        do {
          const page = await store.list({ limit: pageSize, continue: next, state: 'active' });
          for (const lease of page.leases) see(mine, lease);
          next = page.continue;
        } while (next !== undefined);
        for (const [name, { keys, endsAt, at }] of taken) {
          if (at >= began || mine.listed.has(name)) mine.count.add(keys, endsAt);
        }
        live = mine.count;
        informed = true;
      } finally {
        looking = undefined;
        restUntil = began + Math.max(lookEvery, (now() - began) * (1 + restFor));
      }
    });
  }

  function see({ count, listed, ended }: Look, lease: Lease): void {
    const { name, endsAt } = lease;
    if (lease.state !== 'active' || endsAt <= now() || ended.has(name)) return;
    if (taken.has(name)) listed.add(name);
    else count.add(keysOf(lease), endsAt);
  }

  function assertRoom(key: string, limit: number, whose: 'grant' | 'subject'): void {
    const used = live.count(key, now()) + (pending.get(key) ?? 0);
    if (!informed || (used + 1) * 2 >= limit) look();
    if (used < limit) return;
    const first = live.firstEnd(key, now());
    const seconds = first === undefined ? 1 : Math.ceil((first - now()) / 1000);
    onLimit?.(`leases_per_${whose}`);
    throw new KleisError('rate_limited', `There are as many live tokens of this ${whose} as there may be.`, {
      hint: 'Revoke those that nobody needs any more, or wait as long as Retry-After says.',
      detail: `limits.leases, ${key}`,
      retryAfter: Math.max(1, seconds),
    });
  }

  async function acquire(request: LeaseRequest): ReturnType<LeaseStore['acquire']> {
    tidy();
    const keys = keysOf({ grant: request.grant, holder: shownHolder(request.holder) });
    // The same request again takes the place that it has.
    if (!taken.has(request.name)) {
      const { perGrant, perSubject } = limits();
      assertRoom(keys[0], perGrant, 'grant');
      assertRoom(keys[1], perSubject, 'subject');
    }
    const wait = (by: number) => {
      for (const key of keys) {
        const count = (pending.get(key) ?? 0) + by;
        if (count > 0) pending.set(key, count);
        else pending.delete(key);
      }
    };
    wait(1);
    try {
      const acquired = await store.acquire(request);
      if (acquired.kind === 'retry' && !taken.has(acquired.previous.name)) end(acquired.previous);
      if (acquired.kind !== 'replayed') add(acquired.lease);
      return acquired;
    } finally {
      wait(-1);
    }
  }

  return {
    ...store,
    acquire,
    usage() {
      const byGrant = new Map<string, number>();
      let mostOfSubject = 0;
      for (const [key, count] of live.counts(now())) {
        if (key.startsWith(ofGrant)) byGrant.set(key.slice(ofGrant.length), count);
        else mostOfSubject = Math.max(mostOfSubject, count);
      }
      const { perGrant, perSubject } = limits();
      return { byGrant, perGrant: Math.max(0, ...byGrant.values()) / perGrant, perSubject: mostOfSubject / perSubject };
    },
    async mark(lease, state, why) {
      const marked = await store.mark(lease, state, why);
      if (marked !== undefined && state !== 'active') end(lease);
      return marked;
    },
    async remove(lease) {
      const removed = await store.remove(lease);
      if (removed) end(lease);
      return removed;
    },
  };
}

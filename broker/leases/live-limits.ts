import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Lease, LeaseRequest } from './lease.ts';
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
}

interface Known {
  readonly grant: string;
  readonly holder: string;
  readonly endsAt: number;
  /** When it was seen last; ms. */
  readonly seenAt: number;
}

/** Milliseconds; a list of all leases is the dearest thing that a broker asks for. */
const lookEvery = 30_000;
const tidyEvery = 60_000;
const pageSize = 500;

const keysOf = ({ grant, holder }: { readonly grant: string; readonly holder: string }) =>
  [`grant ${grant}`, `subject ${holder}`] as const;

/**
 * The same store, which takes no lease beyond the limits: `acquire` throws `rate_limited` then. It counts what goes through
 * it, of this replica and of others, and looks at all leases once half of a limit is used. So several replicas together
 * may exceed a limit by what they take within half a minute.
 */
export function limitLive(store: LeaseStore, { limits, now, background }: LiveOptions): LeaseStore {
  const known = new Map<string, Known>();
  const names = new Map<string, Set<string>>();
  /** Requests under way, by the same keys. */
  const pending = new Map<string, number>();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let tidiedAt = now();
  let looking = false;

  function forget(name: string): void {
    const lease = known.get(name);
    if (lease === undefined) return;
    known.delete(name);
    for (const key of keysOf(lease)) {
      const set = names.get(key);
      set?.delete(name);
      if (set?.size === 0) names.delete(key);
    }
  }

  function learn(lease: Lease): Lease {
    const { name, grant, holder, endsAt, state } = lease;
    forget(name);
    if (state !== 'active' || endsAt <= now()) return lease;
    known.set(name, { grant, holder, endsAt, seenAt: now() });
    for (const key of keysOf(lease)) {
      const set = names.get(key) ?? new Set();
      names.set(key, set.add(name));
    }
    return lease;
  }

  function tidy(): void {
    if (now() - tidiedAt < tidyEvery && now() >= tidiedAt) return;
    tidiedAt = now();
    for (const [name, { endsAt }] of known) if (endsAt <= now()) forget(name);
  }

  /** Others take and end leases too. */
  function look(): void {
    const began = now();
    if (looking || (began - lookedAt < lookEvery && began >= lookedAt)) return;
    looking = true;
    lookedAt = began;
    background('count live leases', async () => {
      try {
        let next: string | undefined;
        do {
          const page = await store.list({ limit: pageSize, continue: next, state: 'active' });
          for (const lease of page.leases) learn(lease);
          next = page.continue;
        } while (next !== undefined);
        for (const [name, { seenAt }] of known) if (seenAt < began) forget(name);
      } finally {
        looking = false;
      }
    });
  }

  function assertRoom(key: string, limit: number, whose: string): void {
    const own = names.get(key);
    const used = () => (own?.size ?? 0) + (pending.get(key) ?? 0);
    if ((used() + 1) * 2 >= limit) look();
    if (used() < limit) return;
    let first = Number.POSITIVE_INFINITY;
    for (const name of own ?? []) {
      const { endsAt } = known.get(name)!;
      if (endsAt <= now()) forget(name);
      else first = Math.min(first, endsAt);
    }
    if (used() < limit) return;
    const seconds = Number.isFinite(first) ? Math.ceil((first - now()) / 1000) : 1;
    throw new KleisError('rate_limited', `There are as many live tokens of this ${whose} as there may be.`, {
      hint: 'Revoke those that nobody needs any more, or wait as long as Retry-After says.',
      detail: `limits.leases, ${key}`,
      retryAfter: Math.max(1, seconds),
    });
  }

  async function acquire(request: LeaseRequest): ReturnType<LeaseStore['acquire']> {
    tidy();
    const keys = keysOf({ grant: request.grant, holder: clean(request.holder, 120) || 'unknown' });
    // The same request again takes the place that it has.
    if (!known.has(request.name)) {
      const { perGrant, perSubject } = limits();
      assertRoom(keys[0], perGrant, 'grant');
      assertRoom(keys[1], perSubject, 'subject');
    }
    const add = (by: number) => {
      for (const key of keys) {
        const count = (pending.get(key) ?? 0) + by;
        if (count > 0) pending.set(key, count);
        else pending.delete(key);
      }
    };
    add(1);
    try {
      const acquired = await store.acquire(request);
      if (acquired.lease !== undefined) learn(acquired.lease);
      return acquired;
    } finally {
      add(-1);
    }
  }

  return {
    ...store,
    acquire,
    async mark(lease, state, why) {
      const marked = await store.mark(lease, state, why);
      return marked && learn(marked);
    },
    async list(query) {
      const page = await store.list(query);
      for (const lease of page.leases) learn(lease);
      return page;
    },
    async remove(lease) {
      const removed = await store.remove(lease);
      if (removed) forget(lease.name);
      return removed;
    },
  };
}

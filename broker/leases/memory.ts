import { randomUUID } from 'node:crypto';
import { clean } from '../../shared/text.ts';
import { judge, type Lease, newLease, nextTurn, randomLeaseName } from './lease.ts';
import type { Acquired, LeaseStore } from './store.ts';

/** Leases of this process alone, for trying things out: a restart forgets which subject tokens were used. */
export function createMemoryStore(now: () => number): LeaseStore {
  const leases = new Map<string, Lease>();
  let version = 0;

  function put(lease: Omit<Lease, 'uid' | 'resourceVersion'>, uid: string): Lease {
    version += 1;
    const stored: Lease = { ...lease, uid, resourceVersion: String(version) };
    leases.set(stored.name, stored);
    return stored;
  }

  /** As it was read, or undefined: the same as a precondition on uid and resourceVersion. */
  function unchanged({ name, uid, resourceVersion }: Lease): Lease | undefined {
    const stored = leases.get(name);
    return stored?.uid === uid && stored.resourceVersion === resourceVersion ? stored : undefined;
  }

  return {
    async acquire(request): Promise<Acquired> {
      const existing = leases.get(request.name);
      if (existing === undefined) return { kind: 'new', lease: put(newLease(request), randomUUID()) };
      const verdict = judge(existing, request);
      if (verdict !== 'replayed') {
        const lease = put(nextTurn(existing, request), existing.uid);
        return verdict === 'take' ? { kind: 'new', lease } : { kind: 'retry', lease, previous: existing };
      }
      if (request.singleUse) return { kind: 'replayed', lease: existing };
      return { kind: 'new', lease: put(newLease({ ...request, name: randomLeaseName() }), randomUUID()) };
    },
    async mark(lease, state, why) {
      const stored = unchanged(lease);
      return stored && put({ ...stored, state, why: why === undefined ? undefined : clean(why, 120) }, stored.uid);
    },
    async get(name) {
      return leases.get(name);
    },
    async list({ limit, continue: after = '', grant, state, unfinished, dueBy }) {
      const found = Array.from(leases.values())
        .filter(
          (lease) =>
            lease.name > after &&
            (grant === undefined || lease.grant === grant) &&
            (state === undefined || lease.state === state) &&
            (unfinished !== true || lease.state.endsWith('ing')) &&
            (dueBy === undefined || lease.until <= dueBy),
        )
        .toSorted((left, right) => (left.name < right.name ? -1 : 1));
      const page = found.slice(0, limit);
      return { leases: page, continue: found.length > page.length ? page.at(-1)?.name : undefined };
    },
    async remove(lease) {
      if (!leases.has(lease.name)) return true;
      return unchanged(lease) !== undefined && leases.delete(lease.name);
    },
    now: async () => now(),
    async check() {},
  };
}

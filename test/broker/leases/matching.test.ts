import { describe, expect, it } from 'vitest';
import { ClusterFault } from '../../../broker/cluster/fault.ts';
import type { Lease } from '../../../broker/leases/lease.ts';
import { compileWanted, eachMatching, type Wanted } from '../../../broker/leases/matching.ts';
import type { LeaseQuery, LeaseStore } from '../../../broker/leases/store.ts';
import { storedLease } from './rows.ts';

const now = Date.UTC(2026, 0, 1);
const bounds = { budget: 60_000, counting: 60_000 };
const lease = (name: string, more: Partial<Lease> = {}) =>
  storedLease(now, { name, holder: 'ci repo:acme/web:ref:x', endsAt: now + 60_000, ...more });

/** Of that time, with these on each page. */
function store(pages: readonly (readonly Lease[] | Error)[], time: number | undefined = now) {
  const queries: LeaseQuery[] = [];
  return {
    queries,
    now: async () => time,
    list: async (query: LeaseQuery) => {
      queries.push(query);
      const index = Number(query.continue ?? 0);
      const page = pages[index] ?? [];
      if (page instanceof Error) throw page;
      return { leases: page, continue: index + 1 < pages.length ? String(index + 1) : undefined };
    },
  };
}

const unavailable = (cluster: string) =>
  new ClusterFault(cluster, 'unavailable', 'it is down', { ambiguous: false, retryable: true });

async function run(source: Pick<LeaseStore, 'list' | 'now'>, wanted: Wanted, more: Partial<typeof bounds> = {}) {
  const done: string[] = [];
  const result = await eachMatching(source, wanted, async ({ name }) => void done.push(name), { ...bounds, ...more });
  return { done, result };
}

describe('what is done for each lease that is wanted', () => {
  it('is done for those alone that all that is said fits, on all pages', async () => {
    const source = store([
      [lease('a'), lease('b', { grant: 'other' }), lease('c', { cluster: 'test' })],
      [lease('d', { holder: 'gh repo:acme/web:ref:x' }), lease('e', { holder: 'ci repo:acme/website' }), lease('f')],
    ]);
    const wanted = { grant: 'deploy-web', cluster: 'prod', issuer: 'ci', subject: 'repo:acme/web' };
    const { done, result } = await run(source, wanted);
    expect(done).toEqual(['a', 'f']);
    expect(result).toEqual({ tried: 2, failed: 0, fault: undefined, left: 0, counted: true });
    expect(source.queries[0]).toMatchObject({ state: 'active', grant: 'deploy-web' });
  });

  it('is not done for those whose token has ended, unless the time is not certain', async () => {
    const ended = [lease('a', { endsAt: now }), lease('b', { endsAt: now + 1 })];
    expect((await run(store([ended]), {})).done).toEqual(['b']);
    const unsure = { ...store([ended]), now: async () => undefined };
    expect((await run(unsure, {})).done).toEqual(['a', 'b']);
  });

  it('ends when the time is over; those left are counted, as far as there is time for that', async () => {
    const pages = [
      [lease('a'), lease('b')],
      [lease('c', { grant: 'other' }), lease('d')],
    ];
    const none = await run(store(pages), { grant: 'deploy-web' }, { budget: 0 });
    expect(none).toEqual({ done: [], result: { tried: 0, failed: 0, fault: undefined, left: 3, counted: true } });
    const uncounted = await run(store(pages), { grant: 'deploy-web' }, { budget: 0, counting: 0 });
    expect(uncounted.result).toMatchObject({ left: 2, counted: false });
  });

  it('goes on past what fails; a cluster that does not answer is asked by no more than those at work', async () => {
    const leases = Array.from({ length: 40 }, (_, index) =>
      lease(`l${index}`, { cluster: index % 2 ? 'down' : 'prod' }),
    );
    const asked: string[] = [];
    const result = await eachMatching(
      store([leases]),
      {},
      async ({ cluster, name }) => {
        asked.push(cluster);
        await Promise.resolve();
        if (cluster === 'down') throw new Error('in our words', { cause: unavailable('down') });
        if (name === 'l2') throw new Error('one of its own');
      },
      bounds,
    );
    expect(asked.filter((cluster) => cluster === 'prod')).toHaveLength(20);
    expect(asked.filter((cluster) => cluster === 'down').length).toBeLessThanOrEqual(4);
    expect(result.tried + result.left).toBe(40);
    expect(result.left).toBeGreaterThanOrEqual(16);
    expect(result.fault).toBeInstanceOf(Error);
  });

  it('a store that cannot be asked is a fault at the first page, and later the end of what was done', async () => {
    await expect(run(store([unavailable('state')]), {})).rejects.toThrow('it is down');
    const { done, result } = await run(store([[lease('a')], unavailable('state')]), {});
    expect(done).toEqual(['a']);
    expect(result).toMatchObject({ tried: 1, counted: false, fault: { message: 'it is down' } });
  });

  it("a name that no grant can have is nobody's, and never becomes part of a question", async () => {
    const source = store([[lease('a', { grant: 'a,b' })]]);
    expect((await run(source, { grant: 'deploy-web,kleis.dev/cluster=prod' })).result).toMatchObject({
      tried: 0,
      left: 0,
    });
    expect(source.queries).toEqual([]);
  });

  it('an empty wish is for all of them, and a subject that was cut counts as any that it may be', () => {
    expect(compileWanted({})(lease('a'))).toBe(true);
    const cut = `ci ${'x'.repeat(116)}…`;
    expect(compileWanted({ subject: 'x'.repeat(300) })({ ...lease('a'), holder: cut })).toBe(true);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Lease } from '../../../broker/leases/lease.ts';
import { createOverview, noteChanges, type Overview, type OverviewOptions } from '../../../broker/leases/overview.ts';
import { createMemoryStore } from '../../../broker/leases/memory.ts';
import type { LeasePage, LeaseQuery } from '../../../broker/leases/store.ts';
import { until } from '../../support/wait.ts';
import { storedLease } from './rows.ts';
import { leaseRequest } from './world.ts';

const begin = Date.UTC(2026, 0, 1);
let time: number;
let overview: Overview | undefined;

beforeEach(() => {
  time = begin;
});
afterEach(() => overview?.forget());

/** A store whose pages a test hands out one by one. */
function handedOut() {
  const waiting: { resolve: (page: LeasePage) => void; reject: (error: Error) => void; query: LeaseQuery }[] = [];
  let asked = 0;
  return {
    store: {
      list: async (query: LeaseQuery) => {
        asked += 1;
        return new Promise<LeasePage>((resolve, reject) => waiting.push({ resolve, reject, query }));
      },
    },
    asked: () => asked,
    async give(leases: readonly Lease[], more?: string) {
      const one = await until('a question', () => waiting.shift());
      one.resolve({ leases, continue: more });
      return one.query;
    },
    async fail(message: string) {
      (await until('a question', () => waiting.shift())).reject(new Error(message));
    },
  };
}

const open = (store: Parameters<typeof createOverview>[0], more: Partial<OverviewOptions> = {}): Overview => {
  overview = createOverview(store, { now: () => time, ...more });
  return overview;
};
const named = (...names: readonly string[]) => names.map((name) => storedLease(begin, { name }));

describe('the overview of leases', () => {
  it('reads nothing before somebody looks, shows what was read so far, and all of it in the end', async () => {
    const source = handedOut();
    const view = open(source.store);
    expect(source.asked()).toBe(0);
    const first = await view.look(0);
    expect(first).toMatchObject({ rows: [], whole: false, underWay: 0, at: begin });
    await source.give(named('a', 'b'), 'more');
    const query = until('the second page', () => (source.asked() === 2 ? true : undefined));
    await query;
    expect(await view.look(0)).toMatchObject({ whole: false, underWay: 2, rows: [{ name: 'a' }, { name: 'b' }] });
    const soFar = await view.look(0);
    const last = view.look(10_000);
    expect((await source.give(named('c'))).continue).toBe('more');
    expect(await last).toMatchObject({ whole: true, underWay: undefined, at: begin, fault: undefined, cut: false });
    expect((await view.look(0)).rows.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(soFar.rows).toHaveLength(2);
  });

  it('reads once for all who look at a time, and again when what was read is old', async () => {
    const source = handedOut();
    const view = open(source.store);
    const looks = [view.look(10_000), view.look(10_000)];
    await source.give(named('a'));
    await Promise.all(looks);
    time += 1_900;
    expect(await view.look(0)).toMatchObject({ at: begin, whole: true, underWay: undefined });
    expect(source.asked()).toBe(1);
    time += 100;
    expect(await view.look(0)).toMatchObject({ at: begin, whole: true, underWay: 0 });
    const next = view.look(10_000);
    await source.give(named('b'));
    expect(await next).toMatchObject({ at: begin + 2_000, rows: [{ name: 'b' }] });
    expect(source.asked()).toBe(2);
  });

  it('of very many leases is read for a tenth of the time at most', async () => {
    const source = handedOut();
    const view = open(source.store);
    const look = view.look(10_000);
    const waiting = until('the question', () => (source.asked() === 1 ? true : undefined));
    await waiting;
    time += 5_000;
    await source.give(named('a'));
    await look;
    time = begin + 49_000;
    expect(await view.look(0)).toMatchObject({ underWay: undefined });
    time = begin + 50_000;
    expect(await view.look(0)).toMatchObject({ underWay: 0 });
  });

  it('a store that fails leaves what was read before, says why, and is asked again', async () => {
    const source = handedOut();
    const view = open(source.store);
    const look = view.look(10_000);
    await source.give(named('a'));
    await look;
    time += 20_000;
    const failed = view.look(10_000);
    await source.fail('it is\ngone');
    expect(await failed).toMatchObject({ whole: false, fault: 'it is gone', rows: [{ name: 'a' }], at: begin });
    time += 1_000;
    await view.look(0);
    expect(source.asked()).toBe(2);
    time += 3_000;
    const healed = view.look(10_000);
    await source.give(named('b'));
    expect(await healed).toMatchObject({ whole: true, fault: undefined, rows: [{ name: 'b' }] });
  });

  it('keeps no more than it may, and says so', async () => {
    const source = handedOut();
    const view = open(source.store, { most: 2 });
    const look = view.look(10_000);
    await source.give(named('a', 'b', 'c'), 'more');
    expect(await look).toMatchObject({
      cut: true,
      whole: false,
      rows: [{ name: 'a' }, { name: 'b' }],
      underWay: undefined,
    });
    expect(source.asked()).toBe(1);
  });

  it('forgets all when nobody has looked for a while, and reads no further', async () => {
    const source = handedOut();
    const view = open(source.store, { keepFor: 20 });
    await view.look(0);
    await source.give(named('a'), 'more');
    await until('the second page', () => (source.asked() === 2 ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 60));
    await source.give(named('b'), 'more');
    expect(await view.look(0)).toMatchObject({ rows: [], underWay: 0 });
    // Of the new reading; the old one asked for no third page.
    expect(source.asked()).toBe(3);
  });

  it('shows what this replica ended since, in what was read before and in what is read now', async () => {
    const store = createMemoryStore(() => time);
    const view = open(store);
    const noted = noteChanges(store, view);
    const { lease } = await store.acquire(leaseRequest(time));
    expect(await view.look(10_000)).toMatchObject({ rows: [{ state: 'active' }] });
    await noted.mark(lease!, 'revoked', 'it leaked');
    expect(await view.look(0)).toMatchObject({ rows: [{ state: 'revoked', why: 'it leaked' }] });

    const source = handedOut();
    const late = open(source.store);
    await late.look(0);
    late.note({ name: 'a', state: 'revoking', why: 'now' });
    const look = late.look(10_000);
    await source.give(named('a', 'b'));
    expect((await look).rows.map(({ state }) => state)).toEqual(['revoking', 'active']);
  });
});

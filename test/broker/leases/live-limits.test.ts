import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Lease, LeaseRequest } from '../../../broker/leases/lease.ts';
import { limitLive } from '../../../broker/leases/live-limits.ts';
import { createMemoryStore } from '../../../broker/leases/memory.ts';
import type { LeaseStore } from '../../../broker/leases/store.ts';
import { leaseRequest, minute } from './world.ts';

let time: number;
let shared: LeaseStore;
let store: LeaseStore;
let limits: { perGrant: number; perSubject: number };
let work: Promise<unknown>[];

const replica = () =>
  limitLive(shared, { limits: () => limits, now: () => time, background: (_, run) => void work.push(run()) });
const settled = async () => Promise.all(work.splice(0));

beforeEach(() => {
  time = Date.now();
  limits = { perGrant: 4, perSubject: 2 };
  work = [];
  shared = createMemoryStore(() => time);
  store = replica();
});

const take = async (more: Partial<LeaseRequest> = {}, from = store) => from.acquire(leaseRequest(time, more));
const refused = { code: 'rate_limited', status: 429 };

describe('live leases', () => {
  it('of one subject are as many as may be, whatever the grant, and those of others do not count', async () => {
    await take({ holder: 'ci a', grant: 'g' });
    await take({ holder: 'ci a', grant: 'h' });
    await expect(take({ holder: 'ci a', grant: 'i' })).rejects.toMatchObject(refused);
    await expect(take({ holder: 'other a', grant: 'g' })).resolves.toMatchObject({ kind: 'new' });
  });

  it('of one grant are as many as may be, whoever has them', async () => {
    for (const holder of ['a', 'b', 'c', 'd']) await take({ holder });
    await expect(take({ holder: 'e' })).rejects.toMatchObject(refused);
    await expect(take({ holder: 'e', grant: 'other' })).resolves.toMatchObject({ kind: 'new' });
  });

  it('are no more when their requests come all at once', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => take({ holder: 'a' })));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  });

  it('count until they end, and the refusal says when that is', async () => {
    await take({ holder: 'a', endsAt: time + 10 * minute });
    await take({ holder: 'a', endsAt: time + 20 * minute });
    await expect(take({ holder: 'a' })).rejects.toMatchObject({ ...refused, retryAfter: 600 });
    time += 10 * minute;
    await expect(take({ holder: 'a' })).resolves.toMatchObject({ kind: 'new' });
  });

  it('tell how many of each grant there are, which part of a limit the fullest uses, and what was refused', async () => {
    const refusals: string[] = [];
    const told = limitLive(shared, {
      limits: () => limits,
      now: () => time,
      background: (_, run) => void work.push(run()),
      onLimit: (by) => refusals.push(by),
    });
    expect(told.usage()).toEqual({ byGrant: new Map(), perGrant: 0, perSubject: 0 });
    await take({ holder: 'a', grant: 'g', endsAt: time + 10 * minute }, told);
    await take({ holder: 'b', grant: 'g', endsAt: time + 20 * minute }, told);
    await take({ holder: 'b', grant: 'h', endsAt: time + 20 * minute }, told);
    const byGrant = new Map([
      ['g', 2],
      ['h', 1],
    ]);
    expect(told.usage()).toEqual({ byGrant, perGrant: 0.5, perSubject: 1 });
    await expect(take({ holder: 'b', grant: 'i' }, told)).rejects.toMatchObject(refused);
    expect(refusals).toEqual(['leases_per_subject']);
    time += 15 * minute;
    expect(told.usage()).toMatchObject({ perGrant: 0.25, perSubject: 1 });
    time += 10 * minute;
    expect(told.usage()).toEqual({ byGrant: new Map(), perGrant: 0, perSubject: 0 });
  });

  it('count no longer when they are revoked, or when their mint failed', async () => {
    for (const state of ['revoked', 'free'] as const) {
      const { lease } = await take({ holder: state });
      await take({ holder: state });
      await expect(take({ holder: state })).rejects.toMatchObject(refused);
      await store.mark(lease!, state);
      await expect(take({ holder: state })).resolves.toMatchObject({ kind: 'new' });
    }
  });

  it('leave the same request its place when it comes again', async () => {
    const request = leaseRequest(time, { holder: 'a', idempotencyHash: 'k'.repeat(20) });
    await store.acquire(request);
    await take({ holder: 'a' });
    await expect(store.acquire(request)).resolves.toMatchObject({ kind: 'retry' });
  });

  it('of other replicas count too, once half of a limit is used', async () => {
    const other = replica();
    await take({ holder: 'a' }, other);
    await take({ holder: 'a' });
    await settled();
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
  });

  it('that another replica has ended make room again within half a minute', async () => {
    const other = replica();
    const { lease } = await take({ holder: 'a' });
    await take({ holder: 'a' });
    await other.mark((await other.get(lease!.name))!, 'revoked');
    await settled();
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
    time += 30_000;
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
    await settled();
    await expect(take({ holder: 'a' })).resolves.toMatchObject({ kind: 'new' });
  });

  it('go by the limits of the configuration in force', async () => {
    await take({ holder: 'a' });
    await take({ holder: 'a' });
    limits = { perGrant: 10, perSubject: 3 };
    await expect(take({ holder: 'a' })).resolves.toMatchObject({ kind: 'new' });
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
  });

  it('that were there before this replica count from its first lease on, once it has looked', async () => {
    limits = { perGrant: 100, perSubject: 100 };
    for (let index = 0; index < 98; index += 1) await shared.acquire(leaseRequest(time, { holder: 'a' }));
    await take({ holder: 'a' });
    await settled();
    await take({ holder: 'a' });
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
  });

  it('are looked at again when the first look failed', async () => {
    const list = shared.list.bind(shared);
    shared.list = async () => Promise.reject(new Error('no answer'));
    store = replica();
    limits = { perGrant: 100, perSubject: 5 };
    for (let index = 0; index < 5; index += 1) await shared.acquire(leaseRequest(time, { holder: 'a' }));
    await take({ holder: 'b' });
    await Promise.allSettled(work.splice(0));
    shared.list = list;
    time += 30_000;
    await take({ holder: 'b' });
    await settled();
    await expect(take({ holder: 'a' })).rejects.toMatchObject(refused);
  });

  it('are looked at for a tenth of the time at most', async () => {
    const list = shared.list.bind(shared);
    let looks = 0;
    shared.list = async (query) => {
      looks += 1;
      time += 60_000;
      return list(query);
    };
    store = replica();
    limits = { perGrant: 100, perSubject: 2 };
    await take({ holder: 'a' });
    await settled();
    for (let minutes = 0; minutes < 8; minutes += 1) {
      time += minute;
      await take({ holder: String(minutes) });
      await settled();
    }
    expect(looks).toBe(1);
    time += minute;
    await take({ holder: 'b' });
    await settled();
    expect(looks).toBe(2);
  });

  it('are counted exactly, whatever replicas did before, between and during two looks', async () => {
    const step = fc.record({
      what: fc.constantFrom('take', 'take', 'take', 'elsewhere', 'again', 'revoke', 'revoke elsewhere', 'wait', 'look'),
      which: fc.nat({ max: 30 }),
      minutes: fc.integer({ min: 1, max: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        time = Date.now();
        limits = { perGrant: 1_000, perSubject: 1_000 };
        shared = createMemoryStore(() => time);
        store = replica();
        const other = replica();
        const requests: LeaseRequest[] = [];
        const current = async (index: number): Promise<Lease | undefined> =>
          requests.length === 0 ? undefined : shared.get(requests[index % requests.length]!.name);
        for (const { what, which, minutes } of steps) {
          time += 1;
          if (what === 'take' || what === 'elsewhere') {
            const key = { idempotencyHash: String(requests.length).padStart(20, 'k') };
            const request = leaseRequest(time, { ...key, holder: 'a', endsAt: time + minutes * minute });
            requests.push(request);
            await (what === 'take' ? store : other).acquire(request);
          } else if (what === 'again' && requests.length > 0) {
            const request = requests[which % requests.length]!;
            await store.acquire({ ...request, now: time });
          } else if (what === 'wait') time += minutes * 10_000;
          else if (what === 'look') {
            // Begins now and goes on while the next steps are done.
            time += 30_000;
            limits = { perGrant: 1, perSubject: 1_000 };
            await store.acquire(leaseRequest(time, { holder: 'probe' })).catch(() => undefined);
            limits = { perGrant: 1_000, perSubject: 1_000 };
          } else {
            const lease = await current(which);
            if (lease?.state === 'active') await (what === 'revoke' ? store : other).mark(lease, 'revoked');
          }
        }
        await settled();
        time += 30_000;
        limits = { perGrant: 1_000, perSubject: 1 };
        await store.acquire(leaseRequest(time, { holder: 'a' })).catch(() => undefined);
        await settled();
        const page = await shared.list({ limit: 500, state: 'active' });
        const alive = page.leases.filter(({ endsAt, holder }) => holder === 'a' && endsAt > time).length;
        limits = { perGrant: 1_000, perSubject: Math.max(1, alive) };
        const more = store.acquire(leaseRequest(time, { holder: 'a' }));
        await (alive === 0
          ? expect(more).resolves.toMatchObject({ kind: 'new' })
          : expect(more).rejects.toMatchObject(refused));
        limits = { perGrant: 1_000, perSubject: alive + 1 };
        if (alive > 0) await expect(take({ holder: 'a' })).resolves.toMatchObject({ kind: 'new' });
      }),
      { numRuns: 150 },
    );
  });
});

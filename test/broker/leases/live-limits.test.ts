import { beforeEach, describe, expect, it } from 'vitest';
import type { LeaseRequest } from '../../../broker/leases/lease.ts';
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
});

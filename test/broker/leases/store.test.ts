import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lease, LeaseRequest } from '../../../broker/leases/lease.ts';
import type { Acquired, LeaseStore } from '../../../broker/leases/store.ts';
import { leaseRequest, minute, startStateWorld, stateKinds, type StateWorld } from './world.ts';

const key = 'k'.repeat(64);

function leaseOf(acquired: Acquired): Lease {
  if (acquired.lease === undefined) throw new Error('there is no lease');
  return acquired.lease;
}

async function everything(store: LeaseStore, query: Partial<Parameters<LeaseStore['list']>[0]>): Promise<Lease[]> {
  const found: Lease[] = [];
  let next: string | undefined;
  do {
    const page = await store.list({ limit: 3, ...query, continue: next });
    found.push(...page.leases);
    next = page.continue;
  } while (next !== undefined);
  return found;
}

for (const kind of stateKinds()) {
  describe.skipIf(kind.skip)(`leases kept as ${kind.title}`, () => {
    let world: StateWorld;
    let one: LeaseStore;
    let other: LeaseStore;
    const now = () => world.clock.now();

    beforeAll(async () => {
      world = await startStateWorld(kind);
      one = world.store();
      other = world.store();
    });
    afterAll(() => world?.stop());

    it('gives a single-use token to one of thirty requests at two replicas', async () => {
      const request = leaseRequest(now());
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, index) => (index % 2 === 0 ? one : other).acquire(request)),
      );
      expect(answers.filter(({ kind: what }) => what === 'new')).toHaveLength(1);
      expect(answers.filter(({ kind: what }) => what === 'replayed')).toHaveLength(29);
    });

    it('keeps everything that it was told, on one line', async () => {
      const request = leaseRequest(now(), {
        name: `r${'f'.repeat(62)}`,
        grant: 'deploy.web-2',
        idempotencyHash: key,
        holder: `github\n\u001b[31macme/web ${'x'.repeat(500)}`,
        account: { namespace: 'kleis-ephemeral', name: 'whatever' },
        bound: 'account',
        access: ['web', 'api'],
      });
      const lease = leaseOf(await one.acquire(request));
      expect(await other.get(request.name)).toEqual(lease);
      expect(lease).toMatchObject({
        grant: 'deploy.web-2',
        cluster: 'prod',
        account: { namespace: 'kleis-ephemeral', name: `kleis-${request.name}-0` },
        bound: 'account',
        access: ['web', 'api'],
        subjectHash: request.subjectHash,
        idempotencyHash: key,
        acquiredAt: request.now,
        renewedAt: request.now,
        endsAt: request.endsAt,
        turn: 0,
        state: 'active',
        why: undefined,
      });
      expect(lease.holder).toMatch(/^github \[31macme\/web x+…$/);
      expect(lease.holder.length).toBeLessThanOrEqual(120);
      // Ten minutes after the last of the two tokens has ended.
      expect(lease.until).toBe(Math.ceil((request.endsAt + 10 * minute) / minute));
    });

    it('outlives the subject token where that ends last, and nothing where it may come again', async () => {
      const late = { subjectExpiresAt: now() + 60 * minute };
      const single = leaseOf(await one.acquire(leaseRequest(now(), late)));
      const many = leaseOf(await one.acquire(leaseRequest(now(), { ...late, singleUse: false })));
      expect(single.until - many.until).toBe(45);
    });

    it('lets the same request in again within two minutes, and once only at a time', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      const first = leaseOf(await one.acquire(request));
      const again = await other.acquire({ ...request, now: request.now + 2 * minute });
      expect(again).toMatchObject({ kind: 'retry', previous: { turn: 0, nonce: first.nonce }, lease: { turn: 1 } });
      expect(leaseOf(again)).toMatchObject({ uid: first.uid, acquiredAt: first.acquiredAt, state: 'active' });
      // The first request finds out that it is no longer its own.
      expect(await one.mark(first, 'free')).toBeUndefined();
      expect(await one.mark(first, 'withdrawing')).toBeUndefined();

      const many = await Promise.all([one, other, one, other].map((store) => store.acquire(request)));
      const turns = many.flatMap((each) => (each.kind === 'retry' ? [each.lease.turn] : []));
      expect(new Set(turns).size).toBe(turns.length);
      expect(turns).not.toHaveLength(0);
    });

    it.each([
      ['another key', { idempotencyHash: 'j'.repeat(64) }],
      ['no key', { idempotencyHash: undefined }],
      ['another grant', { grant: 'deploy-api' }],
      ['another token of the same id', { subjectHash: 'b'.repeat(64) }],
      ['another kind of account', { bound: 'none' as const }],
      ['two minutes and a second later', { later: 2 * minute + 1000 }],
    ])('takes %s for a replay', async (_, { later = 0, ...more }: Partial<LeaseRequest> & { later?: number }) => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      await one.acquire(request);
      expect((await other.acquire({ ...request, now: request.now + later, ...more })).kind).toBe('replayed');
    });

    it('lets no request in again whose token nothing can end', async () => {
      for (const state of ['active', 'withdrawn'] as const) {
        const request = leaseRequest(now(), { idempotencyHash: key, bound: 'none' });
        await one.mark(leaseOf(await one.acquire(request)), state, 'x');
        expect((await other.acquire(request)).kind).toBe('replayed');
      }
    });

    it('lets a job try again when minting failed for certain, but not for ever', async () => {
      const request = leaseRequest(now());
      let tries = 0;
      for (let kindOf = 'new'; kindOf === 'new' && tries < 100; tries += 1) {
        const acquired = await one.acquire(request);
        kindOf = acquired.kind;
        if (kindOf === 'new') await one.mark(leaseOf(acquired), 'free');
      }
      expect(tries).toBeGreaterThan(20);
      expect(tries).toBeLessThan(60);
      for (let index = 0, last = ''; last !== 'replayed'; index += 1) {
        expect(index).toBeLessThan(10);
        const own = leaseRequest(now(), { name: `p-${request.name}`.slice(0, 40) });
        const acquired = await one.acquire({ ...own, account: { namespace: `ns-${index}`, name: 'x' } });
        last = acquired.kind;
        if (last === 'new') await one.mark(leaseOf(acquired), 'free');
      }
    });

    it('takes the same request without any key for a replay', async () => {
      const request = leaseRequest(now());
      await one.acquire(request);
      expect((await other.acquire(request)).kind).toBe('replayed');
    });

    it('never opens a lease again that was revoked', async () => {
      for (const state of ['revoking', 'revoked'] as const) {
        const request = leaseRequest(now(), { idempotencyHash: key });
        await one.mark(leaseOf(await one.acquire(request)), state, 'an admin said so');
        const answer = await other.acquire(request);
        expect(answer).toMatchObject({ kind: 'replayed', lease: { state, why: 'an admin said so' } });
      }
    });

    it('opens a lease that the broker withdrew for the same request alone', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      await one.mark(leaseOf(await one.acquire(request)), 'withdrawn', 'the caller was gone');
      expect((await other.acquire({ ...request, idempotencyHash: undefined })).kind).toBe('replayed');
      expect(await other.acquire(request)).toMatchObject({ kind: 'retry', lease: { state: 'active', why: undefined } });
    });

    it('gives a lease that is free to one of ten, whatever their grant', async () => {
      const request = leaseRequest(now());
      const lease = leaseOf(await one.acquire(request));
      expect(await one.mark(lease, 'free')).toMatchObject({ state: 'free' });
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          (index % 2 === 0 ? one : other).acquire({ ...request, grant: `grant-${index}` }),
        ),
      );
      expect(answers.filter(({ kind: what }) => what === 'new')).toHaveLength(1);
      expect(answers.find(({ kind: what }) => what === 'new')?.lease).toMatchObject({ turn: 1, state: 'active' });
      expect(await other.get(request.name)).toMatchObject({ turn: 1 });
    });

    it('does not refuse a token that is not single-use', async () => {
      const request = leaseRequest(now(), { singleUse: false, idempotencyHash: key });
      const first = leaseOf(await one.acquire(request));
      expect((await other.acquire(request)).kind).toBe('retry');
      const later = await other.acquire({ ...request, now: request.now + 3 * minute });
      expect(later.kind).toBe('new');
      expect(leaseOf(later).name).not.toBe(first.name);
    });

    it('changes and removes nothing that somebody else changed, and brings nothing back', async () => {
      const lease = leaseOf(await one.acquire(leaseRequest(now())));
      const marked = await other.mark(lease, 'revoking', 'why');
      expect(marked).toMatchObject({ state: 'revoking', why: 'why' });
      expect(await one.mark(lease, 'withdrawn')).toBeUndefined();
      expect(await one.remove(lease)).toBe(false);
      expect(await one.remove(marked!)).toBe(true);
      expect(await other.remove(marked!)).toBe(true);
      expect(await other.mark(marked!, 'revoked')).toBeUndefined();
      expect(await one.get(lease.name)).toBeUndefined();
    });

    it('knows no lease by a name that none can have', async () => {
      expect(await one.get('../secrets/x')).toBeUndefined();
      expect(await one.get('a'.repeat(64))).toBeUndefined();
      await expect(one.acquire(leaseRequest(now(), { name: 'A_b' }))).rejects.toThrow('malformed');
    });

    it('lists by grant, state and end, page by page, and nothing else that is kept there', async () => {
      if (!kind.memory) {
        await world.cluster.request('POST', '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases', {
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata: { name: 'anchor', namespace: 'kleis-state' },
        });
        expect((await one.acquire(leaseRequest(now(), { name: 'anchor' }))).kind).toBe('replayed');
        expect(await one.get('anchor')).toBeUndefined();
      }
      const grant = 'listed';
      const made: Lease[] = [];
      for (let index = 0; index < 8; index += 1) {
        const more = { grant, endsAt: now() + (15 + index) * minute };
        made.push(leaseOf(await one.acquire(leaseRequest(now(), more))));
      }
      await one.mark(made[2]!, 'revoked');
      const names = async (query: Parameters<typeof everything>[1]) =>
        (await everything(other, query)).map(({ name }) => name).toSorted();
      expect(await names({ grant })).toEqual(made.map(({ name }) => name).toSorted());
      expect(await names({ grant, state: 'revoked' })).toEqual([made[2]!.name]);
      expect(await names({ grant, state: 'active' })).toHaveLength(7);
      expect(await names({ grant, dueBy: made[3]!.until })).toHaveLength(4);
      expect(await names({ grant, dueBy: made[0]!.until - 1 })).toEqual([]);
      const [revoking, withdrawing] = [made[4]!, made[5]!];
      await one.mark(revoking, 'revoking');
      await one.mark(withdrawing, 'withdrawing');
      await one.mark((await one.mark(made[6]!, 'withdrawing'))!, 'withdrawn');
      await one.mark(made[7]!, 'free');
      expect(await names({ grant, unfinished: true })).toEqual([revoking.name, withdrawing.name].toSorted());
      expect(await names({})).not.toContain('anchor');
      await other.check();
    });
  });
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBound, pullKillSwitch } from '../../../broker/leases/bound-objects.ts';
import { boundName, type Lease, leaseOfBound } from '../../../broker/leases/lease.ts';
import {
  freeLease,
  type LeaseServices,
  openLease,
  type Opened,
  withdrawLease,
} from '../../../broker/leases/lifecycle.ts';
import { revokeLease } from '../../../broker/leases/revocation.ts';
import { sweep } from '../../../broker/leases/sweep.ts';
import { mint } from '../../../broker/cluster/mint.ts';
import { expectDead } from '../../support/dead.ts';
import { leaseRequest, minute, mintFor, startStateWorld, stateKinds, type StateWorld } from './world.ts';

const key = 'k'.repeat(64);
const secrets = '/api/v1/namespaces/kleis-identities/secrets';
const accounts = '/api/v1/namespaces/kleis-ephemeral/serviceaccounts';
const bindings = (namespace: string) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`;
const access = [
  { kind: 'Role', namespace: 'web', name: 'deployer' },
  { kind: 'ClusterRole', namespace: 'api', name: 'view' },
] as const;
const ephemeral = { bound: 'account' as const, account: { namespace: 'kleis-ephemeral', name: 'ephemeral' } };

type Taken = Exclude<Opened, { kind: 'replayed' }>;

for (const kind of stateKinds()) {
  describe.skipIf(kind.skip)(`tokens of leases kept as ${kind.title}`, () => {
    let world: StateWorld;
    let one: LeaseServices;
    let other: LeaseServices;
    const now = () => world.clock.now();
    const prod = () => one.clusters.get('prod')!;

    beforeAll(async () => {
      world = await startStateWorld(kind);
      [one, other] = [world.replica(), world.replica()];
    });
    afterAll(() => world?.stop());

    async function open(services: LeaseServices, more: Parameters<typeof leaseRequest>[1] = {}): Promise<Taken> {
      const opened = await openLease(services, leaseRequest(now(), more), more.bound === 'account' ? access : []);
      if (opened.kind === 'replayed') throw new Error('replayed');
      return opened;
    }

    it('minted by one replica, revoked by the other, for good', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      const opened = (await openLease(one, request)) as Taken;
      const minted = await mintFor(one, opened);
      expect(await world.names(secrets)).toContain(opened.target.boundSecret?.name);
      expect(leaseOfBound(opened.target.boundSecret?.name ?? '')).toEqual({ name: request.name, turn: 0 });

      const revocation = await revokeLease(other, request.name, 'by hand');
      expect(revocation).toMatchObject({
        outcome: 'revoked',
        deadWithin: 10,
        lease: { state: 'revoked', why: 'by hand' },
      });
      // It was never used, so nothing remembers it.
      await expectDead(world, minted.token.reveal());
      expect(await revokeLease(one, request.name, 'again')).toMatchObject({ outcome: 'already' });
      expect((await openLease(one, request)).kind).toBe('replayed');
      expect(await revokeLease(one, 'l-unknown', 'x')).toMatchObject({ outcome: 'unknown', lease: undefined });
    });

    it('die with the lease when they were used, too', async () => {
      const opened = await open(one);
      const token = (await mintFor(one, opened)).token.reveal();
      expect(await world.ask(token)).toBe(201);
      const began = Date.now();
      const { deadWithin } = await revokeLease(other, opened.lease.name, 'x');
      await expectDead(world, token);
      expect(Date.now() - began).toBeLessThan((deadWithin + 2) * 1000);
    });

    it('give way to that of an honest retry, at another replica', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      const first = await mintFor(one, await openLease(one, request));
      const again = (await openLease(other, { ...request, now: now() })) as Taken;
      expect(again.kind).toBe('retry');
      const second = await mintFor(other, again);
      await expectDead(world, first.token.reveal());
      expect(await world.ask(second.token.reveal())).toBe(201);
      expect(second.jti).not.toBe(first.jti);
    });

    it('cannot be minted any more by a request that a retry overtook, wherever it was', async () => {
      for (const more of [{}, ephemeral]) {
        const request = leaseRequest(now(), { idempotencyHash: key, ...more });
        const slow = await one.store.acquire({ ...request, access: more === ephemeral ? ['web', 'api'] : [] });
        const retry = await openLease(other, request, more === ephemeral ? access : []);
        expect(retry.kind).toBe('retry');
        // The first comes to itself, and goes on where it was: it has the lease and has not made its object.
        await expect(createBound(prod(), slow.lease!, access)).rejects.toMatchObject({ reason: 'superseded' });
        // A third request must not open the way for the first one again.
        const third = (await openLease(other, request, more === ephemeral ? access : [])) as Taken;
        await expect(createBound(prod(), slow.lease!, access)).rejects.toMatchObject({ reason: 'superseded' });
        expect(await world.ask((await mintFor(other, third)).token.reveal())).toBe(201);
      }
    });

    it('cannot be minted by a request whose lease was revoked while it was under way', async () => {
      const before = await one.store.acquire(leaseRequest(now()));
      await revokeLease(other, before.lease!.name, 'x');
      await expect(createBound(prod(), before.lease!)).rejects.toMatchObject({ reason: 'superseded' });

      const between = await open(one);
      await revokeLease(other, between.lease.name, 'x');
      await expect(mintFor(one, between)).rejects.toMatchObject({ reason: 'superseded', retryable: true });
    });

    it('leave the subject token unused when they could not be minted', async () => {
      const request = leaseRequest(now());
      const opened = (await openLease(one, request)) as Taken;
      expect(await freeLease(one, opened)).toBe(true);
      expect(await world.names(secrets)).not.toContain(opened.target.boundSecret?.name);
      const next = await openLease(other, { ...request, grant: 'another' });
      expect(next).toMatchObject({ kind: 'new', lease: { turn: 1, grant: 'another', state: 'active' } });
    });

    it('leave a retry that failed to the same request alone', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      await mintFor(one, await openLease(one, request));
      expect(await freeLease(other, (await openLease(other, request)) as Taken)).toBe(false);
      expect((await openLease(one, { ...request, idempotencyHash: undefined })).kind).toBe('replayed');
      expect((await openLease(one, request)).kind).toBe('retry');
    });

    it('are taken back when the caller is gone, and the same request gets another', async () => {
      const request = leaseRequest(now(), { idempotencyHash: key });
      const opened = (await openLease(one, request)) as Taken;
      const minted = await mintFor(one, opened);
      expect(await withdrawLease(one, opened.lease, 'the caller is gone')).toBe(true);
      await expectDead(world, minted.token.reveal());
      expect(await other.store.get(request.name)).toMatchObject({ state: 'withdrawn', why: 'the caller is gone' });
      const again = await openLease(other, request);
      expect(await world.ask((await mintFor(other, again)).token.reveal())).toBe(201);
      // Whoever was overtaken takes back what is his and nothing else.
      expect(await withdrawLease(one, opened.lease, 'late')).toBe(true);
      expect(await other.store.get(request.name)).toMatchObject({ state: 'active', turn: 1 });
    });

    it('of an account of their own can do what its Roles say, and leave nothing', async () => {
      const opened = await open(one, ephemeral);
      const { lease, target } = opened;
      const name = boundName(lease);
      expect(target.account).toMatchObject({ namespace: 'kleis-ephemeral', name });
      const made = (await world.cluster.request('GET', `${bindings('api')}/${name}-1`)) as unknown as {
        roleRef: object;
        subjects: object[];
      };
      expect(made.roleRef).toMatchObject({ kind: 'ClusterRole', name: 'view' });
      expect(made.subjects).toEqual([{ kind: 'ServiceAccount', name, namespace: 'kleis-ephemeral' }]);
      const minted = await mintFor(one, opened);
      expect(minted.uidChecked).toBe(true);
      expect(await revokeLease(other, lease.name, 'x')).toMatchObject({ outcome: 'revoked', deadWithin: 10 });
      await expectDead(world, minted.token.reveal());
      expect(await world.names(bindings('web'))).not.toContain(`${name}-0`);
      expect(await world.names(bindings('api'))).not.toContain(`${name}-1`);
      // What keeps its place goes with the lease.
      await world.later(40 * minute, () => sweep(other));
      expect(await world.names(accounts)).not.toContain(name);
    });

    it('live a little longer when somebody put a finalizer on their Secret, and the answer says so', async () => {
      const opened = await open(one);
      const path = `${secrets}/${opened.target.boundSecret!.name}`;
      await world.cluster.request('PATCH', path, { metadata: { finalizers: ['example.com/keep'] } });
      const revocation = await revokeLease(other, opened.lease.name, 'x');
      expect(revocation).toMatchObject({ outcome: 'revoked', deadWithin: 70 });
      await world.cluster.request('PATCH', path, { metadata: { finalizers: [] } });
      expect(await world.names(secrets)).not.toContain(opened.target.boundSecret!.name);
    });

    it('that nothing of their own is bound to are told from those that can be revoked', async () => {
      const request = leaseRequest(now(), {
        bound: 'none',
        account: { namespace: 'web', name: 'deployer' },
        idempotencyHash: key,
      });
      const opened = (await openLease(one, request)) as Taken;
      expect(opened.target).toEqual({ account: { namespace: 'web', name: 'deployer' } });
      expect(await withdrawLease(one, opened.lease, 'gone')).toBe(false);
      const revocation = await revokeLease(other, request.name, 'x');
      expect(revocation.outcome).toBe('not_revocable');
      expect(revocation.deadWithin).toBeGreaterThan(14 * 60);
      expect((await openLease(one, request)).kind).toBe('replayed');
    });

    it('all die with the kill switch, and none is minted without it', async () => {
      const name = 'kleis-kill-deployer';
      const web = '/api/v1/namespaces/web/secrets';
      const manifest = { apiVersion: 'v1', kind: 'Secret', type: 'kleis.dev/kill-switch', metadata: { name } };
      await world.cluster.request('POST', web, manifest);
      const request = { account: { namespace: 'web', name: 'deployer' }, ttl: 600, boundSecret: { name } };
      const minted = await mint(prod(), request);
      expect(await pullKillSwitch(prod(), 'web', name)).toBe(10);
      await expectDead(world, minted.token.reveal());
      expect(await pullKillSwitch(prod(), 'web', name)).toBeUndefined();
      await expect(mint(prod(), request)).rejects.toMatchObject({ reason: 'bound_missing', ambiguous: false });
    });

    describe('swept', () => {
      const sweepAt = (offset: number) => world.later(offset, () => sweep(one, { pageSize: 4 }));

      it('by two replicas at once: everything that ended and nothing that did not', async () => {
        await sweepAt(24 * 60 * minute);
        const due: Taken[] = [];
        for (let index = 0; index < 10; index += 1) due.push(await open(one, index % 2 === 0 ? {} : ephemeral));
        const later = await open(one, { endsAt: now() + 60 * minute });
        // Their tokens have ended, but not ten minutes ago.
        expect((await sweepAt(24 * minute)).removed).toBe(0);
        const [first, second] = await world.later(26 * minute, () =>
          Promise.all([sweep(one, { pageSize: 4 }), sweep(other, { pageSize: 3 })]),
        );
        expect(first.failed + second.failed).toBe(0);
        for (const { lease } of due) expect(await other.store.get(lease.name)).toBeUndefined();
        expect(await world.names(accounts)).toEqual([]);
        expect(await world.names(bindings('web'))).toEqual([]);
        expect(await world.names(bindings('api'))).toEqual([]);
        expect((await world.names(secrets)).filter((name) => name.startsWith('kleis-'))).toEqual([
          later.target.boundSecret?.name,
        ]);
        expect(await one.store.get(later.lease.name)).toMatchObject({ state: 'active' });
      });

      it('where a broker was killed half way through a revocation or a withdrawal', async () => {
        const killed = await Promise.all([open(one), open(one), open(one, ephemeral)]);
        const tokens = await Promise.all(killed.map((each) => mintFor(one, each)));
        const states = ['revoking', 'withdrawing', 'revoking'] as const;
        await Promise.all(killed.map(({ lease }, index) => one.store.mark(lease, states[index]!, 'why')));
        const result = await sweep(other);
        expect(result).toMatchObject({ finished: 3, failed: 0, fault: undefined });
        for (const { token } of tokens) await expectDead(world, token.reveal());
        const found = await Promise.all(killed.map(({ lease }) => one.store.get(lease.name)));
        expect(found.map((lease) => lease?.state)).toEqual(['revoked', 'withdrawn', 'revoked']);
        expect(found[0]).toMatchObject({ why: 'why' });
      });

      it('a day late where no configuration knows their cluster any more', async () => {
        const acquired = await one.store.acquire(leaseRequest(now(), { cluster: 'gone' }));
        expect((await sweepAt(26 * minute)).abandoned).toBe(0);
        expect(await one.store.get(acquired.lease!.name)).toBeDefined();
        expect((await sweepAt(26 * minute + 24 * 60 * minute)).abandoned).toBe(1);
        expect(await one.store.get(acquired.lease!.name)).toBeUndefined();
      });

      it('with every turn that they had', async () => {
        const request = leaseRequest(now(), { idempotencyHash: key });
        let lease: Lease | undefined;
        for (let turn = 0; turn < 4; turn += 1) ({ lease } = await openLease(one, request));
        expect(lease?.turn).toBe(3);
        expect((await world.names(secrets)).filter((name) => name.includes(request.name))).toHaveLength(4);
        await sweepAt(60 * minute);
        expect((await world.names(secrets)).filter((name) => name.includes(request.name))).toEqual([]);
      });
    });
  });
}

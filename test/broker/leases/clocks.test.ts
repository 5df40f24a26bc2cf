import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { type LeaseServices, leaseTime, openLease } from '../../../broker/leases/lifecycle.ts';
import { sweep } from '../../../broker/leases/sweep.ts';
import { createDropped, revokeDropped } from '../../../broker/service/dropped-grants.ts';
import { needs } from '../../support/needs.ts';
import { startStandInCluster } from '../../support/stand-in/cluster.ts';
import { load } from '../rbac/fixture.ts';
import { startAppWorld } from '../routes/world.ts';
import { clusterConfig, leaseRequest, minute, mintFor, startStateWorld, type StateWorld } from './world.ts';

const kinds = [
  { kind: 'stand-in' as const, skip: false },
  { kind: '1.36' as const, skip: !needs('kube') },
];
const wrong = [
  ['two hours ahead', 120 * minute],
  ['two hours behind', -120 * minute],
  ['a minute ahead', minute],
] as const;

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`a replica at ${kind}`, () => {
    let world: StateWorld;
    let honest: LeaseServices;
    const now = () => Date.now();

    beforeAll(async () => {
      world = await startStateWorld({ cluster: kind, memory: false });
      honest = world.replica();
    });
    afterEach(() => {
      if (world.standIn !== undefined) world.standIn.fault = undefined;
    });
    afterAll(() => world?.stop());

    const replicaAt = (offset: number) => world.replica({ now: () => Date.now() + offset });

    it.each(wrong)('that is %s removes nothing, and takes no lease', async (_, offset) => {
      const request = leaseRequest(now());
      const opened = await openLease(honest, request);
      const { token } = await mintFor(honest, opened);
      const late = await openLease(honest, leaseRequest(now() - 60 * minute));
      const other = replicaAt(offset);
      expect(await sweep(other)).toMatchObject({ removed: 0, fault: { message: expect.stringContaining('clocks') } });
      await expect(leaseTime(other)).rejects.toMatchObject({ reason: 'unavailable', retryable: true });
      expect(await world.ask(token.reveal())).toBe(201);
      expect((await openLease(honest, request)).kind).toBe('replayed');
      expect((await sweep(honest)).removed).toBeGreaterThan(0);
      expect(await honest.store.get(late.lease!.name)).toBeUndefined();
      expect(await world.ask(token.reveal())).toBe(201);
    });

    it.each([
      ['ahead', 20_000],
      ['behind', -20_000],
    ])('that is a little %s keeps leases by the time of the API server', async (_, offset) => {
      const time = await leaseTime(replicaAt(offset));
      expect(Math.abs(time - Date.now())).toBeLessThan(5_000);
    });

    it('whose clock is set while it runs looks anew', async () => {
      let offset = 0;
      const own = world.replica({ now: () => Date.now() + offset });
      expect(await own.store.now()).toBeDefined();
      offset = 120 * minute;
      expect(own.clusters.get('prod')!.kube.skew()).toBeUndefined();
      expect(await own.store.now()).toBeUndefined();
      offset = 0;
      expect(await own.store.now()).toBeDefined();
    });

    it('that is wrong leaves tokens of grants that it does not know alone', async () => {
      let offset = 0;
      const own = world.replica({ now: () => Date.now() + offset });
      const opened = await openLease(honest, leaseRequest(now(), { grant: 'newer' }));
      const { token } = await mintFor(honest, opened);
      const services = {
        dropped: createDropped(() => Date.now() + offset),
        loaded: load(),
        audit: { record: async () => undefined },
        telemetry: { revoked: () => undefined },
        log: { warn: () => undefined },
      } as unknown as Parameters<typeof revokeDropped>[0];
      for (offset of [20 * minute, -20 * minute]) {
        await revokeDropped(services, own, new AbortController().signal);
      }
      expect(await world.ask(token.reveal())).toBe(201);
    });

    it('gives the lifetime that the token has', async () => {
      const opened = await openLease(honest, leaseRequest(now()));
      if (world.standIn !== undefined) world.standIn.clockOffset = 25_000;
      const { lifetime } = await mintFor(honest, opened, 900);
      if (world.standIn !== undefined) world.standIn.clockOffset = 0;
      expect(lifetime).toBe(900);
    });
  });
}

describe('time that is not certain', () => {
  let world: StateWorld;
  let services: LeaseServices;

  beforeAll(async () => {
    world = await startStateWorld({ cluster: 'stand-in', memory: false });
    services = world.replica();
  });
  afterAll(() => world.stop());

  it('at the cluster of a lease leaves the lease alone, and others go', async () => {
    const far = await startStandInCluster();
    const clusters = openClusters(
      {
        prod: clusterConfig(world.cluster.adminKubeconfig),
        far: clusterConfig(far.adminKubeconfig, { name: 'far' }),
      },
      { clock: Date, env: {} },
    );
    try {
      const both = { ...services, clusters };
      far.standIn.clockOffset = -60 * minute;
      const own = await services.store.acquire(leaseRequest(Date.now() - 60 * minute));
      const there = await services.store.acquire(leaseRequest(Date.now() - 60 * minute, { cluster: 'far' }));
      expect(await sweep(both)).toMatchObject({ removed: 1, failed: 1 });
      expect(await services.store.get(own.lease!.name)).toBeUndefined();
      expect(await services.store.get(there.lease!.name)).toBeDefined();
      far.standIn.clockOffset = 0;
      const again = { ...both, clusters: openClusters({ far: clusters.get('far')!.config }, { clock: Date, env: {} }) };
      expect(await sweep(again)).toMatchObject({ removed: 1, failed: 0 });
      again.clusters.close();
    } finally {
      clusters.close();
      await far.stop();
    }
  });

  it('since nobody tells it ends nothing', async () => {
    const late = await services.store.acquire(leaseRequest(Date.now() - 60 * minute));
    const own = world.replica();
    world.standIn.fault = ({ path }) =>
      path === '/version' ? { kind: 'answer', status: 503, headers: { date: 'today' } } : undefined;
    try {
      expect(await own.store.now()).toBeUndefined();
    } finally {
      world.standIn.fault = undefined;
    }
    expect(await services.store.get(late.lease!.name)).toBeDefined();
  });
});

it('revokes a token that has not ended by the clock of its API server, whatever the broker’s says', async () => {
  const world = await startAppWorld();
  try {
    const broker = await world.start();
    world.state.clock.offset = -120 * minute;
    const behind = world.state.replica();
    const opened = await openLease(behind, leaseRequest(world.state.clock.now()));
    const { token } = await mintFor(behind, opened);
    const { body } = await broker.call('/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${token.reveal()}`,
    });
    expect(body).toMatchObject({ revoked: true, lease: opened.lease?.name });
    expect(await world.state.ask(token.reveal())).toBe(401);
  } finally {
    await world.stop();
  }
});

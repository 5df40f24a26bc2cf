import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ClusterFault } from '../../../broker/cluster/fault.ts';
import { mint } from '../../../broker/cluster/mint.ts';
import { createBound, pullKillSwitch, removeBound } from '../../../broker/leases/bound-objects.ts';
import { createKubernetesStore } from '../../../broker/leases/kubernetes.ts';
import type { Lease } from '../../../broker/leases/lease.ts';
import { openLease } from '../../../broker/leases/lifecycle.ts';
import { translate } from '../../../broker/http/faults.ts';
import { needs } from '../../support/needs.ts';
import { type Confined, startConfined } from '../rbac/cluster.ts';
import { leaseRequest, startStateWorld, type StateWorld } from '../leases/world.ts';

const kinds = [
  { kind: '1.36' as const, skip: !needs('kube') },
  { kind: '1.30' as const, skip: !needs('kube-1.30') },
];

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`an API server ${kind} that starts anew`, () => {
    let world: Confined;

    beforeAll(async () => {
      world = await startConfined(kind, false);
    }, 120_000);
    afterAll(() => world?.stop());

    it('refuses nothing for good that it allowed before', async () => {
      const { broker } = world;
      const store = createKubernetesStore({ kube: broker.kube, cluster: 'prod', namespace: 'kleis-state' });
      const round = async () => {
        const acquired = await store.acquire(leaseRequest(Date.now()));
        const lease = acquired.lease as Lease;
        const target = await createBound(broker, lease);
        await mint(broker, { ...target, ttl: 600 });
        await removeBound({ get: () => broker }, lease);
        await store.remove(lease);
      };
      await round();
      await world.cluster.restart?.();
      const faults: unknown[] = [];
      const deadline = performance.now() + 60_000;
      for (let done = 0; done < 20 && performance.now() < deadline;) {
        const results = await Promise.allSettled([round(), store.list({ limit: 1 }), store.check()]);
        const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
        faults.push(...failed);
        done = failed.length === 0 ? done + 1 : 0;
      }
      await round();
      expect(faults.filter((fault) => !(fault instanceof ClusterFault) || !fault.retryable)).toEqual([]);
      expect(faults.filter((fault) => translate(fault).code !== 'cluster_unavailable')).toEqual([]);
    }, 120_000);
  });
}

describe('a 403', () => {
  let world: StateWorld;

  beforeAll(async () => {
    world = await startStateWorld({ cluster: 'stand-in', memory: false });
  });
  afterEach(() => {
    world.standIn.fault = undefined;
    vi.restoreAllMocks();
  });
  afterAll(() => world.stop());

  const status = { kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'forbidden', code: 403 };
  const account = { namespace: 'web', name: 'deployer' };

  /** Every call that the broker makes, by what it is for. */
  async function eachCall(age: number) {
    const services = world.replica();
    const prod = services.clusters.get('prod')!;
    const opened = await openLease(services, leaseRequest(Date.now()));
    const lease = opened.lease!;
    const real = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => real() + age);
    world.standIn.fault = () => ({ kind: 'answer', status: 403, body: status });
    const calls: Record<string, () => Promise<unknown>> = {
      acquire: () => services.store.acquire(leaseRequest(Date.now())),
      mark: () => services.store.mark(lease, 'revoking', 'x'),
      get: () => services.store.get(lease.name),
      list: () => services.store.list({ limit: 1 }),
      remove: () => services.store.remove(lease),
      check: () => services.store.check(),
      'make what a token is bound to': () => createBound(prod, lease),
      'remove it': () => removeBound(services.clusters, lease),
      'pull a kill switch': () => pullKillSwitch(prod, 'web', 'kleis-kill'),
      mint: () => mint(prod, { account, ttl: 600 }),
      'mint with the UID asked for': () => mint(prod, { account: { ...account, readable: true }, ttl: 600 }),
    };
    const found: [name: string, retryable: boolean | undefined][] = [];
    // One after the other, over the connection that is there.
    for (const [name, call] of Object.entries(calls)) {
      const fault = await call().catch((error: unknown) => error);
      found.push([name, fault instanceof ClusterFault ? fault.retryable : undefined]);
    }
    return found;
  }

  it('just after a connection was made is not definite, whatever was asked', async () => {
    expect((await eachCall(0)).filter(([, retryable]) => retryable !== true)).toEqual([]);
  });

  it('later is', async () => {
    expect((await eachCall(11_000)).filter(([, retryable]) => retryable !== false)).toEqual([]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubeAnchors, startAnchoring } from '../../../broker/audit/anchors.ts';
import { until } from '../../support/wait.ts';
import { startStateWorld, type StateWorld } from '../leases/world.ts';

describe('anchors', () => {
  let world: StateWorld;
  beforeAll(async () => {
    world = await startStateWorld({ cluster: 'stand-in', memory: false });
  });
  afterAll(() => world.stop());
  const store = () => kubeAnchors(world.replica().clusters.get('prod')!.kube, 'kleis-state', () => world.clock.now());
  const head = (chain: string, seq: number) => ({ chain, seq, hash: String(seq % 10).repeat(64) });

  it('move with the head of the chain, also when their object was changed or removed meanwhile', async () => {
    const [one, other] = [store(), store()];
    await one.put(head('a', 1));
    await one.put(head('a', 2));
    await other.put(head('a', 3));
    await one.put(head('a', 4));
    expect(await one.list()).toMatchObject([{ chain: 'a', seq: 4, hash: '4'.repeat(64) }]);
    const path = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases/audit-a';
    await world.cluster.request('DELETE', path);
    await one.put(head('a', 5));
    expect(await other.list()).toMatchObject([{ chain: 'a', seq: 5 }]);
  });

  it('of audits that nobody keeps any more are removed', async () => {
    const anchors = store();
    await anchors.put(head('old', 1));
    world.clock.offset = 401 * 24 * 60 * 60 * 1000;
    await anchors.put(head('new', 1));
    await anchors.removeOlder(400 * 24 * 60 * 60 * 1000);
    world.clock.offset = 0;
    expect((await anchors.list()).map(({ chain }) => chain)).toEqual(['new']);
  });

  it('are put once a minute while something happens, and tell when they cannot be', async () => {
    let current = head('b', 1);
    const put: number[] = [];
    let fault: Error | undefined;
    const fake = {
      put: async ({ seq }: { seq: number }) => {
        if (fault) throw fault;
        put.push(seq);
      },
      list: async () => [],
      removeOlder: async () => undefined,
    };
    const anchoring = startAnchoring(fake, () => current, { now: Date.now, every: 10 });
    await until('the first', () => (put.length > 0 ? true : undefined));
    fault = new Error('the cluster is gone');
    current = head('b', 2);
    await until('the fault', () => (anchoring.health.ok ? undefined : true));
    expect(anchoring.health.lastError).toBe('the cluster is gone');
    fault = undefined;
    await until('the second', () => (put.includes(2) ? true : undefined));
    anchoring.stop();
    expect(put).toEqual([1, 2]);
  });
});

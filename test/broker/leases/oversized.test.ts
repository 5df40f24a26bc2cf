import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseServices } from '../../../broker/leases/lifecycle.ts';
import type { LeaseStore } from '../../../broker/leases/store.ts';
import { sweep } from '../../../broker/leases/sweep.ts';
import { leaseRequest, minute, startStateWorld, stateKinds, type StateWorld } from './world.ts';

const leases = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
const labelled = `${leases}?labelSelector=kleis.dev/until`;

for (const kind of stateKinds().filter(({ memory }) => !memory)) {
  describe.skipIf(kind.skip)(`beside what somebody wrote among the ${kind.title}`, () => {
    let world: StateWorld;
    let one: LeaseServices;

    beforeAll(async () => {
      world = await startStateWorld(kind);
    });
    beforeEach(() => {
      one = world.replica();
    });
    afterAll(() => world?.stop());

    /** Nothing that a broker takes for its own, in all its lists all the same. */
    async function write(name: string, filling: { readonly holder?: string; readonly note?: string }): Promise<void> {
      await world.cluster.request('POST', leases, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {
          name,
          namespace: 'kleis-state',
          labels: { 'kleis.dev/until': '1000000' },
          annotations: { note: filling.note ?? '' },
        },
        spec: { holderIdentity: filling.holder ?? 'x' },
      });
    }

    async function walk(store: LeaseStore, limit: number): Promise<string[]> {
      const names: string[] = [];
      let next: string | undefined;
      do {
        const page = await store.list({ limit, continue: next });
        names.push(...page.leases.map(({ name }) => name));
        next = page.continue;
      } while (next !== undefined);
      return names;
    }

    it('all leases are listed and swept, however large that is and wherever it stands', async () => {
      const own: string[] = [];
      for (const letter of ['b', 'd', 'f', 'y']) {
        const name = letter.repeat(33);
        await one.store.acquire(leaseRequest(world.clock.now(), { name }));
        own.push(name);
      }
      // Six bytes for each of the first in the JSON of a real API server: a page that holds nothing else is too large.
      for (const name of ['a', 'c', 'z']) await write(name, { holder: '<'.repeat(1_000_000) });
      for (let index = 0; index < 16; index += 1) await write(`e-${index}`, { note: 'x'.repeat(240 * 1024) });

      await one.store.check();
      expect(await walk(one.store, 500)).toEqual(own);
      const first = await one.store.list({ limit: 1, state: 'active' });
      expect(first).toMatchObject({ leases: [], continue: expect.any(String) });
      await world.later(60 * minute, async () => {
        expect(await sweep(one)).toMatchObject({ removed: own.length, failed: 0, more: false, fault: undefined });
      });
      expect(await walk(one.store, 500)).toEqual([]);
    }, 60_000);

    it('a round of the sweep gets to the leases behind it, however many there are', async () => {
      for (let index = 10; index < 30; index += 1) await write(`g-${index}`, {});
      const name = 'x'.repeat(33);
      await one.store.acquire(leaseRequest(world.clock.now(), { name }));
      await world.later(60 * minute, async () => {
        expect(await sweep(one, { pageSize: 1, pages: 1 })).toMatchObject({ removed: 1, failed: 0 });
      });
      expect(await one.store.get(name)).toBeUndefined();
      expect((await world.names(labelled)).filter((each) => each.startsWith('g-'))).toHaveLength(20);
    }, 60_000);
  });
}

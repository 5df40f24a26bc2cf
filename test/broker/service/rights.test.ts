import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rightsOf, type Right } from '../../../broker/rbac/rights.ts';
import type { MissingRight } from '../../../broker/cluster/clusters.ts';
import { createRightsReview } from '../../../broker/service/rights.ts';
import { needs } from '../../support/needs.ts';
import { type Confined, startConfined } from '../rbac/cluster.ts';
import { everyGrant, load } from '../rbac/fixture.ts';

const kinds = [
  { kind: '1.36' as const, skip: !needs('kube') },
  { kind: '1.30' as const, skip: !needs('kube-1.30') },
];

const texts = (missing: readonly MissingRight[]) => missing.map(({ text }) => text).toSorted();

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
  readonly resourceNames?: string[];
}

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`with what rbac prints, on ${kind}, the broker`, () => {
    let world: Confined;
    let review: () => Promise<readonly MissingRight[]>;
    let time = 0;

    beforeAll(async () => {
      world = await startConfined(kind, false);
      const asked = createRightsReview(
        () => world.loaded.config,
        () => time,
      );
      review = async () => {
        // A new lap each time.
        time += 10 * 60_000;
        return asked('prod', world.broker.kube);
      };
    }, 120_000);
    afterAll(() => world?.stop());

    it('knows that it may do all that it needs', async () => {
      expect(await review()).toEqual([]);
      expect(rightsOf(world.needs).length).toBeGreaterThan(10);
    });

    it('tells each verb that is taken away, and that it is back', async () => {
      const { name } = world.needs;
      const roleOf = ({ namespace }: Right) =>
        `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles/${name}`;
      for (const right of rightsOf(world.needs)) {
        const path = roleOf(right);
        const { rules } = (await world.admin('GET', path)) as unknown as { rules: Rule[] };
        const whole = right.subresource === '' ? right.resource : `${right.resource}/${right.subresource}`;
        const without = rules.flatMap((rule) => {
          if (!rule.resources.includes(whole) || !rule.verbs.includes(right.verb)) return [rule];
          const verbs = rule.verbs.filter((verb) => verb !== right.verb);
          const others = rule.resourceNames?.filter((each) => each !== right.name) ?? [];
          return [
            ...(verbs.length > 0 ? [{ ...rule, verbs }] : []),
            ...(others.length > 0 ? [{ ...rule, verbs: [right.verb], resourceNames: others }] : []),
          ];
        });
        await world.admin('PATCH', path, { rules: without });
        await expect.poll(async () => texts(await review()), { timeout: 15_000 }).toEqual([right.text]);
        // Outside of Kleis's own namespaces only some grants need a right, also one without a name.
        const ours = right.namespace.startsWith('kleis-');
        expect((await review())[0]?.shared).toBe(ours && right.name === undefined);
        await world.admin('PATCH', path, { rules });
        await expect.poll(async () => texts(await review()), { timeout: 15_000 }).toEqual([]);
      }
    }, 120_000);
  });
}

it('asks a bounded number of questions in a round, whatever the configuration holds', async () => {
  const { config } = load();
  const grant = Object.values(config.grants).find(({ account }) => account.kind === 'identity')!;
  const grants = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => {
      const name = `g${index}`;
      return [name, { ...grant, name, account: { ...grant.account, name } as typeof grant.account }];
    }),
  );
  let asked = 0;
  const kube = {
    request: async () => {
      asked += 1;
      return { body: { status: { allowed: asked % 50 !== 0 } } };
    },
  } as unknown as Parameters<ReturnType<typeof createRightsReview>>[1];
  let time = 0;
  const many = { ...config, grants };
  const review = createRightsReview(
    () => many,
    () => time,
  );
  const rounds: number[] = [];
  for (let index = 0; index < 20; index += 1) {
    asked = 0;
    await review('prod', kube);
    rounds.push(asked);
    time += 30_000;
  }
  expect(Math.max(...rounds)).toBeLessThanOrEqual(200);
  expect(rounds.reduce((sum, count) => sum + count)).toBeGreaterThan(500);
  expect(rounds.reduce((sum, count) => sum + count)).toBeLessThan(2500);
});

it('asks again in the next round what nobody answered, and keeps no round waiting for it', async () => {
  const { config } = load();
  let asked = 0;
  let silent = true;
  const kube = {
    request: async (_method: string, _path: string, { body }: { body: { spec: { resourceAttributes: Right } } }) => {
      asked += 1;
      if (silent) throw new Error('nobody answers');
      const { verb, resource } = body.spec.resourceAttributes;
      return { body: { status: { allowed: !(verb === 'delete' && resource === 'secrets') } } };
    },
  } as unknown as Parameters<ReturnType<typeof createRightsReview>>[1];
  const review = createRightsReview(
    () => config,
    () => 0,
  );
  expect(await review('prod', kube)).toEqual([]);
  expect(asked).toBeLessThan(10);
  silent = false;
  expect(texts(await review('prod', kube)).some((text) => text.startsWith('delete secrets'))).toBe(true);
});

it('asks a question of two rounds at once until one of them has its answer, and gives no server the answers of another', async () => {
  const { config } = load();
  const answering = (allowed: boolean) =>
    ({
      request: async () => {
        await Promise.resolve();
        return { body: { status: { allowed } } };
      },
    }) as unknown as Parameters<ReturnType<typeof createRightsReview>>[1];
  const review = createRightsReview(
    () => config,
    () => 0,
  );
  const [refusing, allowing] = [answering(false), answering(true)];
  const rounds = await Promise.all([review('prod', refusing), review('prod', refusing)]);
  expect(texts(rounds[1])).toEqual(texts(rounds[0]));
  expect(rounds[1].length).toBeGreaterThan(10);
  expect(await review('prod', allowing)).toEqual([]);
});

it('asks in the first round what everything needs, however many namespaces the accounts of leases may enter', async () => {
  const namespaces = Array.from({ length: 300 }, (_, index) => `team-${index}`);
  const { config } = load({
    ...everyGrant,
    lease: { ...everyGrant.lease, access: [{ namespaces, role: 'deployer' }] },
  });
  const kube = {
    request: async (_method: string, _path: string, { body }: { body: { spec: { resourceAttributes: Right } } }) => {
      return { body: { status: { allowed: body.spec.resourceAttributes.name !== undefined } } };
    },
  } as unknown as Parameters<ReturnType<typeof createRightsReview>>[1];
  const review = createRightsReview(
    () => config,
    () => 0,
  );
  const first = await review('prod', kube);
  expect(texts(first.filter(({ shared }) => shared))).toEqual([
    'create leases in kleis-state',
    'create secrets in kleis-identities',
    'create serviceaccounts in kleis-ephemeral',
    'create serviceaccounts/token in kleis-ephemeral',
    'delete leases in kleis-state',
    'delete secrets in kleis-identities',
    'delete serviceaccounts in kleis-ephemeral',
    'get leases in kleis-state',
    'list leases in kleis-state',
    'update leases in kleis-state',
  ]);
  for (let rounds = 0; rounds < 10; rounds += 1) await review('prod', kube);
  const all = await review('prod', kube);
  expect(all.filter(({ shared }) => shared)).toHaveLength(10);
  expect(all.filter(({ text }) => text.includes('rolebindings in team-'))).toHaveLength(600);
});

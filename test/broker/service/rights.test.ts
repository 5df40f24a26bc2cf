import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rightsOf, type Right } from '../../../broker/rbac/rights.ts';
import type { Clusters } from '../../../broker/cluster/clusters.ts';
import { createRightsReview, lackingRights, lacksForAll } from '../../../broker/service/rights.ts';
import type { KubeClient } from '../../../shared/kube/client.ts';
import { needs } from '../../support/needs.ts';
import type { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { type Confined, startConfined } from '../rbac/cluster.ts';
import { everyGrant, load } from '../rbac/fixture.ts';

const kinds = [
  { kind: '1.36' as const, skip: !needs('kube') },
  { kind: '1.30' as const, skip: !needs('kube-1.30') },
];

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
  readonly resourceNames?: string[];
}

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`with what rbac prints, on ${kind}, the broker`, () => {
    let world: Confined;
    let review: () => Promise<readonly string[]>;
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
        await expect.poll(review, { timeout: 15_000 }).toEqual([right.text]);
        await world.admin('PATCH', path, { rules });
        await expect.poll(review, { timeout: 15_000 }).toEqual([]);
      }
    }, 120_000);
  });
}

/** An API server that says of each right what `allow` says. */
function answering(allow: (right: Right) => boolean | Promise<boolean>): KubeClient {
  const request = async (
    _method: string,
    _path: string,
    { body }: { body: { spec: { resourceAttributes: Right } } },
  ) => ({
    body: { status: { allowed: await allow(body.spec.resourceAttributes) } },
  });
  return { request } as unknown as KubeClient;
}

/** While no time passes. */
const reviewOf = (config: BrokerConfig) =>
  createRightsReview(
    () => config,
    () => 0,
  );

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
  const kube = answering(() => {
    asked += 1;
    return asked % 50 !== 0;
  });
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
  const kube = answering(({ verb, resource }) => {
    asked += 1;
    if (silent) throw new Error('nobody answers');
    return !(verb === 'delete' && resource === 'secrets');
  });
  const review = reviewOf(config);
  expect(await review('prod', kube)).toEqual([]);
  expect(asked).toBeLessThan(10);
  silent = false;
  expect((await review('prod', kube)).some((text) => text.startsWith('delete secrets'))).toBe(true);
});

it('asks a question of two rounds at once until one of them has its answer, and gives no server the answers of another', async () => {
  const { config } = load();
  const review = reviewOf(config);
  const [refusing, allowing] = [answering(() => false), answering(() => true)];
  const rounds = await Promise.all([review('prod', refusing), review('prod', refusing)]);
  expect(rounds[1].toSorted()).toEqual(rounds[0].toSorted());
  expect(rounds[1].length).toBeGreaterThan(10);
  expect(await review('prod', allowing)).toEqual([]);
});

it('asks in the first round what everything needs, however many namespaces the accounts of leases may enter', async () => {
  const namespaces = Array.from({ length: 300 }, (_, index) => `team-${index}`);
  const { config } = load({
    ...everyGrant,
    lease: { ...everyGrant.lease, access: [{ namespaces, role: 'deployer' }] },
  });
  const kube = answering(({ name }) => name !== undefined);
  const review = reviewOf(config);
  const most = [
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
  ];
  expect((await review('prod', kube)).slice(0, most.length).toSorted()).toEqual(most);
  for (let rounds = 0; rounds < 10; rounds += 1) await review('prod', kube);
  const all = await review('prod', kube);
  expect(all.slice(0, most.length).toSorted()).toEqual(most);
  expect(all.filter((text) => text.includes('rolebindings in team-'))).toHaveLength(600);
});

it('an answer that comes late hides nothing that was found out by a later question', async () => {
  const { config } = load();
  const late: (() => void)[] = [];
  const asked = new Set<string>();
  const kube = answering(async ({ verb, resource, namespace }) => {
    if (verb !== 'delete' || resource !== 'secrets') return true;
    if (asked.has(namespace)) return false;
    asked.add(namespace);
    await new Promise<void>((resolve) => late.push(resolve));
    return true;
  });
  const review = reviewOf(config);
  const older = review('prod', kube);
  // Those of the accounts, and the kill switch.
  await expect.poll(() => late.length).toBe(2);
  const found = await review('prod', kube);
  expect(found).toHaveLength(2);
  for (const answer of late) answer();
  expect(await older).toEqual(found);
  expect(await review('prod', kube)).toEqual(found);
});

describe('a cluster where every grant lacks a right', () => {
  const { lease, ...others } = everyGrant;
  const clustersWith = (config: BrokerConfig, ...missing: string[]): Clusters => {
    const prod = { config: config.clusters['prod'], health: () => ({ missing }) };
    return { get: (name: string) => (name === 'prod' ? prod : undefined) } as unknown as Clusters;
  };
  const judge = (grants: Record<string, unknown>, ...missing: string[]) => {
    const { config } = load(grants);
    return lacksForAll(clustersWith(config, ...missing), config, 'prod');
  };

  it.each<[right: string, ofLeases: boolean, ofOthers: boolean, ofAll: boolean]>([
    ['create rolebindings in web', true, false, false],
    ['create serviceaccounts in kleis-ephemeral', true, false, false],
    ['delete secrets in kleis-identities', false, false, false],
    ['update leases in kleis-state', true, true, true],
    ['create pods in web', false, false, false],
  ])('without the right to %s', (right, ofLeases, ofOthers, ofAll) => {
    expect(judge({ lease }, right)).toBe(ofLeases);
    expect(judge(others, right)).toBe(ofOthers);
    expect(judge(everyGrant, right)).toBe(ofAll);
  });

  it('is one too where each lacks another', () => {
    const { 'deploy-web': deploy } = everyGrant;
    const rights = ['create serviceaccounts/token deploy-web in kleis-identities', 'create rolebindings in web'];
    expect(judge({ 'deploy-web': deploy, lease }, ...rights)).toBe(true);
    expect(judge({ 'deploy-web': deploy, lease }, ...rights.slice(1))).toBe(false);
    expect(judge({}, ...rights)).toBe(false);
  });

  it('is judged anew when a probe has found something else', () => {
    const { config } = load({ lease });
    expect(lackingRights(clustersWith(config), config, config.grants['lease']!)).toEqual([]);
    expect(lacksForAll(clustersWith(config, 'create rolebindings in web'), config, 'prod')).toBe(true);
    expect(lacksForAll(clustersWith(config), config, 'prod')).toBe(false);
  });
});

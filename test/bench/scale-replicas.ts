import { withStage } from './scale-scene.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect, load } from './broker-client.ts';
import { ask, mintFromBroker } from './broker-mints.ts';
import { type BrokerScene, costs, type ExtraBroker } from './broker-scene.ts';
import { withAdmins } from './scale-crowd.ts';
import { atLeast, atMost, type Goal, type Part } from './scale-part.ts';

const most = 3;
const rounds = 4;
const slice = 400;
const concurrency = 16;
const warmUp = 400;
/** Live leases of the grant that has a limit. */
const limit = 300;
/** Milliseconds after which a replica looks at what the others have taken. */
const lookEvery = 30_000;
/** An API server remembers for so long that it took a token; ms. */
const remembered = 10_000;

/** One, two and three replicas behind a client that asks them in turn, and what they know of each other. */
export async function measureReplicas(): Promise<Part> {
  return withStage(async ({ open, undo }) => {
    const scene = await open();
    const replicas: { broker: ExtraBroker; client: Client }[] = [];
    for (let index = 0; index < most; index += 1) {
      const broker = await scene.start((config) => ({
        ...withAdmins(config),
        limits: { ...config.limits, leases: { perGrant: 1_000_000, perSubject: 1_000_000 } },
      }));
      const client = connect(broker.url);
      undo(
        () => broker.stop(),
        () => client.close(),
      );
      replicas.push({ broker, client });
    }
    const clients = replicas.map(({ client }) => client);
    const rates = await measureRates(scene, replicas);
    const agreed = await measureRevocation(scene, clients);
    const limited = await measureLimits(scene);
    const goals: Goal[] = [...rates.goals, ...agreed.goals, ...limited.goals];
    return {
      title: `Replicas behind one client, ${concurrency} at once; all of them, the client, API server and etcd share the machine`,
      tables: [rates.table, [...agreed.rows, ...limited.rows]],
      notes: [],
      goals,
      figures: { ...rates.figures, ...agreed.figures, ...limited.figures },
    };
  });
}

async function measureRates(scene: BrokerScene, replicas: readonly { broker: ExtraBroker; client: Client }[]) {
  const table = [
    ['', ...replicas.map((_, index) => `${index + 1}, mints/s`), '2 ÷ 1', '3 ÷ 1', 'CPU of a mint, 3 ÷ 1'],
  ];
  const goals: Goal[] = [];
  const figures: Record<string, object> = {};
  for (const cost of costs) {
    for (const { client } of replicas) await load(warmUp, concurrency, mintFromBroker(client, scene, cost));
    const lanes = replicas.map(() => ({ took: 0, cpu: 0 }));
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, lane] of lanes.entries()) {
        const used = replicas.slice(0, index + 1);
        const mints = used.map(({ client }) => mintFromBroker(client, scene, cost));
        const cpu = () => used.reduce((sum, { broker }) => sum + (broker.cpu() ?? NaN), 0);
        scene.prepare(slice);
        const before = cpu();
        let turn = 0;
        const { took } = await load(slice, concurrency, async () => mints[(turn += 1) % mints.length]!());
        lane.took += took;
        lane.cpu += cpu() - before;
      }
    }
    const perSecond = lanes.map(({ took }) => ((slice * rounds) / took) * 1000);
    const [one, two, three] = perSecond as [number, number, number];
    const cpu = lanes[2]!.cpu / lanes[0]!.cpu;
    figures[`mints per second, ${cost.name}`] = perSecond;
    table.push([
      cost.name,
      ...perSecond.map((each) => each.toFixed(0)),
      ...[two / one, three / one, cpu].map((each) => each.toFixed(2)),
    ]);
    // On one machine there is no more to have than it has: what counts is that replicas do not cost one another.
    goals.push(atLeast(`${cost.name}: mints of three replicas ÷ one`, three / one, 0.9));
  }
  return { table, goals, figures };
}

/** Taken back at one replica, at an end everywhere: each lease is ended at another replica than gave it. */
async function measureRevocation(scene: BrokerScene, clients: readonly Client[]) {
  const revocable = costs.find(({ secret }) => secret)!;
  const once = costs.find(({ issuer }) => issuer === 'once')!;
  const tries = 30;
  let [revoked, dead, replayed] = [0, 0, 0];
  const at = (index: number) => clients[index % clients.length]!;
  const tokens: string[] = [];
  for (let index = 0; index < tries; index += 1) {
    const { body } = await ask(at(index), scene.subjectToken(revocable), revocable);
    const token = String(body['access_token']);
    const authorization = `Bearer ${scene.subjectToken(costs[0]!)}`;
    const answer = await at(index + 1).send('DELETE', `/leases/${String(body['lease'])}`, { authorization }, '');
    if ((JSON.parse(answer.text) as { revoked?: unknown }).revoked === true) revoked += 1;
    tokens.push(token);
    const subject = scene.subjectToken(once);
    // All at once, so that no replica can have heard of the others.
    const outcomes = await Promise.all(clients.map(async (client) => ask(client, subject, once)));
    const got = outcomes.filter(({ status }) => status === 200).length;
    if (got === 1) replayed += 1;
  }
  await sleep(remembered + 500);
  const api = connect(scene.cluster.server, scene.cluster.caPem);
  for (const token of tokens) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' });
    const { status } = await api.send('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', headers, body);
    if (status === 401) dead += 1;
  }
  api.close();
  return {
    rows: [
      ['revoked at another replica than the one that gave it', `${revoked} of ${tries}`],
      ['refused by the API server 10 s later', `${dead} of ${tries}`],
      ['single-use, sent to three replicas at once: one token', `${replayed} of ${tries}`],
    ],
    goals: [
      atLeast('revoked at another replica', revoked / tries, 1),
      atLeast('dead at the API server 10 s later', dead / tries, 1),
      atLeast('one of three replicas takes a single-use token', replayed / tries, 1),
    ],
    figures: { revoked, dead, replayed, tries },
  };
}

/** As fast as they can until all refuse, and once more when each has looked at what the others took. */
async function measureLimits(scene: BrokerScene) {
  const revocable = costs.find(({ secret }) => secret)!;
  const cost = { grant: 'limited' };
  const brokers: ExtraBroker[] = [];
  for (let index = 0; index < most; index += 1) {
    brokers.push(
      await scene.start((config) => ({
        ...config,
        limits: { ...config.limits, leases: { perGrant: limit, perSubject: 1_000_000 } },
        grants: { ...config.grants, [cost.grant]: config.grants['revocable'] },
      })),
    );
  }
  const clients = brokers.map(({ url }) => connect(url));
  try {
    const burst = async () => {
      let [taken, refused] = [0, 0];
      const lanes = clients.flatMap((client) => Array.from({ length: 4 }, () => client));
      await Promise.all(
        lanes.map(async (client) => {
          for (;;) {
            const { status } = await ask(client, scene.subjectToken(revocable), cost);
            if (status === 429) {
              refused += 1;
              return;
            }
            if (status !== 200) throw new Error(`the broker answers ${status}`);
            taken += 1;
          }
        }),
      );
      return { taken, refused };
    };
    const first = await burst();
    await sleep(lookEvery + 1_000);
    await burst();
    await sleep(1_000);
    const last = await burst();
    const live = await countLive(scene, cost.grant);
    return {
      rows: [
        [`live leases of a grant that may have ${limit}, three replicas as fast as they can`, String(first.taken)],
        ['further ones when all have looked, half a minute later', String(last.taken)],
      ],
      goals: [
        atMost('a burst at three replicas ÷ limit of live leases', live / limit, most),
        atMost('further leases once all have looked', last.taken, 0),
      ],
      figures: { limit, burst: first.taken, later: last.taken },
    };
  } finally {
    for (const client of clients) client.close();
    for (const broker of brokers) await broker.stop();
  }
}

async function countLive({ cluster }: BrokerScene, grant: string): Promise<number> {
  const path = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
  const selector = encodeURIComponent(`kleis.dev/grant=${grant},!kleis.dev/state`);
  const list = await cluster.request('GET', `${path}?labelSelector=${selector}`);
  return (list['items'] as readonly unknown[]).length;
}

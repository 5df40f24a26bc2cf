import { withStage } from './scale-scene.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweep } from '../../broker/leases/sweep.ts';
import { createDropped, revokeDropped } from '../../broker/service/dropped-grants.ts';
import { type Client, connect, load, quantile } from './broker-client.ts';
import { mintFromBroker } from './broker-mints.ts';
import { type BrokerScene, type Config, costs, type ExtraBroker } from './broker-scene.ts';
import { type OpenLeases, openLeases } from './scale-leases.ts';
import { atMost, type Goal, milliseconds, mebibytes, type Part } from './scale-part.ts';

interface CrowdOptions {
  readonly leases: number;
  readonly rounds: number;
  readonly say: (text: string) => void;
}

/** An API server with its leases, and a broker before it. */
interface Side {
  readonly scene: BrokerScene;
  readonly broker: ExtraBroker;
  readonly client: Client;
  readonly leases: OpenLeases;
  /** By what was measured. */
  readonly samples: Map<string, number[]>;
}

/** Leases that a side has which is not crowded: enough for two full pages. */
const few = 1_000;
const slice = 150;
const warmUp = 400;
const pages = 20;
const page = 100;
/** What one round of a sweep removes at most. */
const ended = 2_000;
/** Milliseconds until a broker that is ready has done what it does at its start. */
const calm = 3_000;
const mostRatio = 1.1;

export const withAdmins = (config: Config) => ({
  ...config,
  admins: [{ issuer: 'ci', claim: 'repository_owner', value: 'acme' }],
});

/**
 * The same with few live leases and with many, each with an API server of its own, in turn, so that whatever else the
 * machine does hits both alike.
 */
export async function measureCrowd({ leases: many, rounds, say }: CrowdOptions): Promise<Part> {
  return withStage(async ({ open, undo }) => {
    const openSide = async (): Promise<Side> => {
      const scene = await open();
      const broker = await scene.start(withAdmins);
      undo(() => broker.stop());
      const client = connect(broker.url);
      const leases = await openLeases(broker.configFile);
      undo(
        () => client.close(),
        () => leases.close(),
      );
      return { scene, broker, client, leases, samples: new Map() };
    };
    const sides = { few: await openSide(), many: await openSide() };
    const both = Object.values(sides);
    await sides.few.leases.fill(few);
    const took = await sides.many.leases.fill(many);
    say(`${many} leases taken in ${(took / 1000).toFixed(0)} s`);

    for (let round = 0; round < rounds; round += 1) for (const side of both) await measureStart(side);
    for (const cost of costs) {
      for (const side of both) await load(warmUp, 16, mintFromBroker(side.client, side.scene, cost));
      for (let round = 0; round < rounds; round += 1) {
        for (const side of both) {
          side.scene.prepare(slice);
          const { latencies } = await load(slice, 1, mintFromBroker(side.client, side.scene, cost));
          note(side, `exchange, ${cost.name}`, ...latencies);
        }
      }
    }
    for (let round = 0; round < rounds; round += 1) for (const side of both) await measurePages(side);
    for (const side of both) note(side, memoryAfter, (side.broker.memory() ?? NaN) * 2 ** 20);
    // They would sweep too.
    for (const side of both) await side.broker.stop();
    for (let round = 0; round < rounds; round += 1) for (const side of both) await measureSweeps(side);
    for (const side of both) await measureLook(side);
    return describe(sides, many);
  });
}

const startTime = 'start to ready';
const memoryAtStart = `memory ${calm / 1000} s after the start`;
const memoryAfter = 'memory at the end';
const firstPage = `page of ${page} leases, the first`;
const laterPage = `page of ${page} leases, a later one`;
const fullSweep = `sweep that removes ${ended}`;
const idleSweep = 'sweep that removes nothing';
const look = 'look for leases of dropped grants';

function note({ samples }: Side, what: string, ...values: readonly number[]): void {
  samples.set(what, [...(samples.get(what) ?? []), ...values]);
}

async function measureStart(side: Side): Promise<void> {
  const broker = await side.scene.start(withAdmins);
  note(side, startTime, broker.readyAfter);
  await sleep(calm);
  note(side, memoryAtStart, (broker.memory() ?? NaN) * 2 ** 20);
  await broker.stop();
}

async function measurePages(side: Side): Promise<void> {
  const authorization = `Bearer ${side.scene.subjectToken(costs[0]!)}`;
  let after = '';
  for (let index = 0; index < pages; index += 1) {
    const began = performance.now();
    const { status, text } = await side.client.send('GET', `/leases?limit=${page}${after}`, { authorization }, '');
    const took = performance.now() - began;
    if (status !== 200) throw new Error(`GET /leases: ${status} ${text}`);
    note(side, after === '' ? firstPage : laterPage, took);
    const { continue: next } = JSON.parse(text) as { continue?: string };
    after = next === undefined || index % 5 === 4 ? '' : `&continue=${encodeURIComponent(next)}`;
  }
}

async function measureSweeps(side: Side): Promise<void> {
  const { services } = side.leases;
  await side.leases.takeEnded(ended);
  const began = performance.now();
  const { removed, fault } = await sweep(services);
  note(side, fullSweep, performance.now() - began);
  if (removed !== ended) throw new Error(`the sweep removed ${removed} of ${ended}: ${String(fault)}`);
  for (let index = 0; index < 3; index += 1) {
    const idleFrom = performance.now();
    await sweep(services);
    note(side, idleSweep, performance.now() - idleFrom);
  }
}

/** What a replica that has run for a quarter of an hour does every ten minutes. */
async function measureLook(side: Side): Promise<void> {
  const { services } = side.leases;
  let now = Date.now();
  const dropped = createDropped(() => now);
  now += 3_600_000;
  const grants = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`deploy-${index}`, {}]));
  const known = { ...grants, once: {}, plain: {}, revocable: {}, ephemeral: {} };
  const began = performance.now();
  const failed = await revokeDropped(
    {
      loaded: { config: { grants: known } as never, hash: '' },
      dropped,
      audit: { record: async () => undefined },
      telemetry: { revoked: () => undefined },
      log: { warn: (facts: unknown) => process.stderr.write(`${JSON.stringify(facts)}\n`) } as never,
    },
    services,
    new AbortController().signal,
  );
  note(side, look, performance.now() - began);
  if (failed > 0) throw new Error(`${failed} leases could not be revoked`);
}

function describe({ few: less, many: more }: { readonly few: Side; readonly many: Side }, many: number): Part {
  const goals: Goal[] = [];
  const figures: Record<string, object> = {};
  const rows = Array.from(more.samples.keys(), (what) => {
    const [before, after] = [less, more].map(({ samples }) => quantile(samples.get(what) ?? [], 0.5));
    const ratio = after! / before!;
    const show = what.startsWith('memory') ? mebibytes : milliseconds;
    figures[what] = { few: before, many: after, ratio };
    // A sweep reads what has ended by a label, and the API server looks at all leases for that; the look reads them all.
    if (what === idleSweep) goals.push(atMost(`${what}: part of a minute`, after! / 60_000, 0.01));
    else if (what === look) goals.push(atMost(`${what}: part of ten minutes`, after! / 600_000, 0.05));
    else goals.push(atMost(`${what}: with ${many} leases ÷ with ${few}`, ratio, mostRatio));
    return [what, show(before!), show(after!), ratio.toFixed(2)];
  });
  return {
    title: `${many} live leases, and ${few}: medians, in turn, each with an API server of its own`,
    tables: [[['', `${few} leases`, `${many} leases`, '÷'], ...rows]],
    notes: [],
    goals,
    figures,
  };
}

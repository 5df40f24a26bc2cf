// `npm run bench -- broker [--json] [--rounds N]`: what the broker adds to a mint, beside a bare client of the API server.
import { spawnSync } from 'node:child_process';
import { arch, availableParallelism, loadavg, release, type } from 'node:os';
import { parseArgs } from 'node:util';
import { findTool } from '../support/tools.ts';
import { connect, load, quantile } from './broker-client.ts';
import { measureDecisions, type Decisions } from './broker-decisions.ts';
import { type Mint, mintBare, mintFromBroker } from './broker-mints.ts';
import type { BrokerProcess } from './broker-process.ts';
import { align, atLeast, atMost, byNode, type Goal } from './report.ts';
import { type BrokerScene, type Cost, costs, createBrokerScene, grantCount } from './broker-scene.ts';

const contenders = ['bare client', 'broker', 'broker, TLS'] as const;
type Contender = (typeof contenders)[number];

/** What all slices of one contender come to. */
interface Mints {
  readonly contender: Contender;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Milliseconds of processor time for one mint: of the broker's process, and of whoever asks. */
  readonly brokerCpu: number | undefined;
  readonly clientCpu: number;
}

interface Race {
  readonly cost: string;
  readonly concurrency: number;
  readonly mints: readonly Mints[];
}

/** How many mints make one slice. */
const slices = { 1: 150, 16: 400 } as const;
/** Mints before each race, which do not count. */
const warmUp = 400;
const starts = 7;
/** p50 one at a time, as a part of the bare client's: what a caller who is alone notices. */
const mostP50: Readonly<Record<string, number>> = Object.fromEntries(
  costs.map(({ name }, index) => [name, [1.5, 1.25, 1.15][index] ?? NaN]),
);

const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '6' } } });
const rounds = Math.max(1, Number.parseInt(values.rounds, 10) || 1);

const report = await measure();
process.stdout.write(values.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : format(report));
process.exit(0);

async function measure() {
  const date = new Date().toISOString().slice(0, 10);
  const load1 = loadavg()[0]?.toFixed(1);
  const machine = `${availableParallelism()} cores (load ${load1}), ${type()} ${release()} ${arch()}, Node ${process.version}`;
  const kind = findTool('kube') === undefined ? 'stand-in' : '1.36';
  const decisions = [10, 1000, 100_000].map(measureDecisions);
  const scene = await createBrokerScene(kind);
  try {
    const started = await measureStarts(scene);
    const before = scene.plain.memory();
    const races: Race[] = [];
    for (const cost of costs)
      for (const concurrency of [1, 16] as const) races.push(await runRace(scene, cost, concurrency));
    const mints = costs.length * (rounds * (slices[1] + slices[16]) + 2 * warmUp);
    const memory = { start: before, end: scene.plain.memory(), mints };
    const goals = judge(races, decisions, started, memory);
    return { date, machine, server: kind, rounds, races, decisions, started, memory, goals };
  } finally {
    await scene.end();
  }
}

type Report = Awaited<ReturnType<typeof measure>>;

interface Started {
  /** Milliseconds until it says that it is ready. */
  readonly median: number;
  readonly worst: number;
  /** Milliseconds of a Node that does nothing, started in turn with it. */
  readonly node: number;
}

async function measureStarts(scene: BrokerScene): Promise<Started> {
  const [took, nothing]: [number[], number[]] = [[], []];
  for (let index = 0; index < starts; index += 1) {
    const began = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    nothing.push(performance.now() - began);
    const broker = await scene.start();
    took.push(broker.readyAfter);
    await broker.stop();
  }
  return { median: quantile(took, 0.5), worst: Math.max(...took), node: quantile(nothing, 0.5) };
}

/** In turn, slice by slice, so that whatever else the machine does hits all alike. */
async function runRace(scene: BrokerScene, cost: Cost, concurrency: keyof typeof slices): Promise<Race> {
  const count = slices[concurrency];
  const bare = await mintBare(scene, cost);
  const clients = { plain: connect(scene.plain.url), tls: connect(scene.tls.url, scene.ca) };
  const lanes = new Map<Contender, Lane>([
    ['bare client', createLane(bare.mint)],
    ['broker', createLane(mintFromBroker(clients.plain, scene, cost), scene.plain)],
    ['broker, TLS', createLane(mintFromBroker(clients.tls, scene, cost), scene.tls)],
  ]);
  // A broker runs for weeks: what V8 has not compiled yet is no part of what a mint costs.
  if (cost.issuer === 'once') scene.prepare(warmUp * 2);
  for (const lane of lanes.values()) await load(warmUp, 16, lane.mint);
  for (let round = 0; round < rounds; round += 1) {
    if (cost.issuer === 'once') scene.prepare(count * 2);
    for (const lane of lanes.values()) await runSlice(lane, count, concurrency);
  }
  bare.close();
  for (const client of Object.values(clients)) client.close();
  return {
    cost: cost.name,
    concurrency,
    mints: Array.from(lanes, ([contender, lane]) => ({ contender, ...sum(lane, count * rounds) })),
  };
}

interface Lane {
  readonly mint: Mint;
  readonly broker: BrokerProcess | undefined;
  readonly latencies: number[];
  took: number;
  brokerCpu: number | undefined;
  clientCpu: number;
}

function createLane(mint: Mint, broker?: BrokerProcess): Lane {
  return { mint, broker, latencies: [], took: 0, brokerCpu: broker?.cpu() === undefined ? undefined : 0, clientCpu: 0 };
}

async function runSlice(lane: Lane, count: number, concurrency: number): Promise<void> {
  const brokerBefore = lane.broker?.cpu();
  const clientBefore = process.cpuUsage();
  const { took, latencies } = await load(count, concurrency, lane.mint);
  const { user, system } = process.cpuUsage(clientBefore);
  const brokerAfter = lane.broker?.cpu();
  lane.clientCpu += (user + system) / 1000;
  if (lane.brokerCpu !== undefined) lane.brokerCpu += (brokerAfter ?? NaN) - (brokerBefore ?? NaN);
  lane.took += took;
  lane.latencies.push(...latencies);
}

function sum({ latencies, took, brokerCpu, clientCpu }: Lane, count: number): Omit<Mints, 'contender'> {
  return {
    perSecond: (count / took) * 1000,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    brokerCpu: brokerCpu === undefined ? undefined : brokerCpu / count,
    clientCpu: clientCpu / count,
  };
}

function of({ mints }: Race, wanted: Contender): Mints {
  return mints.find(({ contender }) => contender === wanted)!;
}

function judge(
  races: readonly Race[],
  decisions: readonly Decisions[],
  started: Report['started'],
  memory: { readonly start: number | undefined; readonly end: number | undefined; readonly mints: number },
): Goal[] {
  const goals: Goal[] = [];
  for (const race of races) {
    const [bare, broker] = [of(race, 'bare client'), of(race, 'broker')];
    const what = `${race.cost}, ${race.concurrency} at once`;
    if (race.concurrency > 1) {
      goals.push(atLeast(`${what}: mints ÷ bare client`, broker.perSecond / bare.perSecond, 0.85));
      if (broker.brokerCpu !== undefined) {
        goals.push(atMost(`${what}: processor time ÷ bare client`, broker.brokerCpu / bare.clientCpu, 2));
      }
    } else {
      goals.push(atMost(`${what}: p50 ÷ bare client`, broker.p50 / bare.p50, mostP50[race.cost] ?? NaN));
    }
  }
  const slowest = Math.max(...decisions.flatMap(({ claims, condition }) => [claims, condition]));
  goals.push({
    text: 'a decision in less than 20 µs, whatever the number of grants',
    is: `${slowest.toFixed(1)} µs`,
    met: slowest < 20,
  });
  goals.push(atMost(`start to ready with ${grantCount} grants ÷ node -e 0`, started.median / started.node, 12));
  if (memory.start !== undefined && memory.end !== undefined) {
    const most = Math.max(memory.start, memory.end);
    const bound = byNode(90, 110);
    goals.push({
      text: `at most ${bound} MiB after ${memory.mints} mints`,
      is: `${most.toFixed(0)} MiB`,
      met: most <= bound,
    });
  }
  return goals;
}

function format({ date, machine, server, rounds: turns, races, decisions, started, memory, goals }: Report): string {
  const api =
    server === 'stand-in'
      ? 'a stand-in of the API server (KUBEBUILDER_ASSETS names no real one), inside the process that asks: its rates say little'
      : `kube-apiserver ${server} with the Roles and policies of \`kleis-broker rbac\``;
  const head = ['', 'mints/s', '÷ bare', 'p50', 'p99', 'broker CPU', 'client CPU'];
  const milliseconds = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(2)} ms`);
  const tables = races.flatMap((race) => {
    const bare = of(race, 'bare client');
    const rows = race.mints.map(({ contender, perSecond, p50, p99, brokerCpu, clientCpu }) => [
      contender,
      perSecond.toFixed(0),
      (perSecond / bare.perSecond).toFixed(2),
      ...[p50, p99, brokerCpu, clientCpu].map(milliseconds),
    ]);
    const count = turns * slices[race.concurrency as keyof typeof slices];
    return [`${race.cost}, ${race.concurrency} at once (${count} mints each)`, '', ...align([head, ...rows]), ''];
  });
  const decided = decisions.map(({ grants, claims, condition }) => [
    `${grants} grants`,
    ...[claims, condition].flatMap((value) => [`${value.toFixed(2)} µs`, `${(1e6 / value).toFixed(0)}/s`]),
  ]);
  const mebibytes = (value: number | undefined) => (value === undefined ? 'unknown' : `${value.toFixed(0)} MiB`);
  const lines = [
    `${machine}, ${date}`,
    `Against ${api}`,
    '',
    ...tables,
    'Decisions, one thread',
    '',
    ...align([['', 'claims', '', 'claims and a condition', ''], ...decided]),
    '',
    `Start to ready with ${grantCount} grants: ${started.median.toFixed(0)} ms (${starts} starts, worst ${started.worst.toFixed(0)} ms)`,
    `Memory: ${mebibytes(memory.start)} after the start, ${mebibytes(memory.end)} after ${memory.mints} mints`,
    '',
    'Goals',
    '',
    ...align(goals.map(({ met, text, is }) => [`${met ? 'met   ' : 'MISSED'}  ${text}`, is])),
  ];
  return `${lines.join('\n')}\n`;
}

// The part `broker` of the benchmark: what the broker adds to a mint, beside a bare client of the API server.
import { parseArgs } from 'node:util';
import { findTool } from '../support/tools.ts';
import { run } from '../support/run.ts';
import { connect, load, quantile } from './broker-client.ts';
import { measureDecisions } from './broker-decisions.ts';
import { type Mint, mintBare, mintFromBroker } from './broker-mints.ts';
import { type BrokerProcess, brokerEnv } from './broker-process.ts';
import { type BrokerScene, type Cost, costs, createBrokerScene, grantCount } from './broker-scene.ts';
import type { Judged } from './goals.ts';
import { summarize } from './race.ts';
import { type Column, machineNow, type Report, type Table, timesTable } from './report.ts';

const [bareClient, ours, oursWithTls, theOther] = [
  'bare client',
  'broker',
  'broker, TLS',
  'broker, the other build',
] as const;

/** What all slices of one contender come to. */
interface Mints {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Milliseconds of processor time for one mint: of the broker's process, and of whoever asks. */
  readonly brokerCpu: number | undefined;
  readonly clientCpu: number;
}

interface Race {
  readonly cost: Cost;
  readonly concurrency: number;
  readonly mints: ReadonlyMap<string, Mints>;
}

/** How many mints make one slice. */
const slices = { 1: 150, 16: 400 } as const;
/** Mints of each kind that do not count: while V8 compiles, they take twice as long. */
const warmUp = 2000;
/** Mints after which the memory can be judged. */
const many = 10_000;
const starts = 7;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '6' }, against: { type: 'string' } } });
const rounds = Math.max(1, Number.parseInt(values.rounds, 10) || 1);
/** By one broker, when all races are over. */
const minted = costs.length * (rounds * (slices[1] + slices[16]) + warmUp);

process.stdout.write(JSON.stringify(await measure()));
process.exit(0);

async function measure(): Promise<Report> {
  const machine = machineNow();
  const kind = findTool('kube') === undefined ? 'stand-in' : '1.36';
  const decided = measureAllDecisions();
  const scene = await createBrokerScene(kind, values.against);
  try {
    const started = await measureStarts(scene);
    const before = memoryOf(scene);
    const races: Race[] = [];
    for (const cost of costs)
      for (const concurrency of [1, 16] as const) races.push(await runRace(scene, cost, concurrency));
    const remembered = measureMemory(scene, before);
    // The stand-in answers from within the process that asks: nothing can be said of a mint.
    const judged = kind === 'stand-in' ? [] : races.flatMap(judge);
    const missing =
      kind === 'stand-in' ? ['mints, since KUBEBUILDER_ASSETS names no real kube-apiserver and etcd'] : [];
    const parts = [started, decided, remembered];
    return {
      part: 'broker',
      ...machine,
      versions: [kind === 'stand-in' ? 'a stand-in of the API server' : `kube-apiserver ${kind}`],
      tables: [tableOf(races), ...parts.map(({ table }) => table)],
      goals: [...judged, ...parts.flatMap(({ goals }) => goals)],
      missing,
    };
  } finally {
    await scene.end();
  }
}

interface Measured {
  readonly table: Table;
  readonly goals: readonly Judged[];
}

/** Of this build and, if there is one, of the other. */
function brokersOf({ plain, other }: BrokerScene): [string, BrokerProcess][] {
  return [[ours, plain], ...(other ? [[theOther, other] satisfies [string, BrokerProcess]] : [])];
}

async function measureStarts(scene: BrokerScene): Promise<Measured> {
  const nothing = 'node -e 0';
  const took = new Map<string, number[]>(
    [nothing, ...brokersOf(scene).map(([name]) => name)].map((name) => [name, []]),
  );
  for (let round = 0; round < starts; round += 1) {
    const env = brokerEnv(scene.home);
    took.get(nothing)!.push((await run(process.execPath, ['-e', '0'], { env })).duration);
    for (const [name, { dist }] of brokersOf(scene)) {
      const broker = await scene.start(undefined, dist === undefined ? {} : { dist });
      took.get(name)!.push(broker.readyAfter);
      await broker.stop();
    }
  }
  const median = (name: string) => summarize(took.get(name) ?? []).median;
  const parts = (name: string) => median(name) / median(nothing);
  const rows = [...took].map(([name, times]) => ({ name, ...summarize(times), more: [parts(name)] }));
  return {
    table: timesTable(`Start to ready with ${grantCount} grants`, `${starts} starts`, rows, [
      { heading: `÷ \`${nothing}\``, unit: 'ratio' },
    ]),
    goals: [{ name: 'start', is: parts(ours), ...(scene.other && { against: parts(theOther) }) }],
  };
}

function measureAllDecisions(): Measured {
  const decisions = [10, 1000, 100_000].map(measureDecisions);
  const rows = decisions.map(({ grants, claims, condition }) => ({
    name: `${grants} grants`,
    cells: [claims, condition],
  }));
  const columns: Column[] = [
    { heading: 'claims', unit: 'µs' },
    { heading: 'claims and a CEL condition', unit: 'µs' },
  ];
  return {
    table: { title: 'A decision, one thread', runs: 'medians of 100 000', columns, rows },
    goals: [{ name: 'decision', is: Math.max(...rows.flatMap(({ cells }) => cells)) }],
  };
}

type Memory = readonly {
  readonly broker: BrokerProcess;
  readonly name: string;
  readonly mebibytes: number | undefined;
}[];

function memoryOf(scene: BrokerScene): Memory {
  return brokersOf(scene).map(([name, broker]) => ({ name, broker, mebibytes: broker.memory() }));
}

function measureMemory(scene: BrokerScene, before: Memory): Measured {
  const after = memoryOf(scene);
  const [is, against] = after.map(({ mebibytes }) => mebibytes);
  const columns: Column[] = [
    { heading: 'after the start', unit: 'MiB' },
    { heading: 'after the mints', unit: 'MiB' },
    { heading: 'mints', unit: 'count' },
  ];
  const rows = after.map(({ name, mebibytes }, index) => ({
    name,
    cells: [before[index]?.mebibytes ?? null, mebibytes ?? null, minted],
  }));
  return {
    table: { title: 'Memory', runs: 'resident, once', columns, rows },
    goals: is === undefined || minted < many ? [] : [{ name: 'memory', is, ...(against !== undefined && { against }) }],
  };
}

/** In turn, slice by slice, so that whatever else the machine does hits all alike. */
async function runRace(scene: BrokerScene, cost: Cost, concurrency: keyof typeof slices): Promise<Race> {
  const count = slices[concurrency];
  const bare = await mintBare(scene, cost);
  const clients = { plain: connect(scene.plain.url), tls: connect(scene.tls.url, scene.ca) };
  const lanes = new Map<string, Lane>([
    [bareClient, createLane(bare.mint)],
    [ours, createLane(mintFromBroker(clients.plain, scene, cost), scene.plain)],
    [oursWithTls, createLane(mintFromBroker(clients.tls, scene, cost), scene.tls)],
  ]);
  const other = scene.other && connect(scene.other.url);
  if (other) lanes.set(theOther, createLane(mintFromBroker(other, scene, cost), scene.other));
  // A broker runs for weeks: what V8 has not compiled yet is no part of what a mint costs.
  if (concurrency === 1) {
    if (cost.issuer === 'once') scene.prepare(warmUp * (lanes.size - 1));
    for (const lane of lanes.values()) await load(warmUp, 16, lane.mint);
  }
  for (let round = 0; round < rounds; round += 1) {
    if (cost.issuer === 'once') scene.prepare(count * (lanes.size - 1));
    for (const lane of lanes.values()) await runSlice(lane, count, concurrency);
  }
  bare.close();
  for (const client of Object.values(clients)) client.close();
  other?.close();
  return {
    cost,
    concurrency,
    mints: new Map(Array.from(lanes, ([name, lane]) => [name, sum(lane, count * rounds)])),
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

function sum({ latencies, took, brokerCpu, clientCpu }: Lane, count: number): Mints {
  return {
    perSecond: (count / took) * 1000,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    brokerCpu: brokerCpu === undefined ? undefined : brokerCpu / count,
    clientCpu: clientCpu / count,
  };
}

function judge({ cost: { grant }, concurrency, mints }: Race): Judged[] {
  const bare = mints.get(bareClient)!;
  const both = (name: Judged['name'], of: (mints: Mints) => number): Judged => {
    const other = mints.get(theOther);
    return { name, is: of(mints.get(ours)!), ...(other && { against: of(other) }) };
  };
  if (concurrency === 1) return [both(`p50 ${grant}`, ({ p50 }) => p50 / bare.p50)];
  return [
    both(`rate ${grant}`, ({ perSecond }) => perSecond / bare.perSecond),
    // Known on Linux alone.
    ...(mints.get(ours)?.brokerCpu === undefined
      ? []
      : [both(`processor ${grant}`, ({ brokerCpu = NaN }) => brokerCpu / bare.clientCpu)]),
  ];
}

function tableOf(races: readonly Race[]): Table {
  const columns: Column[] = [
    { heading: 'mints/s', unit: '/s' },
    { heading: '÷ bare', unit: 'ratio' },
    { heading: 'p50', unit: 'ms' },
    { heading: '÷ bare', unit: 'ratio' },
    { heading: 'p99', unit: 'ms' },
    { heading: "broker's processor time", unit: 'ms' },
    { heading: "client's", unit: 'ms' },
  ];
  const rows = races.flatMap(({ cost, concurrency, mints }) =>
    Array.from(mints, ([name, { perSecond, p50, p99, brokerCpu, clientCpu }]) => {
      const bare = mints.get(bareClient)!;
      const ratios = [perSecond / bare.perSecond, p50 / bare.p50];
      return {
        name: `${cost.name}, ${concurrency} at once: ${name}`,
        cells: [perSecond, ratios[0]!, p50, ratios[1]!, p99, brokerCpu ?? null, clientCpu],
      };
    }),
  );
  return {
    title: 'Mints',
    runs: `${rounds * slices[1]} one at a time, ${rounds * slices[16]} sixteen at once`,
    columns,
    rows,
  };
}

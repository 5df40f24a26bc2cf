import { createEvents } from './simulation-events.ts';

/** Seconds everywhere, unless something else is said. */
export interface World {
  readonly regions: number;
  readonly clusters: number;
  readonly jobsPerHour: number;
  /** Part of the jobs that come in the first minute of an hour: schedules. */
  readonly onTheHour: number;
  readonly hours: number;
  /** Brokers of each region. */
  readonly replicas: number;
  /** `own`: each region keeps its leases; `shared`: all of them in region 0. */
  readonly state: 'own' | 'shared';
  /** Nothing in it answers: its brokers, clusters and state. */
  readonly lost?: { readonly region: number; readonly from: number; readonly until: number };
  readonly costs: Costs;
  /** Requests a minute that each replica takes of an issuer; all jobs have the same one. */
  readonly perIssuer: number;
  /** Part of the jobs whose pipeline tries no further when the client gives up. */
  readonly impatient: number;
  /** How long the others try. */
  readonly patience: number;
  readonly seed: number;
}

/** Processor time for one mint that keeps a lease and a Secret, and what it has to be done on. */
export interface Costs {
  readonly broker: number;
  readonly stateCreate: number;
  readonly stateDelete: number;
  readonly targetMint: number;
  readonly targetDelete: number;
  readonly stateCores: number;
  readonly targetCores: number;
  /** Leases a second that the sweeps of a region remove at most. */
  readonly sweepRate: number;
  /** From a mint until its lease may go. */
  readonly kept: number;
}

export interface RegionResult {
  readonly arrived: number;
  readonly served: number;
  readonly refused: number;
  /** At the end. */
  readonly waiting: number;
  readonly mostWaiting: number;
  /** Of the jobs that were served: from the first request to the token. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Mints of the busiest second. */
  readonly mostMints: number;
  /** Requests that were sent in vain, for lack of an answer, of room or of time. */
  readonly inVain: number;
  /** Mints in each minute. */
  readonly perMinute: readonly number[];
  /** When the last job that came before the end of the loss was served, after that end. */
  readonly caughtUpAfter: number;
}

export interface StateResult {
  readonly region: number;
  readonly taken: number;
  readonly removed: number;
  readonly mostLive: number;
  /** The longest that a request waited for it. */
  readonly longestWait: number;
  /** Part of its processors at work in the busiest minute. */
  readonly busiest: number;
}

export interface Result {
  readonly regions: readonly RegionResult[];
  readonly states: readonly StateResult[];
}

/** A broker gives up what has waited that long for an API server. */
const timeout = 5;
/** What `kleis` does by itself: four attempts within 35 s. */
const clientPatience = 35;
const clientWait = 10;
/** Until a pipeline starts its step anew. */
const pipelineWait = 180;

interface Job {
  readonly id: number;
  readonly at: number;
  readonly region: number;
  readonly cluster: number;
  readonly until: number;
  attempts: number;
}

/** Discrete events, in the order of their times. The same seed gives the same jobs, whatever becomes of them. */
export function simulate(world: World): Result {
  const { costs, lost, hours } = world;
  const end = hours * 3600;
  const jobs = createJobs(world);
  const events = createEvents();
  const brokers = Array.from({ length: world.regions }, () => createStation(world.replicas, end));
  const states = Array.from({ length: world.state === 'own' ? world.regions : 1 }, (_, region) =>
    createState(region, costs, end),
  );
  const targets = Array.from({ length: world.clusters }, () => createStation(costs.targetCores, 0));
  const regions = Array.from({ length: world.regions }, () => createRegion(end));
  const isLost = (region: number, at: number) => region === lost?.region && at >= lost.from && at < lost.until;
  const stateOf = (region: number) => states[world.state === 'own' ? region : 0]!;

  function again(job: Job, at: number, wait: number): void {
    const region = regions[job.region]!;
    region.inVain += 1;
    job.attempts += 1;
    const next = at + wait * (0.5 + noise(world.seed, job.id, job.attempts));
    if (next > job.until) region.refuse();
    else events.add(next, () => ask(job, next));
  }

  const retry = (job: Job, at: number) => again(job, at, at - job.at < clientPatience ? clientWait : pipelineWait);

  function ask(job: Job, at: number): void {
    const region = regions[job.region]!;
    if (isLost(job.region, at) || isLost(stateOf(job.region).region, at)) return retry(job, at);
    const minute = Math.floor(at / 60);
    if (region.inMinute(minute) >= world.perIssuer * world.replicas) return again(job, at, (minute + 1) * 60 - at + 10);
    region.count(minute);
    const through = brokers[job.region]!.serve(at, costs.broker);
    if (through === undefined) return retry(job, at);
    events.add(through, () => lease(job, through));
  }

  function lease(job: Job, at: number): void {
    const state = stateOf(job.region);
    if (isLost(job.region, at) || isLost(state.region, at)) return retry(job, at);
    const through = state.station.serve(at, costs.stateCreate);
    if (through === undefined) return retry(job, at);
    events.add(through, () => mint(job, through));
  }

  function mint(job: Job, at: number): void {
    if (isLost(job.region, at) || isLost(stateOf(job.region).region, at)) return retry(job, at);
    const through = targets[job.cluster]!.serve(at, costs.targetMint);
    if (through === undefined) return retry(job, at);
    const state = stateOf(job.region);
    state.take();
    regions[job.region]!.serve(job, through);
    events.add(through + costs.kept, () => sweep(job, through + costs.kept));
  }

  function sweep(job: Job, at: number): void {
    const state = stateOf(job.region);
    const back = isLost(job.region, at) || isLost(state.region, at) ? lost!.until : at;
    const turn = state.sweepTurn(back);
    if (turn > at) return events.add(turn, () => remove(job, turn));
    remove(job, at);
  }

  function remove(job: Job, at: number): void {
    stateOf(job.region).station.load(at, costs.stateDelete);
    targets[job.cluster]!.load(at, costs.targetDelete);
    stateOf(job.region).remove();
  }

  for (const job of jobs) {
    events.add(job.at, () => {
      regions[job.region]!.arrive();
      ask(job, job.at);
    });
  }
  events.run(end);
  return {
    regions: regions.map((region) => region.result(lost?.until)),
    states: states.map((state) => state.result()),
  };
}

function createJobs({ jobsPerHour, hours, regions, clusters, onTheHour, impatient, patience, seed }: World): Job[] {
  const random = createRandom(seed);
  return Array.from({ length: jobsPerHour * hours }, (_, id) => {
    const hour = Math.floor(id / jobsPerHour) * 3600;
    const at = hour + random() * (random() < onTheHour ? 60 : 3600);
    // Some clusters have many more jobs than others.
    const cluster = Math.floor(random() ** 2 * clusters);
    const until = at + (random() < impatient ? clientPatience : patience);
    return { id, at, region: cluster % regions, cluster, until, attempts: 0 };
  });
}

interface Station {
  /** When it is done; undefined if it would have to wait for too long. */
  serve(at: number, work: number): number | undefined;
  /** Work that nobody waits for. */
  load(at: number, work: number): void;
  longestWait(): number;
  /** Part of the processors at work, in the busiest minute. */
  busiest(): number;
}

/** First come, first served, by whichever processor is free first. `end` 0: its minutes are not counted. */
function createStation(processors: number, end: number): Station {
  const free = new Float64Array(processors);
  const busy = new Float64Array(end === 0 ? 0 : Math.ceil(end / 60) + 1);
  let longest = 0;
  const soonest = () => free.reduce((best, time, index) => (time < free[best]! ? index : best), 0);
  const occupy = (index: number, from: number, work: number) => {
    free[index] = from + work;
    const minute = Math.floor(from / 60);
    if (minute < busy.length) busy[minute]! += work;
  };
  return {
    serve(at, work) {
      const index = soonest();
      const from = Math.max(at, free[index]!);
      if (from - at > timeout) return undefined;
      longest = Math.max(longest, from - at);
      occupy(index, from, work);
      return from + work;
    },
    load(at, work) {
      const index = soonest();
      occupy(index, Math.max(at, free[index]!), work);
    },
    longestWait: () => longest,
    busiest: () => busy.reduce((most, each) => Math.max(most, each / 60 / processors), 0),
  };
}

function createState(region: number, { stateCores, sweepRate }: Costs, end: number) {
  const station = createStation(stateCores, end);
  let [taken, removed, mostLive, nextTurn] = [0, 0, 0, 0];
  return {
    region,
    station,
    take() {
      taken += 1;
      mostLive = Math.max(mostLive, taken - removed);
    },
    remove: () => void (removed += 1),
    /** When a sweep comes to the next lease. */
    sweepTurn(at: number): number {
      const turn = Math.max(at, nextTurn);
      nextTurn = turn + 1 / sweepRate;
      return turn;
    },
    result: (): StateResult => ({
      region,
      taken,
      removed,
      mostLive,
      longestWait: station.longestWait(),
      busiest: station.busiest(),
    }),
  };
}

function createRegion(end: number) {
  let [arrived, served, refused, mostWaiting, minuteAt, minuteCount] = [0, 0, 0, 0, -1, 0];
  const latencies: number[] = [];
  const [minutes, seconds] = [Array.from({ length: Math.ceil(end / 60) + 1 }, () => 0), new Map<number, number>()];
  const late: { readonly came: number; readonly at: number }[] = [];
  return {
    inVain: 0,
    arrive() {
      arrived += 1;
      mostWaiting = Math.max(mostWaiting, arrived - served - refused);
    },
    refuse: () => void (refused += 1),
    inMinute: (minute: number) => (minute === minuteAt ? minuteCount : 0),
    count(minute: number) {
      minuteCount = minute === minuteAt ? minuteCount + 1 : 1;
      minuteAt = minute;
    },
    serve(job: Job, at: number) {
      served += 1;
      latencies.push(at - job.at);
      minutes[Math.min(minutes.length - 1, Math.floor(at / 60))]! += 1;
      seconds.set(Math.floor(at), (seconds.get(Math.floor(at)) ?? 0) + 1);
      if (job.attempts > 0) late.push({ came: job.at, at });
    },
    result(backAt: number | undefined): RegionResult {
      const sorted = Float64Array.from(latencies).toSorted();
      const quantile = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
      const afterwards = late.filter(({ came, at }) => backAt !== undefined && came < backAt && at >= backAt);
      return {
        arrived,
        served,
        refused,
        waiting: arrived - served - refused,
        mostWaiting,
        p50: quantile(0.5),
        p99: quantile(0.99),
        longest: quantile(1),
        mostMints: Math.max(0, ...seconds.values()),
        inVain: this.inVain,
        perMinute: minutes,
        caughtUpAfter: afterwards.reduce((last, { at }) => Math.max(last, at - backAt!), 0),
      };
    },
  };
}

/** mulberry32: 0 ≤ x < 1. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    return mix(state);
  };
}

function mix(state: number): number {
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** Of one attempt of one job, so that no job's luck depends on another's. */
function noise(seed: number, job: number, attempt: number): number {
  return mix((seed + Math.imul(job + 1, 0x9e3779b1) + Math.imul(attempt, 0x85ebca6b)) >>> 0);
}

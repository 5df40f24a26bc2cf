import { withStage } from './scale-scene.ts';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration } from '../../shared/duration.ts';
import { run } from '../support/run.ts';
import { brokerProgram } from './broker-process.ts';
import { connect, load } from './broker-client.ts';
import { ask } from './broker-mints.ts';
import { type BrokerScene, costs, type ExtraBroker } from './broker-scene.ts';
import { inspect, type Inspector } from './inspector.ts';
import { withAdmins } from './scale-crowd.ts';
import { growth, type Point } from './linear-fit.ts';
import { atMost, type Goal, mebibytes, type Part } from './scale-part.ts';

interface SoakOptions {
  /** Milliseconds. */
  readonly duration: number;
  readonly say: (text: string) => void;
}

interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly memory: number;
  readonly heap: number | undefined;
  readonly handles: number;
  readonly sockets: number;
}

const warmUp = 1_000;
const toMeasure = 1_500;
const samples = 120;
/** Every so many samples the heap is collected and weighed. */
const heapEvery = 6;
/** Milliseconds from one changed configuration to the next. */
const reloadEvery = 20_000;
const pageEvery = 5_000;
/** Requests under way: beyond it they are late, and are not sent at all. */
const mostUnderWay = 64;
/** Growth over the second half, as a part of what is there. */
const mostGrowth = 0.05;
/** Minutes that a lease may wait for the sweep. */
const grace = 3;

/** What jobs do, in so many of a hundred requests; `expect` is the status that is right. */
const mix = [
  { what: 'nothing kept', share: 30, grant: 'plain', subject: 'reusable', expect: 200 },
  { what: 'a lease', share: 20, grant: 'once', subject: 'fresh', expect: 200 },
  { what: 'a lease and a Secret', share: 20, grant: 'revocable', subject: 'reusable', expect: 200 },
  { what: 'ephemeral', share: 6, grant: 'ephemeral', subject: 'reusable', expect: 200 },
  { what: 'denied', share: 12, grant: 'deploy-5', subject: 'reusable', expect: 400 },
  { what: 'replayed', share: 2, grant: 'once', subject: 'used', expect: 400 },
  { what: 'revoked', share: 10, grant: 'revocable', subject: 'reusable', expect: 200 },
] as const;

/** One broker at half of what it can do, for a while, with everything that jobs and operators do. */
export async function soak({ duration, say }: SoakOptions): Promise<Part> {
  return withStage(async ({ open, undo }) => {
    const scene = await open();
    const broker = await scene.start(withAdmins, { nodeFlags: ['--inspect=127.0.0.1:0'] });
    undo(() => broker.stop());
    const inspector = await inspect(broker.log());
    // Node does not end while somebody inspects it.
    undo(() => inspector.close());
    const jobs = createJobs(scene, broker);
    undo(() => jobs.close());
    await load(warmUp, 16, jobs.next);
    const { took } = await load(toMeasure, 16, jobs.next);
    const rate = toMeasure / took / 2;
    say(`half of the rate: ${(rate * 1000).toFixed(0)} requests a second, for ${formatDuration(duration)}`);
    const before = jobs.done();
    const taken = await keepUp(jobs, broker, inspector, { rate, duration, say });
    const requests = jobs.done() - before;
    const overdue = await countOverdue(scene);
    // An audit is whole when its broker has ended.
    jobs.close();
    inspector.close();
    await broker.stop();
    const audit = await verifyAudit(broker);
    return describe({ duration, rate, requests, jobs, taken, overdue, audit, asked: jobs.done() });
  });
}

interface Jobs {
  /** Makes one request of the mix, and counts what was not as it should be. */
  readonly next: () => Promise<void>;
  /** Changes the configuration. */
  readonly reload: () => Promise<void>;
  /** An admin looks at the leases. */
  readonly page: () => Promise<void>;
  /** Requests so far that leave a line in the audit. */
  done(): number;
  /** By what went wrong. */
  readonly wrong: Map<string, number>;
  reloads(): number;
  close(): void;
}

function createJobs(scene: BrokerScene, { url, configFile }: ExtraBroker): Jobs {
  const client = connect(url);
  const cost = (issuer: 'ci' | 'once') => costs.find((each) => each.issuer === issuer)!;
  const reusable = () => scene.subjectToken(cost('ci'));
  const plan = mix.flatMap((each) => Array.from({ length: each.share }, () => each));
  const wrong = new Map<string, number>();
  let [turn, done, reloads, used] = [0, 0, 0, ''];
  const note = (what: string) => wrong.set(what, (wrong.get(what) ?? 0) + 1);
  const send = async (method: string, path: string, headers: Record<string, string>, body: string) => {
    done += 1;
    return client.send(method, path, headers, body);
  };
  return {
    wrong,
    async next() {
      // 37 and 100 have no common divisor: kinds come mixed, and each as often as it should.
      const { what, grant, subject, expect } = plan[(turn += 37) % plan.length]!;
      const token =
        subject === 'reusable'
          ? reusable()
          : subject === 'fresh' || used === ''
            ? scene.subjectToken(cost('once'))
            : used;
      if (what === 'replayed' && used === '') return;
      done += 1;
      const { status, body } = await ask(client, token, { grant });
      if (status !== expect) note(`${what}: ${status} ${String(body['code'])}`);
      if (what === 'a lease') used = token;
      if (what !== 'revoked' || status !== 200) return;
      const authorization = `Bearer ${reusable()}`;
      const answer = await send('DELETE', `/leases/${String(body['lease'])}`, { authorization }, '');
      if (answer.status !== 200)
        note(`revocation: ${answer.status} ${String((JSON.parse(answer.text) as { code?: unknown }).code)}`);
    },
    async reload() {
      const config = await readFile(configFile, 'utf8');
      reloads += 1;
      const next = config.replace(/perSubject: \d+/, `perSubject: ${10_000_000 + reloads}`);
      await writeFile(`${configFile}.new`, next, { mode: 0o600 });
      await rename(`${configFile}.new`, configFile);
    },
    async page() {
      const { status } = await send('GET', '/leases?limit=100', { authorization: `Bearer ${reusable()}` }, '');
      if (status !== 200) note(`page of leases: ${status}`);
    },
    done: () => done,
    reloads: () => reloads,
    close: () => client.close(),
  };
}

/** Sends by the clock, whatever the answers do, and looks at the process now and then. */
async function keepUp(
  jobs: Jobs,
  broker: ExtraBroker,
  inspector: Inspector,
  { rate, duration, say }: SoakOptions & { readonly rate: number },
): Promise<readonly Sample[]> {
  const taken: Sample[] = [];
  const began = performance.now();
  let [sent, underWay] = [0, 0];
  let next = { sample: 0, reload: reloadEvery, page: pageEvery };
  const running = new Set<Promise<void>>();
  const go = (work: () => Promise<void>) => {
    underWay += 1;
    const one = work()
      .catch((error: unknown) => void jobs.wrong.set(String(error), (jobs.wrong.get(String(error)) ?? 0) + 1))
      .finally(() => {
        underWay -= 1;
        running.delete(one);
      });
    running.add(one);
  };
  for (;;) {
    const at = performance.now() - began;
    if (at >= duration) break;
    for (; sent < at * rate; sent += 1) {
      if (underWay < mostUnderWay) go(jobs.next);
      else jobs.wrong.set('late', (jobs.wrong.get('late') ?? 0) + 1);
    }
    if (at >= next.reload) {
      next = { ...next, reload: next.reload + reloadEvery };
      go(jobs.reload);
    }
    if (at >= next.page) {
      next = { ...next, page: next.page + pageEvery };
      go(jobs.page);
    }
    if (at >= next.sample) {
      next = { ...next, sample: next.sample + duration / samples };
      const weigh = taken.length % heapEvery === 0;
      taken.push({ at: at / 1000, ...lookAt(broker), heap: weigh ? await inspector.heap() : undefined });
      if (taken.length % 20 === 0)
        say(`${formatDuration(at)}: ${mebibytes(taken.at(-1)!.memory)}, ${taken.at(-1)!.handles} handles`);
    }
    await sleep(10);
  }
  await Promise.all(running);
  return taken;
}

function lookAt(broker: ExtraBroker): Omit<Sample, 'at' | 'heap'> {
  const folder = `/proc/${broker.pid}/fd`;
  const names = readdirSync(folder);
  const isSocket = (name: string) => {
    try {
      return readlinkSync(`${folder}/${name}`).startsWith('socket:');
    } catch {
      return false;
    }
  };
  return { memory: (broker.memory() ?? NaN) * 2 ** 20, handles: names.length, sockets: names.filter(isSocket).length };
}

/** Leases that a sweep should have removed some minutes ago. */
async function countOverdue({ cluster }: BrokerScene): Promise<number> {
  const minute = Math.floor(Date.now() / 60_000) - grace;
  const path = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
  const list = await cluster.request(
    'GET',
    `${path}?limit=500&labelSelector=${encodeURIComponent(`kleis.dev/until<${minute}`)}`,
  );
  return (list['items'] as readonly unknown[]).length;
}

interface Audit {
  readonly lines: number;
  readonly bytes: number;
  readonly ok: boolean;
}

/** By itself: the anchors are those of other brokers too. Nothing wrong, and nobody who vouches for it: 5. */
async function verifyAudit({ auditFile }: ExtraBroker): Promise<Audit> {
  const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent' };
  const { code, stdout, stderr } = await run(process.execPath, [brokerProgram('dist'), 'audit', 'verify', auditFile], {
    env,
    timeout: 300_000,
  });
  const lines = readFileSync(auditFile).reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0);
  const ok = code === 0 || code === 5;
  if (!ok) process.stderr.write(`${stdout}${stderr}`);
  return { lines, bytes: statSync(auditFile).size, ok };
}

interface Outcome {
  readonly duration: number;
  readonly rate: number;
  readonly requests: number;
  readonly jobs: Jobs;
  readonly taken: readonly Sample[];
  readonly overdue: number;
  readonly audit: Audit;
  readonly asked: number;
}

function describe({ duration, rate, requests, jobs, taken, overdue, audit, asked }: Outcome): Part {
  const half = taken.filter(({ at }) => at >= duration / 2000);
  const points = (key: 'memory' | 'heap' | 'handles' | 'sockets'): Point[] =>
    half.flatMap((sample) => (sample[key] === undefined ? [] : [{ x: sample.at, y: sample[key] }]));
  const goals: Goal[] = [];
  const figures: Record<string, unknown> = { rate: rate * 1000, requests, overdue, audit, asked, samples: taken };
  const watched = [
    ['memory (RSS)', 'memory', mebibytes],
    ['heap after a collection', 'heap', mebibytes],
    ['file handles', 'handles', String],
    ['sockets among them', 'sockets', String],
  ] as const;
  const rows = watched.map(([what, key, show]) => {
    const all = taken.flatMap((sample) => sample[key] ?? []);
    const grown = growth(points(key));
    figures[`growth of ${key}`] = grown;
    goals.push(atMost(`soak of ${formatDuration(duration)}: ${what}, growth over the second half`, grown, mostGrowth));
    return [what, show(all[0]!), show(Math.max(...all)), show(all.at(-1)!), `${(grown * 100).toFixed(1)} %`];
  });
  // One for each request, and those about configurations, starts and ends.
  const unrecorded = Math.max(0, asked - audit.lines);
  const failed = [...jobs.wrong.values()].reduce((sum, each) => sum + each, 0);
  goals.push(
    atMost('soak: answers that were not as they should be, of a thousand', (failed / requests) * 1000, 0),
    atMost('soak: requests without a line in the audit', unrecorded, 0),
    atMost('soak: faults in the chain of the audit', audit.ok ? 0 : 1, 0),
    atMost(`soak: leases that wait for the sweep for more than ${grace} minutes`, overdue, 0),
  );
  return {
    title: `Soak: ${formatDuration(duration)} at half the rate, ${(rate * 1000).toFixed(0)} requests a second, ${jobs.reloads()} reloads`,
    tables: [[['', 'first', 'most', 'last', 'growth, second half'], ...rows]],
    notes: [
      `${requests} requests: ${mix.map(({ what, share }) => `${share} % ${what}`).join(', ')}.`,
      `Audit: ${audit.lines} lines for ${asked} requests, ${(audit.bytes / audit.lines).toFixed(0)} bytes each; its chain is ${audit.ok ? 'whole' : 'BROKEN'}.`,
      ...Array.from(jobs.wrong, ([what, count]) => `Not as it should be: ${count} times ${what}`),
    ],
    goals,
    figures,
  };
}

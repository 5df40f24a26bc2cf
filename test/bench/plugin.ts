// The part `plugin` of the benchmark: what a call of the credential plugin costs, beside what else starts.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { findTool } from '../support/tools.ts';
import type { GoalName, Judged } from './goals.ts';
import { kubectlCalls } from './kubectl.ts';
import { type Contender, differences, race, type Samples, type Summary, summarize } from './race.ts';
import { machineNow, type Report, type Table, type Timed, timesTable } from './report.ts';
import { type Call, createScene, type Scene, tokenOf } from './scene.ts';
import { stampede } from './stampede.ts';

interface Measured {
  readonly table: Table;
  readonly goals: readonly Judged[];
}

/** A build of the programs, with a person of its own who has installed it. */
interface Build {
  /** Follows the names of its rows. */
  readonly suffix: string;
  readonly scene: Scene;
}

const crowd = 200;
const [truth, cat, kleis, kubelogin] = ['/bin/true', 'sh + cat', 'kleis-credential', 'kubelogin get-token'] as const;
const nothing = 'node -e 0';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '60' }, against: { type: 'string' } } });
const rounds = Math.max(1, Number.parseInt(values.rounds, 10) || 1);

process.stdout.write(JSON.stringify(await measure()));
process.exit(0);

async function measure(): Promise<Report> {
  const machine = machineNow();
  const kubectl = findTool('kubectl-new') ?? findTool('kubectl');
  const versions = [`sh is ${basename(realpathSync('/bin/sh'))}`];
  const missing: string[] = [];
  if (kubectl === undefined) missing.push('kubectl is not on PATH');
  else versions.push(`kubectl ${versionOf(kubectl, ['version', '--client'])}`);
  const peer = findTool('kubelogin');
  if (peer === undefined) missing.push('kubelogin (int128) is neither on PATH nor in KUBEBUILDER_ASSETS');
  else versions.push(`kubelogin ${versionOf(peer, ['--version'])}`);

  const own: Build = { suffix: '', scene: await createScene('dist', peer) };
  const other =
    values.against === undefined ? [] : [{ suffix: ', the other build', scene: await createScene(values.against) }];
  const builds = [own, ...other];
  try {
    const asked = kubectl === undefined ? [] : [await raceKubectl(kubectl, builds)];
    const parts = [await raceCached(builds), ...asked, await raceSlow(builds), await raceStampedes(builds)];
    const tables = parts.map(({ table }) => table);
    return { part: 'plugin', ...machine, versions, tables, goals: parts.flatMap(({ goals }) => goals), missing };
  } finally {
    for (const { scene } of builds) await scene.end();
  }
}

function versionOf(program: string, args: readonly string[]): string {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'of unknown version';
}

/** What kubectl waits for at nearly every call. */
async function raceCached(builds: readonly Build[]): Promise<Measured> {
  const { scene } = builds[0]!;
  const { env } = scene.kleis.cached;
  const before = scene.inTurn;
  const contenders = [
    contender(truth, { command: [truthPath()], env }, 10, before),
    contender(cat, { command: [scene.script], env }, 10, before),
    ...builds.flatMap(({ suffix, scene: { kleis: calls } }) => [
      contender(`${kleis}${suffix}`, calls.cached, 10, before),
      contender(`${kleis}, its cache on a disk${suffix}`, calls.cachedOnDisk, 10, before),
      contender(`${kleis}, eleven entries of one length${suffix}`, calls.cachedAlike, 10, before),
    ]),
    contender(nothing, { command: [process.execPath, '-e', '0'], env }, 1, before),
    ...(scene.kubelogin ? [contender(kubelogin, scene.kubelogin.cached, 5, before)] : []),
  ];
  const starts = async () => {
    const counts = await Promise.all(builds.map((build) => build.scene.person.nodeStarts()));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const nodes = await starts();
  const samples = await race(contenders, rounds);
  if ((await starts()) !== nodes) throw new Error('a cached call has started Node');

  const rows = timesOf(contenders, samples);
  const median = medians(rows);
  const ratios = rows.map((row) => ({ ...row, more: [row.median / median(truth), row.median / median(cat)] }));
  const goals = [judge('cached', builds, (suffix) => median(`${kleis}${suffix}`) / median(cat))];
  if (scene.kubelogin) {
    goals.push(judge('cached ÷ kubelogin', builds, (suffix) => median(`${kleis}${suffix}`) / median(kubelogin)));
  }
  const table = timesTable(
    "A token from the cache, ten other clusters' beside it",
    `${rounds} rounds of 1 to 10 runs`,
    ratios,
    [
      { heading: `÷ \`${truth}\``, unit: 'ratio' },
      { heading: '÷ `sh` + `cat`', unit: 'ratio' },
    ],
  );
  return { table, goals };
}

async function raceKubectl(program: string, builds: readonly Build[]): Promise<Measured> {
  const plain = 'kubectl, token in the kubeconfig';
  const { withToken, withKubelogin } = kubectlCalls(program, builds[0]!.scene);
  const contenders = [
    contender(plain, withToken),
    ...builds.map(({ suffix, scene }) =>
      contender(`kubectl, ${kleis}${suffix}`, kubectlCalls(program, scene).withKleis),
    ),
    ...(withKubelogin ? [contender(`kubectl, ${kubelogin}`, withKubelogin)] : []),
  ];
  // Each takes so much longer than what is looked for that a few runs would say nothing.
  const runs = rounds * 2;
  const samples = await race(contenders, runs);
  const added = contenders.slice(1).map(({ name }): Timed => {
    const difference = differences(samples, name, plain);
    return { name: `added by ${name.replace('kubectl, ', '')}`, ...summarize(difference) };
  });
  const rows = [...timesOf(contenders, samples), ...added];
  return {
    table: timesTable('kubectl get --raw', `${runs} runs`, rows),
    goals: [judge('kubectl', builds, (suffix) => medians(rows)(`added by ${kleis}${suffix}`))],
  };
}

/** What happens once in the life of a token or less, and needs Node. */
async function raceSlow(builds: readonly Build[]): Promise<Measured> {
  const { scene } = builds[0]!;
  const { env } = scene.kleis.cached;
  const runs = Math.ceil(rounds / 3);
  const contenders = [
    contender(nothing, { command: [process.execPath, '-e', '0'], env }),
    ...builds.flatMap(({ suffix, scene: { person, kleis: calls } }) => [
      contender(`kleis --version${suffix}`, { command: [`${person.bin}/kleis`, '--version'], env }),
      contender(`kleis --help${suffix}`, { command: [`${person.bin}/kleis`, '--help'], env }),
      contender(`${kleis}, from the session${suffix}`, calls.session),
      contender(`${kleis}, refresh${suffix}`, calls.expired),
    ]),
    ...(scene.kubelogin ? [contender(`${kubelogin}, refresh`, scene.kubelogin.expired)] : []),
  ];
  const rows = timesOf(contenders, await race(contenders, runs));
  const parts = (name: string) => medians(rows)(name) / medians(rows)(nothing);
  const table = timesTable(
    'A start, a token from the session, a refresh at the provider',
    `${runs} runs`,
    rows.map((row) => ({ ...row, more: [parts(row.name)] })),
    [{ heading: `÷ \`${nothing}\``, unit: 'ratio' }],
  );
  return {
    table,
    goals: [
      judge('refresh', builds, (suffix) => parts(`${kleis}, refresh${suffix}`)),
      judge('session', builds, (suffix) => parts(`${kleis}, from the session${suffix}`)),
      judge('version', builds, (suffix) => parts(`kleis --version${suffix}`)),
      judge('help', builds, (suffix) => parts(`kleis --help${suffix}`)),
    ],
  };
}

interface Crowd {
  readonly name: string;
  readonly call: Call;
  /** Whose Nodes and refreshes are counted. */
  readonly scene?: Scene;
  readonly took: number[];
  nodes: number;
  refreshes: number;
}

/** Many at the moment in which the token ends. */
async function raceStampedes(builds: readonly Build[]): Promise<Measured> {
  const { scene } = builds[0]!;
  const { env } = scene.kleis.cached;
  const runs = Math.ceil(rounds / 12);
  const of = (name: string, call: Call, counted?: Scene): Crowd => ({
    name,
    call,
    ...(counted && { scene: counted }),
    took: [],
    nodes: 0,
    refreshes: 0,
  });
  const crowds = [
    of(truth, { command: [truthPath()], env }),
    of(cat, { command: [scene.script], env }),
    ...builds.map(({ suffix, scene: own }) => {
      // The person's `node` counts its starts.
      const counted = { ...own.kleis.expired.env, PATH: `${own.person.bin}:${env['PATH']}` };
      return of(`${kleis}${suffix}`, { ...own.kleis.expired, env: counted }, own);
    }),
    ...(scene.kubelogin ? [of(kubelogin, scene.kubelogin.expired, scene)] : []),
  ];
  for (let round = 0; round < runs; round += 1) for (const each of crowds) await runCrowd(each);
  const rows = crowds.map(({ name, scene: counted, took, nodes, refreshes }) => ({
    name,
    ...summarize(took),
    more: counted ? [refreshes, name === kubelogin ? null : nodes] : [null, null],
  }));
  const median = medians(rows);
  const crowdOf = (suffix: string) => crowds.find(({ name }) => name === `${kleis}${suffix}`)!;
  const goals = [
    judge('crowd', builds, (suffix) => median(`${kleis}${suffix}`)),
    judge('crowd refreshes', builds, (suffix) => crowdOf(suffix).refreshes),
    judge('crowd Nodes', builds, (suffix) => crowdOf(suffix).nodes),
  ];
  if (scene.kubelogin) {
    goals.unshift(judge('crowd ÷ kubelogin', builds, (suffix) => median(`${kleis}${suffix}`) / median(kubelogin)));
  }
  const table = timesTable(`${crowd} processes at the moment of expiry, until all have printed`, `${runs} runs`, rows, [
    { heading: 'refreshes, at most', unit: 'count' },
    { heading: 'Nodes, at most', unit: 'count' },
  ]);
  return { table, goals };
}

async function runCrowd(each: Crowd): Promise<void> {
  const { name, call, scene } = each;
  const counts = async () => ({ nodes: (await scene?.person.nodeStarts()) ?? 0, refreshes: scene?.refreshes() ?? 0 });
  const before = await counts();
  const { took, outputs } = await stampede(call, crowd);
  const after = await counts();
  each.took.push(took);
  if (scene === undefined) return;
  each.nodes = Math.max(each.nodes, after.nodes - before.nodes);
  each.refreshes = Math.max(each.refreshes, after.refreshes - before.refreshes);
  const tokens = new Set(outputs.map(tokenOf));
  if (tokens.size > each.refreshes) throw new Error(`${name} printed ${tokens.size} different tokens`);
}

function contender(name: string, call: Call, batch = 1, before?: string): Contender {
  return { name, batch, ...call, ...(before === undefined ? {} : { before }) };
}

function timesOf(contenders: readonly Contender[], samples: Samples): Timed[] {
  return contenders.map(({ name }) => ({ name, ...summarize(samples.get(name) ?? []) }));
}

function medians(rows: readonly (Summary & { readonly name: string })[]): (name: string) => number {
  return (name) => rows.find((row) => row.name === name)?.median ?? NaN;
}

/** Of this build and, if there is one, of the other. */
function judge(name: GoalName, [own, other]: readonly Build[], of: (suffix: string) => number): Judged {
  return { name, is: of(own!.suffix), ...(other && { against: of(other.suffix) }) };
}

function truthPath(): string {
  return existsSync('/bin/true') ? '/bin/true' : '/usr/bin/true';
}

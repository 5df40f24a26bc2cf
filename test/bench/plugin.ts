// `npm run bench [-- --json] [-- --rounds N]`: what a call of the credential plugin costs, beside what else starts.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { arch, availableParallelism, loadavg, release, type } from 'node:os';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { findTool } from '../support/tools.ts';
import { kubectlCalls } from './kubectl.ts';
import { type Contender, differences, race, type Samples, summarize } from './race.ts';
import { atMost, byNode, formatReport, type Goal, type Group, milliseconds, type Report, type Row } from './report.ts';
import { type Call, createScene, type Scene, tokenOf } from './scene.ts';
import { stampede } from './stampede.ts';

interface Measured {
  readonly group: Group;
  readonly goals: readonly Goal[];
}

const crowd = 200;
const [truth, cat, kleis, kubelogin] = ['/bin/true', 'sh + cat', 'kleis-credential', 'kubelogin get-token'] as const;

const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '60' } } });
const rounds = Math.max(1, Number.parseInt(values.rounds, 10) || 1);

const report = await measure();
process.stdout.write(values.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : formatReport(report));
process.exit(0);

async function measure(): Promise<Report> {
  const date = new Date().toISOString().slice(0, 10);
  const shell = basename(realpathSync('/bin/sh'));
  const load = loadavg()[0]?.toFixed(1);
  const machine = `${availableParallelism()} cores (load ${load}), ${type()} ${release()} ${arch()}, sh is ${shell}`;
  const kubectl = findTool('kubectl-new') ?? findTool('kubectl');
  const versions = [`Node ${process.version}`];
  const missing: string[] = [];
  if (kubectl === undefined) missing.push('kubectl is not on PATH');
  else versions.push(`kubectl ${versionOf(kubectl, ['version', '--client'])}`);
  const peer = findTool('kubelogin');
  if (peer === undefined) missing.push('kubelogin (int128) is neither on PATH nor in KUBEBUILDER_ASSETS');
  else versions.push(`kubelogin ${versionOf(peer, ['--version'])}`);

  const scene = await createScene();
  try {
    const cached = await raceCached(scene);
    const asked = kubectl === undefined ? [] : [await raceKubectl(kubectl, scene)];
    const parts = [cached, ...asked, await raceSlow(scene), await raceStampedes(scene)];
    const groups = parts.map(({ group }) => group);
    return { date, machine, versions, groups, goals: parts.flatMap(({ goals }) => goals), missing };
  } finally {
    await scene.end();
  }
}

function versionOf(program: string, args: readonly string[]): string {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'of unknown version';
}

/** What kubectl waits for at nearly every call. */
async function raceCached(scene: Scene): Promise<Measured> {
  const { cached, cachedOnDisk, cachedAlike } = scene.kleis;
  const { env } = cached;
  const before = scene.inTurn;
  const contenders = [
    contender(truth, { command: [truthPath()], env }, 10, before),
    contender(cat, { command: [scene.script], env }, 10, before),
    contender(kleis, cached, 10, before),
    contender(`${kleis}, its cache on a disk`, cachedOnDisk, 10, before),
    contender(`${kleis}, eleven entries of one length`, cachedAlike, 10, before),
    contender('node -e 0', { command: [process.execPath, '-e', '0'], env }, 1, before),
    ...(scene.kubelogin ? [contender(kubelogin, scene.kubelogin.cached, 5, before)] : []),
  ];
  const nodes = await scene.person.nodeStarts();
  const samples = await race(contenders, rounds);
  if ((await scene.person.nodeStarts()) !== nodes) throw new Error('a cached call has started Node');

  const rows = rowsOf(contenders, samples);
  const median = (name: string) => rows.find((row) => row.name === name)?.median ?? NaN;
  const ratios = (row: Row): Row => ({
    ...row,
    more: { '÷ true': ratio(row.median / median(truth)), '÷ sh + cat': ratio(row.median / median(cat)) },
  });
  const own = median(kleis);
  const goals = [atMost('a cached call ÷ sh + cat', own / median(cat), 0.6)];
  if (scene.kubelogin) goals.push(atMost('a cached call ÷ kubelogin', own / median(kubelogin), 0.2));
  const title = `A token from the cache, ten other clusters' beside it`;
  return { group: { title, runs: `${rounds} rounds of 1 to 10 runs`, rows: rows.map(ratios) }, goals };
}

async function raceKubectl(program: string, scene: Scene): Promise<Measured> {
  const { withToken, withKleis, withKubelogin } = kubectlCalls(program, scene);
  const plain = 'kubectl, token in the kubeconfig';
  const plugged: readonly (readonly [string, Call | undefined])[] = [
    [kleis, withKleis],
    [kubelogin, withKubelogin],
  ];
  const contenders = [contender(plain, withToken)];
  for (const [name, call] of plugged) if (call) contenders.push(contender(`kubectl, ${name}`, call));
  // Each takes so much longer than what is looked for that a few runs would say nothing.
  const runs = rounds * 2;
  const samples = await race(contenders, runs);
  const added = contenders.slice(1).map(({ name }): Row => {
    const difference = differences(samples, name, plain);
    return { name: `  added by ${name.replace('kubectl, ', '')}`, ...summarize(difference) };
  });
  const ours = added[0]?.median ?? NaN;
  return {
    group: { title: 'kubectl get --raw', runs: `${runs} runs`, rows: [...rowsOf(contenders, samples), ...added] },
    goals: [{ text: 'a kubectl call takes less than 3 ms longer', is: milliseconds(ours), met: ours < 3 }],
  };
}

/** What happens once in the life of a token or less, and needs Node. */
async function raceSlow(scene: Scene): Promise<Measured> {
  const { env } = scene.kleis.cached;
  const runs = Math.ceil(rounds / 3);
  const contenders = [
    contender('node -e 0', { command: [process.execPath, '-e', '0'], env }),
    contender('kleis --version', { command: [`${scene.person.bin}/kleis`, '--version'], env }),
    contender('kleis --help', { command: [`${scene.person.bin}/kleis`, '--help'], env }),
    contender(`${kleis}, from the session`, scene.kleis.session),
    contender(`${kleis}, refresh`, scene.kleis.expired),
    ...(scene.kubelogin ? [contender(`${kubelogin}, refresh`, scene.kubelogin.expired)] : []),
  ];
  const samples = await race(contenders, runs);
  const rows = rowsOf(contenders, samples);
  const floor = rows[0]?.median ?? NaN;
  const timesNode = (row: Row): Row => ({ ...row, more: { '÷ node -e 0': ratio(row.median / floor) } });
  const parts = (name: string) => (rows.find((row) => row.name === name)?.median ?? NaN) / floor;
  const title = 'A cold start, a token from the session, a refresh at the provider';
  return {
    group: { title, runs: `${runs} runs`, rows: rows.map(timesNode) },
    goals: [
      atMost('kleis --version ÷ node -e 0', parts('kleis --version'), byNode(1.5, 1.4)),
      atMost('kleis --help ÷ node -e 0', parts('kleis --help'), byNode(1.5, 1.4)),
      atMost('a token from the session ÷ node -e 0', parts(`${kleis}, from the session`), byNode(2, 1.8)),
      atMost('a refresh ÷ node -e 0', parts(`${kleis}, refresh`), byNode(3.3, 2.4)),
    ],
  };
}

/** Many at the moment in which the token ends. */
async function raceStampedes(scene: Scene): Promise<Measured> {
  const { env } = scene.kleis.cached;
  const runs = Math.ceil(rounds / 12);
  // The person's `node` counts its starts.
  const counted = { ...scene.kleis.expired.env, PATH: `${scene.person.bin}:${env['PATH']}` };
  const contenders: readonly (readonly [string, Call])[] = [
    [truth, { command: [truthPath()], env }],
    [cat, { command: [scene.script], env }],
    [kleis, { ...scene.kleis.expired, env: counted }],
    ...(scene.kubelogin ? [[kubelogin, scene.kubelogin.expired] as const] : []),
  ];
  const seen = new Map(contenders.map(([name]) => [name, { took: [] as number[], nodes: 0, refreshes: 0 }]));
  for (let round = 0; round < runs; round += 1) {
    for (const [name, call] of contenders) {
      const [nodes, refreshes] = [await scene.person.nodeStarts(), scene.refreshes()];
      const { took, outputs } = await stampede(call, crowd);
      const entry = seen.get(name);
      entry?.took.push(took);
      if (entry === undefined || name === truth || name === cat) continue;
      entry.nodes = Math.max(entry.nodes, (await scene.person.nodeStarts()) - nodes);
      entry.refreshes = Math.max(entry.refreshes, scene.refreshes() - refreshes);
      const tokens = new Set(outputs.map(tokenOf));
      if (tokens.size > entry.refreshes) throw new Error(`${name} printed ${tokens.size} different tokens`);
    }
  }
  const rows = [...seen].map(([name, { took, nodes, refreshes }]): Row => {
    if (name === truth || name === cat) return { name, ...summarize(took) };
    const more = { 'refreshes, at most': `${refreshes}`, ...(name === kleis && { 'Nodes, at most': `${nodes}` }) };
    return { name, ...summarize(took), more };
  });
  const ours = rows.find((row) => row.name === kleis)?.median ?? NaN;
  const { nodes = 0, refreshes = 0 } = seen.get(kleis) ?? {};
  const goals = [
    {
      text: `${crowd} processes at expiry all have their token within a second`,
      is: milliseconds(ours),
      met: ours < 1000,
    },
    ...(scene.kubelogin
      ? [
          atMost(
            `${crowd} at expiry ÷ kubelogin`,
            ours / (rows.find(({ name }) => name === kubelogin)?.median ?? NaN),
            0.6,
          ),
        ]
      : []),
    { text: 'after one refresh by one Node', is: `${refreshes}, ${nodes}`, met: refreshes === 1 && nodes === 1 },
  ];
  return { group: { title: `${crowd} processes at the moment of expiry`, runs: `${runs} runs`, rows }, goals };
}

function contender(name: string, call: Call, batch = 1, before?: string): Contender {
  return { name, batch, ...call, ...(before === undefined ? {} : { before }) };
}

function rowsOf(contenders: readonly Contender[], samples: Samples): Row[] {
  return contenders.map(({ name }) => ({ name, ...summarize(samples.get(name) ?? []) }));
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function truthPath(): string {
  return existsSync('/bin/true') ? '/bin/true' : '/usr/bin/true';
}

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { needs } from '../support/needs.ts';
import { run, type RunResult } from '../support/run.ts';
import { until } from '../support/wait.ts';
import { archive, type LastMileWorld, startLastMileWorld } from './last-mile-world.ts';

// The action as a runner runs it: its scripts with inputs, files of commands and state, in a job of a GitHub server, with
// a broker and an API server. Masks and annotations are read from the log as the runner reads them.

const folder = new URL('../../cli/packaging/action/', import.meta.url).pathname;
const kubectl = needs('kubectl-new') ?? needs('kubectl');

interface ActionFile {
  readonly inputs: Readonly<Record<string, { readonly required?: boolean; readonly default?: string }>>;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly runs: { readonly using: string; readonly main: string; readonly post: string };
}
const action = parse(await readFile(join(folder, 'action.yml'), 'utf8')) as ActionFile;

type Texts = Readonly<Record<string, string>>;

/** What a job of a runner has: variables that steps add to, and a log. */
interface Job {
  readonly home: string;
  /** What the steps that follow see. */
  readonly env: () => Texts;
  /** Runs the action's step with those inputs, as `with:` has them. */
  main(inputs: Texts, more?: Texts): Promise<Step>;
  shell(script: string, more?: Texts): Promise<RunResult>;
  /** A text with what the log masks in it. */
  readonly isMasked: (text: string) => boolean;
}

interface Step extends RunResult {
  readonly outputs: Texts;
  readonly state: Texts;
  readonly errors: readonly string[];
  /** The end of the job, whatever became of it. */
  post(more?: Texts): Promise<RunResult & { readonly warnings: readonly string[] }>;
}

let world: LastMileWorld;

async function startJob(claims: Readonly<Record<string, unknown>> = {}): Promise<Job> {
  const home = await world.folder();
  const [temp, cache] = [join(home, 'temp'), join(home, 'tools')];
  for (const each of [temp, cache]) await mkdir(each);
  const path: string[] = [dirname(process.execPath), dirname(kubectl ?? ''), '/usr/bin', '/bin'];
  let exported: Texts = {};
  const masks: string[] = [];
  const runner = {
    HOME: home,
    RUNNER_TEMP: temp,
    RUNNER_TOOL_CACHE: cache,
    RUNNER_OS: 'Linux',
    GITHUB_WORKSPACE: home,
  };
  const platform = world.github.job(randomUUID(), claims);
  const env = () => ({ ...runner, ...platform, ...exported, PATH: path.join(delimiter) });

  /** A script of the action with files of commands of its own, as for each step. */
  async function script(name: string, more: Texts) {
    const files = Object.fromEntries(
      ['GITHUB_ENV', 'GITHUB_PATH', 'GITHUB_OUTPUT', 'GITHUB_STATE'].map((file) => [file, join(temp, randomUUID())]),
    );
    for (const file of Object.values(files)) await writeFile(file, '');
    const variables = { ...env(), ...files, ...more };
    const result = await run(process.execPath, [join(folder, name)], { env: variables, cwd: home, timeout: 60_000 });
    const read = async (file: string) => readFile(files[file] ?? '', 'utf8');
    exported = { ...exported, ...readCommands(await read('GITHUB_ENV')) };
    path.unshift(
      ...(await read('GITHUB_PATH'))
        .split('\n')
        .filter((line) => line !== '')
        .toReversed(),
    );
    masks.push(...commandsIn(result.stdout, 'add-mask'));
    return {
      ...result,
      outputs: readCommands(await read('GITHUB_OUTPUT')),
      state: readCommands(await read('GITHUB_STATE')),
    };
  }

  return {
    home,
    env,
    async main(inputs, more = {}) {
      const unknown = Object.keys(inputs).filter((name) => !(name in action.inputs));
      expect(unknown).toEqual([]);
      const all = Object.entries(action.inputs).map(([name, { default: usual = '' }]) => [
        `INPUT_${name.toUpperCase()}`,
        inputs[name] ?? usual,
      ]);
      const given = Object.fromEntries(all) as Texts;
      const step = await script(action.runs.main, { ...given, ...more });
      const states = Object.fromEntries(Object.entries(step.state).map(([name, value]) => [`STATE_${name}`, value]));
      return {
        ...step,
        errors: commandsIn(step.stdout, 'error title=Kleis'),
        async post(rest = {}) {
          const result = await script(action.runs.post, { ...given, ...states, ...rest });
          return { ...result, warnings: commandsIn(result.stdout, 'warning title=Kleis') };
        },
      };
    },
    shell: async (text, more = {}) =>
      run('/bin/bash', ['-ec', text], { env: { ...env(), ...more }, cwd: home, timeout: 60_000 }),
    isMasked: (text) => masks.includes(text),
  };
}

/** https://docs.github.com/actions, "Multiline strings": what a delimiter does not end is a value. */
function readCommands(text: string): Texts {
  const found: Record<string, string> = {};
  const lines = text.split('\n');
  while (lines.length > 0) {
    const line = lines.shift() ?? '';
    const [, name = '', end = ''] = /^([^=<]+)<<(.+)$/.exec(line) ?? [];
    if (name === '') {
      expect(line).toBe('');
      continue;
    }
    const value = lines.splice(0, lines.indexOf(end));
    lines.shift();
    found[name] = value.join('\n');
  }
  return found;
}

/** What the runner takes for commands: lines that begin with `::`, but not between stop-commands and its token. */
function commandsIn(log: string, wanted: string): string[] {
  const found: string[] = [];
  let stopped: string | undefined;
  for (const line of log.split('\n').map((each) => each.trimStart())) {
    const [, name = '', value = ''] = /^::([^:]+)::(.*)$/.exec(line) ?? [];
    if (stopped !== undefined) {
      if (name === stopped) stopped = undefined;
    } else if (name === 'stop-commands') stopped = value;
    else if (name === wanted) found.push(value.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%'));
  }
  return found;
}

const usual = () => ({
  broker: world.url,
  grant: 'deploy-web',
  'certificate-authority': world.ca,
  download: world.releases,
});

/** The tokens that the job keeps. */
async function keptIn(cache: string): Promise<string[]> {
  const texts = await Promise.all(
    (await readdir(cache, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(async (entry) => readFile(join(entry.parentPath, entry.name), 'utf8')),
  );
  return [...new Set(texts.flatMap((text) => text.match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? []))];
}

describe.skipIf(kubectl === undefined)('the action for GitHub', () => {
  beforeAll(async () => {
    world = await startLastMileWorld();
  });
  afterAll(async () => world?.end());

  it('is of this version, runs what is there, and has its flags from inputs of the same names', async () => {
    expect(action.inputs['version']?.default).toBe(packageJson.version);
    for (const name of [action.runs.main, action.runs.post]) expect(existsSync(join(folder, name))).toBe(true);
    const script = await readFile(join(folder, action.runs.main), 'utf8');
    for (const name of Object.keys(action.inputs)) expect(script).toContain(`'${name}'`);
  });

  it.concurrent('installs Kleis, kubectl works, and in the end what was got is dead', async () => {
    const job = await startJob();
    const step = await job.main({ ...usual(), token: 'true' });
    expect([step.errors, step.code], step.stdout).toEqual([[], 0]);
    expect(step.outputs).toEqual({
      kubeconfig: job.env()['KUBECONFIG'],
      context: expect.stringMatching(/./),
      token: expect.stringMatching(/^eyJ/),
    });
    expect(step.outputs['kubeconfig']?.startsWith(job.env()['RUNNER_TEMP'] ?? '-')).toBe(true);
    expect(job.isMasked(step.outputs['token'] ?? '')).toBe(true);
    expect(step.stdout.replaceAll(/^::add-mask::.*$/gm, '')).not.toMatch(/eyJ/);

    const version = await job.shell('kleis --version');
    expect(version.stdout.trim()).toBe(packageJson.version);
    const whoami = await job.shell('kubectl auth whoami');
    expect(whoami.stdout).toContain('system:serviceaccount:kleis-identities:deploy-web');
    const there = await job.shell(`kubectl --context '${step.outputs['context']}' auth whoami`);
    expect(there.code, there.stderr).toBe(0);
    // A script asks for the token that is masked.
    expect((await job.shell('kleis token')).stdout.trim()).toBe(step.outputs['token']);

    const kept = await keptIn(job.env()['KLEIS_CACHE_DIR'] ?? '');
    expect(kept).toContain(step.outputs['token']);
    expect(kept.length).toBeGreaterThan(1);
    const end = await step.post();
    expect([end.warnings, end.code], end.stdout).toEqual([[], 0]);
    expect(end.stdout.match(/^revoked \S+: dead/gm)).toHaveLength(kept.length);
    expect(await keptIn(job.env()['KLEIS_CACHE_DIR'] ?? '')).toEqual([]);
    for (const token of kept) await until('the token is dead', async () => (await world.app.state.ask(token)) === 401);
  });

  it.concurrent('serves two grants in one job, each with a context, and takes each back', async () => {
    const job = await startJob();
    const web = await job.main({ ...usual(), name: 'web' });
    const installed = await readdir(join(job.env()['RUNNER_TOOL_CACHE'] ?? '', 'kleis'), { recursive: true });
    // The archive is not needed again.
    const api = await job.main({ ...usual(), grant: 'deploy-api', name: 'api', ttl: '10m', download: '/nowhere' });
    expect([web.errors, api.errors]).toEqual([[], []]);
    expect(installed.some((name) => name.endsWith('.complete'))).toBe(true);
    const { stdout } = await job.shell(
      'kubectl --context web auth whoami; kubectl auth whoami; kubectl config current-context',
    );
    expect(stdout.match(/deploy-web/g)).toHaveLength(2);
    expect(stdout.trim().split('\n').at(-1)).toBe('api');
    // The last one first, as the runner has it.
    for (const step of [api, web]) {
      const { stdout: said } = await step.post();
      expect(said.match(/^revoked \S+: dead/gm)).toHaveLength(1);
    }
    const { given, revoked } = await world.leases('deploy-api');
    expect(revoked).toEqual(given);
  });

  it.concurrent('says at once what to do where the job may have no ID token', async () => {
    const job = await startJob();
    const without = { ACTIONS_ID_TOKEN_REQUEST_URL: '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: '' };
    const step = await job.main({ ...usual(), download: '/nowhere' }, without);
    expect(step).toMatchObject({ code: 1, errors: [expect.stringContaining('"permissions: id-token: write"')] });
    expect(step.errors[0]).not.toContain('fork');
    const fork = await job.main(usual(), { ...without, GITHUB_EVENT_NAME: 'pull_request' });
    expect(fork.errors).toEqual([expect.stringContaining('A pull request from a fork never gets one.')]);
    // Nothing was got, so nothing is said.
    expect(await step.post()).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it.concurrent('ends early where no grant fits, with the words of Kleis', async () => {
    const job = await startJob({ environment: 'staging' });
    const step = await job.main(usual());
    expect(step).toMatchObject({ code: 1, errors: [expect.stringContaining('has no grant for GitHub Actions')] });
    expect(job.env()).not.toHaveProperty('KUBECONFIG');
  });

  it.concurrent('takes the cluster from its inputs, where the broker is not to be asked for it', async () => {
    const job = await startJob();
    const { server, caFile } = world.app.state.cluster;
    const direct = { server, 'cluster-certificate-authority': caFile, name: 'direct' };
    const step = await job.main({ ...usual(), ...direct, namespace: 'web' });
    expect([step.errors, step.outputs['context']]).toEqual([[], 'direct']);
    const { stdout } = await job.shell('kubectl auth whoami; kubectl config view --minify');
    expect(stdout).toContain('system:serviceaccount:kleis-identities:deploy-web');
    expect(stdout).toContain('namespace: web');
    expect((await step.post()).stdout).toMatch(/^revoked \S+: dead/m);
    const nameless = await job.main({ ...usual(), server });
    expect(nameless.errors).toEqual([expect.stringContaining('The context has no name.')]);
  });

  it.concurrent('does not fail the job where nothing can be taken back, and says so', async () => {
    const job = await startJob();
    const step = await job.main({ ...usual(), token: 'true' });
    const { state } = step;
    await rm(state['kubeconfig'] ?? '');
    const end = await step.post();
    expect(end).toMatchObject({
      code: 0,
      warnings: [expect.stringContaining('was not taken back; it ends by itself')],
    });
    expect((await step.post({ STATE_kleis: '/nowhere/kleis' })).code).toBe(0);
  });

  it.concurrent.each([
    [
      'an archive that is not the one of SHA256SUMS',
      () => ({ download: world.forged }),
      /has the SHA-256 \w+, not \w+: it is not installed/,
    ],
    [
      'an archive with another sum than the one given',
      () => ({ sha256: 'a'.repeat(64) }),
      /not a{64}: it is not installed/,
    ],
    ['a sum that is none', () => ({ sha256: 'abc' }), /sha256 is no SHA-256.*SHA256SUMS of the release/],
    ['a version that is none', () => ({ version: '../../x' }), /"\.\.\/\.\.\/x" is no version of Kleis/],
    [
      'a version that is not there',
      () => ({ version: '99.0.0' }),
      /There is no kleis-99\.0\.0-\S+ in .*Correct download/,
    ],
    [
      'a folder that is not there',
      () => ({ download: '/nowhere' }),
      new RegExp(`There is no ${archive.replaceAll('.', '\\.')} in /nowhere`),
    ],
    [
      'an address that is not https',
      () => ({ download: 'http://example.com' }),
      /could not be downloaded: http:\/\/example.com is not https/,
    ],
    ['no broker', () => ({ broker: '' }), /No broker is named/],
    ['a broker that is none', () => ({ broker: 'ftp://x' }), /ftp:/],
    ['a grant that would be a flag', () => ({ grant: '--kubeconfig=/tmp/x' }), /kubeconfig/],
    ['a name that would be a flag', () => ({ name: '--all' }), /"--all" cannot be the name/],
  ])('%s: the step fails, says what to do, and leaves nothing', async (_, wrong, words) => {
    const job = await startJob();
    const step = await job.main({ ...usual(), ...wrong() });
    expect(step.errors).toEqual([expect.stringMatching(words)]);
    expect(step.code).toBe(1);
    expect(job.env()).not.toHaveProperty('KUBECONFIG');
    const left = await readdir(job.env()['RUNNER_TOOL_CACHE'] ?? '', { recursive: true });
    expect(left.filter((name) => name.includes('unpack-'))).toEqual([]);
    expect((await step.post()).code).toBe(0);
  });

  it.concurrent('downloads over https, again where the mirror is busy, and from nowhere else', async () => {
    const job = await startJob();
    const trusting = { NODE_EXTRA_CA_CERTS: world.ca };
    const away = await job.main({ ...usual(), download: `${world.mirror}/away` }, trusting);
    expect(away.errors).toEqual([expect.stringContaining('could not be downloaded: http://example.com is not https')]);
    const missing = await job.main({ ...usual(), download: `${world.mirror}/nothing` }, trusting);
    expect(missing.errors).toEqual([expect.stringContaining('could not be downloaded: HTTP 404')]);
    const unknown = await job.main({ ...usual(), download: world.mirror });
    expect(unknown.errors).toEqual([expect.stringMatching(/could not be downloaded: .*certificate/)]);
    const step = await job.main({ ...usual(), download: `${world.mirror}/busy/` }, trusting);
    expect([step.errors, step.code]).toEqual([[], 0]);
  });

  it.concurrent('takes no command, variable or mask from an input or from what Kleis says', async () => {
    const job = await startJob();
    const hostile = 'x\n::add-mask::a\n::error::b\nNODE_OPTIONS=--require=/tmp/x\n::set-output name=c::d';
    const step = await job.main({ ...usual(), grant: hostile });
    expect(step.code).toBe(1);
    expect(step.errors).toHaveLength(1);
    expect(commandsIn(step.stdout, 'add-mask')).toEqual([]);
    expect(commandsIn(step.stdout, 'error')).toEqual([]);
    expect(job.env()).not.toHaveProperty('NODE_OPTIONS');
    // What is left of such a name is a name.
    const named = await job.main({ ...usual(), name: "it's; touch $(id) `id`" });
    if (named.code === 0) expect(Object.keys(job.env())).not.toContain('touch');
    expect(existsSync(join(job.home, '$(id)'))).toBe(false);
  });
});

import { randomUUID } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { issuerUrl } from '../broker/routes/world.ts';
import { needs } from '../support/needs.ts';
import { run, type RunResult } from '../support/run.ts';
import { type LastMileWorld, startLastMileWorld } from './last-mile-world.ts';

// The component for GitLab, the orb for CircleCI and the plugin for Buildkite, as their platforms run them: their scripts
// in the shells that jobs have, with the variables of a job, a broker and an API server.

const packaging = new URL('../../cli/packaging/', import.meta.url).pathname;
const read = async (name: string) => readFile(join(packaging, name), 'utf8');
const kubectl = needs('kubectl-new') ?? needs('kubectl');
const whoami = 'kubectl auth whoami';
const account = 'system:serviceaccount:kleis-identities:deploy-web';

type Texts = Readonly<Record<string, string>>;

/** What the pages say of a package: which inputs it has, and what a job gets from it. */
interface Machine {
  readonly home: string;
  readonly path: string;
}

let world: LastMileWorld;
beforeAll(async () => {
  if (kubectl !== undefined) world = await startLastMileWorld();
});
afterAll(async () => world?.end());

/** A runner with kubectl, Node and those programs of its platform. */
async function machine(programs: Texts = {}, system: readonly string[] = ['/usr/bin', '/bin']): Promise<Machine> {
  const home = await world.folder();
  const bin = join(home, 'platform');
  await mkdir(bin);
  for (const [name, body] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${body}\n`);
    await chmod(join(bin, name), 0o755);
  }
  await symlink(process.execPath, join(bin, 'node'));
  await symlink(kubectl ?? '', join(bin, 'kubectl'));
  return { home, path: [bin, ...system].join(delimiter) };
}

/** Busybox alone, as in a small image. */
async function busyboxFolder(busybox: string): Promise<string> {
  const folder = await world.folder();
  const installed = await run(busybox, ['--install', '-s', folder], { env: {} });
  expect(installed.code, installed.stderr).toBe(0);
  return folder;
}

async function leases() {
  return world.leases('deploy-ci');
}

function expectRevoked(said: RunResult) {
  expect(said.stdout, said.stderr).toMatch(/^revoked \S+: dead/m);
}

describe.skipIf(kubectl === undefined)('the component for GitLab', () => {
  interface Job {
    readonly image: string;
    readonly id_tokens: Readonly<Record<string, { readonly aud: string }>>;
    readonly variables: Texts;
    readonly before_script: readonly string[];
    readonly after_script: readonly string[];
  }
  interface Component {
    readonly inputs: Readonly<Record<string, { readonly default?: string; readonly regex?: string }>>;
    readonly job: (given: Texts) => Job;
  }

  /** https://docs.gitlab.com/ci/inputs: a text of the second document may hold `$[[ inputs.NAME ]]`. */
  async function component(): Promise<Component> {
    const text = await read('gitlab/templates/kleis/template.yml');
    const [header, body = ''] = text.split(/^---$/m);
    const { spec } = parse(header ?? '') as { spec: Component };
    return {
      inputs: spec.inputs,
      job(given) {
        const all: Texts = {
          ...Object.fromEntries(Object.entries(spec.inputs).map(([name, { default: usual = '' }]) => [name, usual])),
          ...given,
        };
        const whole = body.replaceAll(/\$\[\[ inputs\.([\w-]+) \]\]/g, (_, name: string) => {
          expect(Object.keys(all)).toContain(name);
          return all[name] ?? '';
        });
        return (parse(whole) as Record<string, Job>)['.kleis'] as Job;
      },
    };
  }

  async function start(given: Texts, shell: readonly string[], where?: Machine, more: Texts = {}) {
    const { home, path } = where ?? (await machine());
    const { job } = await component();
    const inputs: Texts = { broker: world.url, grant: 'deploy-ci', download: world.releases, ...given };
    const found = job(inputs);
    const id = randomUUID();
    const token = await world.issue({ aud: found.id_tokens['KLEIS_ID_TOKEN']?.aud });
    const platform = { HOME: home, PATH: path, GITLAB_CI: 'true', CI_JOB_ID: id, CI_SERVER_URL: issuerUrl };
    // GitLab expands variables of a job within those of another.
    const variables = Object.entries(found.variables).map(([name, value]) => [
      name,
      value.replaceAll('$CI_JOB_ID', id),
    ]);
    const env: Texts = { ...platform, ...more, KLEIS_ID_TOKEN: token, ...(Object.fromEntries(variables) as Texts) };
    const [program = '', ...args] = shell;
    const inShell = async (lines: readonly string[]) =>
      run(program, [...args, '-ec', lines.join('\n')], { env, cwd: home, timeout: 60_000 });
    return {
      env,
      script: async (...lines: string[]) => inShell([...found.before_script, ...lines]),
      after: async () => inShell(found.after_script),
    };
  }

  it('has inputs that are described, and takes a broker that is an address and nothing else', async () => {
    const { inputs } = await component();
    const regex = new RegExp(inputs['broker']?.regex ?? '');
    expect(['https://kleis.example.com', 'https://kleis.example.com:8443/x'].every((url) => regex.test(url))).toBe(
      true,
    );
    expect(['https://x"; id #', 'kleis.example.com', 'https://$(id)', ''].some((url) => regex.test(url))).toBe(false);
    expect(inputs['version']?.default).toBe(packageJson.version);
  });

  const shells = ['dash', 'bash', 'busybox'] as const;
  it.concurrent.each(shells)('in %s: kubectl works, and what was got is taken back', async (name) => {
    const shell = needs(name);
    if (shell === undefined) return;
    const small = name === 'busybox' ? await machine({}, [await busyboxFolder(shell)]) : await machine();
    const job = await start({ namespace: 'web', ttl: '10m' }, name === 'busybox' ? [shell, 'sh'] : [shell], small);
    const ran = await job.script(whoami, 'kubectl config view --minify -o "jsonpath={..namespace}"', 'kleis --version');
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toContain(account);
    expect(ran.stdout).toMatch(new RegExp(`web${packageJson.version.replaceAll('.', String.raw`\.`)}\n`));
    const { given } = await leases();
    expectRevoked(await job.after());
    expect(existsSync(job.env['KLEIS_FOLDER'] ?? '')).toBe(false);
    expect(given.length).toBeGreaterThan(0);
  });

  it.concurrent('takes a folder that somebody else has made for none of its own', async () => {
    const job = await start({}, ['/bin/sh']);
    const folder = job.env['KLEIS_FOLDER'] ?? '';
    // Of another person where this test may make it so; behind a link where not.
    const planted = process.getuid?.() === 0 ? folder : `${folder}-planted`;
    await mkdir(join(planted, 'bin'), { recursive: true });
    const ran = join(planted, 'ran');
    await writeFile(join(planted, 'bin/kleis'), `#!/bin/sh\ntouch '${ran}'\n`, { mode: 0o755 });
    await writeFile(join(planted, 'kubeconfig'), '');
    await (planted === folder ? chown(folder, 12_345, 12_345) : symlink(planted, folder));
    expect(await job.script(whoami)).toMatchObject({ code: 1, stderr: expect.stringContaining(folder) });
    expect(await job.after()).toMatchObject({ code: 0 });
    expect([existsSync(ran), existsSync(join(folder, 'bin/kleis'))]).toEqual([false, true]);
    await rm(planted, { recursive: true });
  });

  it.concurrent('downloads with no program that takes any certificate, unless the sum is given', async () => {
    const wget = { wget: `case $1 in --version) exit 1 ;; esac; cp '${world.releases}'/"\${4##*/}" "$3"` };
    const tools = ['sh', 'uname', 'ldd', 'mkdir', 'cp', 'sha256sum', 'tar', 'gzip', 'mv', 'rm', 'touch'];
    const folder = await world.folder();
    for (const tool of tools) {
      const { stdout } = await run('/bin/sh', ['-c', `command -v ${tool}`], { env: { PATH: '/usr/bin:/bin' } });
      await symlink(stdout.trim(), join(folder, tool));
    }
    const job = await start({ download: 'https://mirror.example.com' }, ['/bin/sh'], await machine(wget, [folder]));
    expect(await job.script()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('next:  Put curl into the image, or give sha256'),
    });
    await job.after();
    const sums = await readFile(join(world.releases, 'SHA256SUMS'), 'utf8');
    const sha256 = /^([0-9a-f]{64})[ *]+kleis-\S+-linux-x64\.tar\.gz$/m.exec(sums)?.[1] ?? '';
    const given = { download: 'https://mirror.example.com', sha256 };
    const taken = await start(given, ['/bin/sh'], await machine(wget, [folder]));
    expect(await taken.script('kleis --version')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(packageJson.version),
    });
    await taken.after();
  });

  it.concurrent('takes what is on PATH where it is of this version, and downloads nothing', async () => {
    const first = await machine();
    const job = await start({}, ['/bin/sh'], first);
    const kept = join(first.home, 'kept');
    expect((await job.script(`cp -R "$KLEIS_FOLDER/bin" '${kept}'`)).code).toBe(0);
    await job.after();
    const there = { ...first, path: [kept, first.path].join(delimiter) };
    const ran = await start({ download: '/nowhere' }, ['/bin/sh'], there);
    const { code, stdout } = await ran.script('command -v kleis');
    expect([code, stdout.trim()]).toEqual([0, join(kept, 'kleis')]);
    await ran.after();
    const other = await start({ download: '/nowhere', version: '9.9.9' }, ['/bin/sh'], there);
    expect(await other.script()).toMatchObject({ code: 1, stderr: expect.stringContaining('/nowhere/kleis-9.9.9') });
    await other.after();
  });

  it.concurrent.each([
    [
      'an archive that is not the one of SHA256SUMS',
      () => ({ download: world.forged }),
      /has the SHA-256 \w+, not \w+: it is not installed/,
    ],
    ['an archive with another sum than the one given', () => ({ sha256: 'a'.repeat(64) }), /not a{64}: it is not/],
    [
      'a version that is not there',
      () => ({ version: '99.0.0' }),
      /kleis-99\.0\.0-\S+ cannot be had.*\nnext: {2}Run the job again/,
    ],
    [
      'an address that is not https',
      () => ({ download: 'http://example.com' }),
      /http:\/\/example\.com\/kleis-\S+ cannot be had/,
    ],
    ['another grant', () => ({ grant: 'deploy-web' }), /There is no such cluster or grant there for you/],
    ['a broker that is away', () => ({ broker: 'http://127.0.0.1:1' }), /127\.0\.0\.1:1/],
  ])('%s: the job ends before its script, and says what to do', async (_, wrong, words) => {
    const job = await start(wrong(), ['/bin/sh']);
    const ran = await job.script('echo reached');
    expect(ran.code).toBe(1);
    expect(ran.stdout).not.toContain('reached');
    expect(ran.stderr).toMatch(words);
    expect((await job.after()).code).toBe(0);
    expect(existsSync(job.env['KLEIS_FOLDER'] ?? '')).toBe(false);
  });

  const curl = ['/usr/bin/curl', '/bin/curl'].find((path) => existsSync(path));
  it.skipIf(curl === undefined)('downloads over https, whose certificate counts', { concurrent: true }, async () => {
    const job = await start({ download: world.mirror }, ['/bin/sh']);
    expect(await job.script('echo reached')).toMatchObject({ code: 1, stdout: '' });
    await job.after();
    const trusting = await start({ download: world.mirror }, ['/bin/sh'], undefined, { CURL_CA_BUNDLE: world.ca });
    expect(await trusting.script(whoami)).toMatchObject({ code: 0, stdout: expect.stringContaining(account) });
    await trusting.after();
  });

  it.concurrent('says that it could not take back what it got, and fails no job for it', async () => {
    const job = await start({}, ['/bin/sh']);
    const ran = await job.script(whoami, `sed -i 's#${world.url}#http://127.0.0.1:1#' "$KUBECONFIG"`);
    expect(ran.code, ran.stderr).toBe(0);
    const after = await job.after();
    expect(after).toMatchObject({ code: 0 });
    expect(existsSync(job.env['KLEIS_FOLDER'] ?? '')).toBe(false);
  });
});

describe.skipIf(kubectl === undefined)('the orb for CircleCI', () => {
  interface RunStep {
    readonly run: { readonly environment?: Texts; readonly command: string; readonly when?: string };
  }
  interface Orb {
    readonly commands: {
      readonly with: {
        readonly parameters: Readonly<Record<string, { readonly type: string; readonly default?: string }>>;
        readonly steps: readonly [RunStep, { readonly steps: string }, RunStep];
      };
    };
  }

  async function start(given: Texts, circleci: string) {
    const { home, path } = await machine({ circleci });
    const orb = parse(await read('circleci/orb.yml')) as Orb;
    const { parameters, steps } = orb.commands.with;
    const [first, between, last] = steps;
    expect(between).toEqual({ steps: '<< parameters.steps >>' });
    expect(last.run.when).toBe('always');
    const all: Texts = { broker: world.url, grant: 'deploy-ci', download: world.releases, ...given };
    const fill = (text: string) =>
      text.replaceAll(/<< parameters\.([\w-]+) >>/g, (_, name: string) => all[name] ?? parameters[name]?.default ?? '');
    const bashEnv = join(home, 'bash.env');
    await writeFile(bashEnv, '');
    const platform = {
      HOME: home,
      PATH: path,
      CIRCLECI: 'true',
      CIRCLE_WORKFLOW_JOB_ID: randomUUID(),
      BASH_ENV: bashEnv,
      // A bash whose input is a socket reads no BASH_ENV unless another shell has started it.
      SHLVL: '2',
    };
    const step = async (command: string, environment: Texts = {}) =>
      run('/bin/bash', ['-eo', 'pipefail', '-c', fill(command)], {
        env: {
          ...platform,
          ...Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, fill(text)])),
        },
        cwd: home,
        timeout: 60_000,
      });
    return {
      begin: async () => step(first.run.command, first.run.environment),
      step,
      end: async () => step(last.run.command),
    };
  }

  /** Gives the token to who asks for the right audience. */
  const circleci = async (audience: string) =>
    `[ "$*" = 'run oidc get --claims {"aud":"${audience}"}' ] && printf %s '${await world.issue()}'`;

  it.concurrent('gives the steps within kubectl, and takes back what they got', async () => {
    const job = await start({ name: "the job's", ttl: '10m' }, await circleci(world.url));
    const begun = await job.begin();
    expect(begun.code, begun.stderr).toBe(0);
    const asked = await job.step(whoami);
    expect(asked.stdout, asked.stderr).toContain(account);
    expect((await job.step('kubectl config current-context')).stdout).toBe("the job's\n");
    const folder = (await job.step('printf %s "$KLEIS_FOLDER"')).stdout;
    expect((await job.step(`stat -c %a '${folder}/id-token'`)).stdout).toBe('600\n');
    expectRevoked(await job.end());
    expect(existsSync(folder)).toBe(false);
  });

  it.concurrent('says what to do where there is no ID token, and ends well where nothing was got', async () => {
    const job = await start({}, 'exit 1');
    expect(await job.begin()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('A build of a fork gets none'),
    });
    expect((await job.end()).code).toBe(0);
    const odd = await start({ audience: 'x"}, {' }, await circleci(world.url));
    expect(await odd.begin()).toMatchObject({ code: 1, stderr: expect.stringContaining('Correct broker or audience') });
  });
});

describe.skipIf(kubectl === undefined)('the plugin for Buildkite', () => {
  async function start(programs: Texts, more: Texts = {}) {
    const { home, path } = await machine(programs);
    let env: Texts = { ...more, HOME: home, PATH: path, BUILDKITE: 'true', BUILDKITE_JOB_ID: randomUUID() };
    /** As the agent does: what a hook exports is there for what follows, however the hook is configured. */
    async function hook(name: string, given: Texts) {
      const file = join(home, randomUUID());
      const all = { broker: world.url, grant: 'deploy-ci', download: world.releases, ...given };
      const plugin = Object.fromEntries(
        Object.entries(all).map(([key, value]) => [
          `BUILDKITE_PLUGIN_KLEIS_${key.toUpperCase().replaceAll('-', '_')}`,
          value,
        ]),
      );
      const hooks = join(packaging, 'buildkite/hooks', name);
      const script = `. '${hooks}'; status=$?; env -0 >'${file}'; exit $status`;
      const result = await run('/bin/bash', ['-c', script], { env: { ...env, ...plugin }, cwd: home, timeout: 60_000 });
      if (existsSync(file)) {
        const pairs = (await readFile(file, 'utf8')).split('\0').filter((each) => each.includes('='));
        const entries = pairs.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]);
        env = Object.fromEntries(entries.filter(([key]) => key?.startsWith('BUILDKITE_PLUGIN_') !== true)) as Texts;
      }
      return result;
    }
    return {
      env: () => env,
      begin: async (given: Texts = {}) => hook('pre-command', given),
      command: async (script: string) => run('/bin/sh', ['-ec', script], { env, cwd: home, timeout: 60_000 }),
      end: async (given: Texts = {}) => hook('pre-exit', given),
    };
  }
  const agent = async () => ({ 'buildkite-agent': `printf '%s\\n' '${await world.issue()}'` });

  it('is one that the agent takes, and its hooks may be run', async () => {
    const plugin = parse(await read('buildkite/plugin.yml')) as { configuration: { properties: object } };
    const hook = await read('buildkite/hooks/pre-command');
    for (const name of Object.keys(plugin.configuration.properties)) {
      expect(hook).toContain(`BUILDKITE_PLUGIN_KLEIS_${name.toUpperCase().replaceAll('-', '_')}`);
    }
    for (const name of ['pre-command', 'pre-exit']) {
      expect(await run('test', ['-x', join(packaging, 'buildkite/hooks', name)], { env: {} })).toMatchObject({
        code: 0,
      });
    }
  });

  it.concurrent('takes no folder for its own that the environment of a build names', async () => {
    const precious = await world.folder();
    const given = { KLEIS_FOLDER: precious, KLEIS_FOLDER_OF: randomUUID(), KUBECONFIG: join(precious, 'config') };
    const job = await start(await agent(), given);
    expect(await job.end()).toMatchObject({ code: 0 });
    expect(existsSync(precious)).toBe(true);
    const begun = await job.begin();
    expect(begun.code, begun.stderr).toBe(0);
    expect(job.env()['KLEIS_FOLDER']).not.toBe(precious);
    expect(job.env()['KUBECONFIG']).not.toBe(given.KUBECONFIG);
    expect((await job.command(whoami)).stdout).toContain(account);
    expectRevoked(await job.end());
    expect(existsSync(precious)).toBe(true);
  });

  it.concurrent('gives the command kubectl, and takes back what it got with each context', async () => {
    const job = await start(await agent());
    const first = await job.begin({ name: 'one' });
    expect(first.code, first.stderr).toBe(0);
    expect((await job.begin({ name: 'two', grant: 'check-ci' })).code).toBe(0);
    const ran = await job.command(`${whoami}; kubectl --context one auth whoami; exit 3`);
    expect(ran.code).toBe(3);
    expect(ran.stdout.match(new RegExp(account, 'g'))).toHaveLength(2);
    const folder = job.env()['KLEIS_FOLDER'] ?? '';
    const end = await job.end();
    expect(end.stdout.match(/^revoked \S+: dead/gm)).toHaveLength(2);
    expect(existsSync(folder)).toBe(false);
    // The plugin of the other context has nothing left to do.
    expect(await job.end()).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it.concurrent('ends the step before its command where the agent gives no token', async () => {
    const job = await start({ 'buildkite-agent': 'echo no >&2; exit 1' });
    expect(await job.begin()).toMatchObject({ code: 1, stderr: expect.stringContaining('buildkite-agent failed') });
    expect((await job.end()).code).toBe(0);
  });
});

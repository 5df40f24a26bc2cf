import { spawnSync } from 'node:child_process';
import { mkdtemp, mkdir, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { parse as parseShell } from 'unbash';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { examples } from '../../docs/examples.ts';
import { needs } from '../../support/needs.ts';

// What CI platforms are given is of their format, and the pages use it by inputs that it has, in this version.

const root = new URL('../../../', import.meta.url).pathname;
const read = async (name: string) => readFile(join(root, name), 'utf8');
const ajv = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false, addUsedSchema: false });

const compiled = new Map<string, ValidateFunction>();

/** Why it is not of that format; '' if it is. */
async function faults(schema: string, value: unknown): Promise<string> {
  const isValid =
    compiled.get(schema) ?? ajv.compile(JSON.parse(await read(`test/docs/schemas/${schema}.json`)) as object);
  compiled.set(schema, isValid);
  return isValid(value) ? '' : ajv.errorsText(isValid.errors);
}

type Parameters = Readonly<Record<string, { readonly default?: string; readonly required?: boolean }>>;
interface Action {
  readonly inputs: Parameters;
}
interface Spec {
  readonly spec: { readonly inputs: Parameters };
}
interface Orb {
  readonly executors: object;
  readonly commands: { readonly with: { readonly parameters: Parameters } };
  readonly examples: { readonly deploy: { readonly usage: { readonly orbs: object; readonly jobs: object } } };
}
interface Plugin {
  readonly configuration: { readonly properties: object; readonly required: readonly string[] };
}

const action = async () => parse(await read('cli/packaging/action/action.yml')) as Action;
const component = async () => {
  const text = await read('cli/packaging/gitlab/templates/kleis/template.yml');
  const [spec, jobs] = parseAllDocuments(text.replaceAll('$[[ inputs.job ]]', '.kleis'));
  return { text, spec: spec?.toJS() as Spec, jobs: jobs?.toJS() as Record<string, object> };
};
const orb = async () => parse(await read('cli/packaging/circleci/orb.yml')) as Orb;
const plugin = async () => parse(await read('cli/packaging/buildkite/plugin.yml')) as Plugin;

/** In the pages, each block that holds this. */
const using = (text: string) => examples().filter((example) => example.text.includes(text));

/** What a page gives to a package, wherever it stands in the file. */
function givenTo(value: unknown, of: (value: Record<string, unknown>) => unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  const here = Array.isArray(value) ? undefined : of(value as Record<string, unknown>);
  return [...(here === undefined ? [] : [here]), ...Object.values(value).flatMap((each) => givenTo(each, of))];
}

function expectKnown(given: readonly unknown[], parameters: object, required: readonly string[]) {
  expect(given.length).toBeGreaterThan(0);
  for (const each of given) {
    expect(Object.keys(parameters)).toEqual(expect.arrayContaining(Object.keys(each as object)));
    expect(Object.keys(each as object)).toEqual(expect.arrayContaining([...required]));
  }
}

describe('the action for GitHub', () => {
  it('is of the format, and is used by inputs that it has', async () => {
    const value = await action();
    expect(await faults('github-action', value)).toBe('');
    expect(await faults('github-action', { ...value, runs: { using: 'node24' } })).not.toBe('');
    const ref = `kleis-dev/kleis/cli/packaging/action@v${packageJson.version}`;
    const found = using('kleis/cli/packaging/action@');
    const steps = found.flatMap(({ text }) =>
      givenTo(parse(text), ({ uses, with: inputs }) => (uses === ref ? inputs : undefined)),
    );
    expect(steps).toHaveLength(found.length);
    const required = Object.entries(value.inputs).filter(([, input]) => input.required === true);
    expectKnown(
      steps,
      value.inputs,
      required.map(([name]) => name),
    );
  });

  const actionlint = needs('actionlint');
  it.skipIf(actionlint === undefined)('is one whose files and inputs actionlint finds', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kleis-action-'));
    try {
      await mkdir(join(folder, '.github/workflows'), { recursive: true });
      await cp(join(root, 'cli/packaging/action'), join(folder, 'action'), { recursive: true });
      const lint = async (step: string) => {
        const text = `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [${step}]\n`;
        await writeFile(join(folder, '.github/workflows/a.yml'), text);
        spawnSync('git', ['init', '-q'], { cwd: folder });
        return spawnSync(actionlint ?? '', ['-no-color'], { cwd: folder, encoding: 'utf8' });
      };
      expect(await lint('{ uses: ./action, with: { broker: x, grant: y } }')).toMatchObject({ status: 0, stdout: '' });
      expect((await lint('{ uses: ./action, with: { brokr: x } }')).stdout).toMatch(
        /missing input "broker"[^]*input "brokr" is not defined/,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('the component for GitLab', () => {
  it('is of the format, with a job that extends it, and is used by inputs that it has', async () => {
    const { spec, jobs } = await component();
    expect(await faults('gitlab-ci', spec)).toBe('');
    expect(await faults('gitlab-ci', { spec: { input: {} } })).not.toBe('');
    const job = jobs['.kleis'] ?? {};
    expect(await faults('gitlab-ci', { '.kleis': job, deploy: { extends: '.kleis', script: ['kubectl'] } })).toBe('');
    // A hidden job is judged by nothing; under another name it is a job.
    expect(await faults('gitlab-ci', { deploy: { ...job, script: ['kubectl'] } })).toBe('');
    expect(await faults('gitlab-ci', { deploy: { ...job, script: ['kubectl'], before_script: 5 } })).not.toBe('');
    const found = [...using('/kleis/kleis@'), { text: await readme('gitlab') }];
    const ref = `$CI_SERVER_FQDN/kleis-dev/kleis/kleis@${packageJson.version}`;
    const given = found.flatMap(({ text }) =>
      givenTo(parse(text), ({ component: of, inputs }) => (of === ref ? inputs : undefined)),
    );
    expect(given).toHaveLength(found.length);
    expectKnown(given, spec.spec.inputs, ['broker']);
  });

  it('holds what its project needs to be released', async () => {
    const { include, ...jobs } = parse(await read('cli/packaging/gitlab/.gitlab-ci.yml')) as Record<string, unknown>;
    expect(await faults('gitlab-ci', { include, ...jobs })).toBe('');
  });

  it('has each input in a variable between quotes: an empty one is no null', async () => {
    const { text } = await component();
    const body = text.slice(text.indexOf('\n---\n'));
    const bare = body.match(/^.*: \$\[\[.*$/gm) ?? [];
    expect(bare.map((line) => line.trim())).toEqual([]);
  });
});

describe('the orb for CircleCI', () => {
  it('is of the format as an orb within a configuration, and is used by parameters that it has', async () => {
    const { executors, commands, examples: shown } = await orb();
    const config = (orbs: object) => ({ version: 2.1, orbs: { kleis: orbs }, jobs: {}, workflows: {} });
    expect(await faults('circle-ci', config({ executors, commands }))).toBe('');
    const bad = { ...commands, with: { ...commands.with, steps: 'none' } };
    expect(await faults('circle-ci', config({ executors, commands: bad }))).not.toBe('');
    const { usage } = shown.deploy;
    expect(await faults('circle-ci', usage)).toBe('');
    expect(usage.orbs).toEqual({ kleis: `kleis-dev/kleis@${packageJson.version}` });
    const found = using('kleis/with:').map(({ text }) => parse(text) as typeof usage);
    for (const each of found) expect(each.orbs).toEqual(usage.orbs);
    const given = [usage, ...found].flatMap((each) => givenTo(each.jobs, (value) => value['kleis/with']));
    expectKnown(given, commands.with.parameters, ['broker', 'steps']);
  });

  it('has a text for every parameter, and no "<<" that CircleCI would fill in', async () => {
    const text = await read('cli/packaging/circleci/orb.yml');
    const { commands } = await orb();
    for (const each of Object.values(commands.with.parameters)) expect(each).toHaveProperty('description');
    const places = text.match(/<<.*?(?:>>|$)/gm) ?? [];
    for (const place of places) expect(place).toMatch(/^<< parameters\.[\w-]+ >>$/);
  });
});

describe('the plugin for Buildkite', () => {
  it('is of the format, and is used by properties that it has', async () => {
    const value = await plugin();
    expect(await faults('buildkite-plugin', value)).toBe('');
    expect(await faults('buildkite-plugin', { ...value, author: undefined })).not.toBe('');
    const { properties, required } = value.configuration;
    const ref = `kleis-dev/kleis#v${packageJson.version}`;
    const found = [...using('/kleis#v'), { text: await readme('buildkite') }];
    const given = found.flatMap(({ text }) => givenTo(parse(text), (each) => each[ref]));
    expect(given).toHaveLength(found.length);
    expectKnown(given, properties, required);
  });
});

it('all of them take the same by the same names', async () => {
  const names = (parameters: object, ...own: string[]) =>
    Object.keys(parameters)
      .filter((name) => !own.includes(name))
      .toSorted();
  const { properties } = (await plugin()).configuration;
  const ofComponent = (await component()).spec.spec.inputs;
  const ofOrb = (await orb()).commands.with.parameters;
  const ofAction = (await action()).inputs;
  expect(names(ofComponent, 'job', 'image')).toEqual(names(properties));
  expect(names(ofOrb, 'steps')).toEqual(names(properties));
  const direct = ['server', 'cluster-certificate-authority', 'tls-server-name'];
  expect(names(ofAction, ...direct, 'certificate-authority', 'token')).toEqual(names(properties));
});

describe('a script of them', () => {
  it('is shell', async () => {
    for (const name of ['begin.sh', 'end.sh']) {
      expect(parseShell(await read(`cli/packaging/shell/${name}`)).errors ?? []).toEqual([]);
    }
  });

  const shellcheck = needs('shellcheck');
  it.skipIf(shellcheck === undefined)('has nothing that shellcheck knows of', () => {
    const folder = join(root, 'cli/packaging');
    const check = (...args: string[]) => spawnSync(shellcheck ?? '', args, { cwd: folder, encoding: 'utf8' });
    expect(check('--shell=sh', 'shell/begin.sh', 'shell/end.sh')).toMatchObject({ status: 0, stdout: '' });
    // What the hooks set is read by what they read.
    const hooks = ['buildkite/hooks/pre-command', 'buildkite/hooks/pre-exit'];
    expect(check('--exclude=SC1091,SC2034', ...hooks)).toMatchObject({ status: 0, stdout: '' });
  });
});

/** The example of a package's own page. */
async function readme(name: string): Promise<string> {
  const text = await read(`cli/packaging/${name}/README.md`);
  return /^```yaml\n([^]*?)^```/m.exec(text)?.[1] ?? '';
}

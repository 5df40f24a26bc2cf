import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { parse as parseShell } from 'unbash';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { isObject } from '../../shared/json.ts';
import { needs } from '../support/needs.ts';
import { type Example, examples } from './examples.ts';

// What a page tells a reader to copy is taken by the platform that it is for.

/** JSON of what it holds. Required, since the types of the package bring those of a browser into all of ours. */
const { parse: parseHcl } = createRequire(import.meta.url)('@cdktn/hcl2json') as {
  readonly parse: (name: string, text: string) => Promise<object>;
};

const all = examples();
const yaml = all.filter(({ language }) => language === 'yaml');
const valueOf = ({ text }: Example): unknown => parseAllDocuments(text)[0]?.toJS();
/** Where they are from: test/docs/schemas/README.md. */
const readSchema = (name: string) =>
  JSON.parse(readFileSync(new URL(`schemas/${name}.json`, import.meta.url), 'utf8')) as object;

/** Which tool knows a file of the CI pages, by its name. Objects of Kubernetes and grants have suites of their own. */
const checkers = [
  { by: 'actionlint', file: /^\.github\/workflows\// },
  { by: 'gitlab-ci', file: /^\.gitlab-ci\.yml$/ },
  { by: 'circle-ci', file: /^\.circleci\/config\.yml$/ },
  { by: 'buildkite', file: /^\.buildkite\/pipeline\.yml$/ },
  { by: 'azure-pipelines', file: /^azure-pipelines\.yml$/ },
  { by: 'bitbucket-pipelines', file: /^bitbucket-pipelines\.yml$/ },
  { by: 'hcl', file: /\.tf$/ },
  { by: 'kubernetes-models', file: /^web\.yaml$/ },
] as const;

/** No tool at hand knows these; they are YAML, JSON or shell within, and that alone is checked. */
const withoutTool: Readonly<Record<string, string>> = {
  'jenkins.md Jenkinsfile': 'Groovy: Jenkins itself judges it; its shell is checked',
  'tekton.md deploy.yaml': 'its CRDs are in no package',
  'tekton.md run.yaml': 'its CRDs are in no package',
  'tekton.md trigger.yaml': 'its CRDs are in no package',
  'argo-cd.md kleis-patch.yaml': 'a patch, which is no whole object',
  'argo-cd.md kustomization.yaml': 'kustomize fetches what it names',
  'ansible.md deploy.yml': 'the collection kubernetes.core is in no registry that a test reaches',
  'ansible.md requirements.yml': 'the same',
};

const nameOf = ({ page, file = '' }: Example) => `${page.replace('docs/ci/', '')} ${file}`;
const inCi = all.filter(({ page, file }) => page.startsWith('docs/ci/') && file !== undefined);
const of = (by: (typeof checkers)[number]['by']) =>
  inCi.filter(({ file = '' }) => checkers.some((each) => each.by === by && each.file.test(file)));

it.each(yaml)('$page:$line is YAML', ({ text }) => {
  const problems = parseAllDocuments(text).flatMap(({ errors, warnings }) => [...errors, ...warnings]);
  expect(problems.map(({ message }) => message)).toEqual([]);
});

it.each(all.filter(({ language }) => language === 'json'))('$page:$line is JSON', ({ text }) => {
  if (!text.includes('…')) expect(() => JSON.parse(text)).not.toThrow();
});

it.each(all.filter(({ language }) => language === 'sh'))('$page:$line is shell', ({ text }) => {
  expect(parseShell(text).errors ?? []).toEqual([]);
});

it('every file of a CI page is known to a tool, or stands in the list of those that no tool knows', () => {
  const isOwn = (example: Example) => {
    const { kind, apiVersion } = (valueOf(example) ?? {}) as { kind?: string; apiVersion?: string };
    const builtIn = /^(v1|(apps|batch|rbac\.authorization\.k8s\.io)\/v1)$/.test(apiVersion ?? '');
    return kind === 'BrokerConfig' || builtIn;
  };
  const unknown = inCi
    .filter((example) => !checkers.some(({ file }) => file.test(example.file ?? '')))
    .filter((example) => nameOf(example) in withoutTool || example.language === 'groovy' || !isOwn(example))
    .map(nameOf);
  expect([...new Set(unknown)].toSorted()).toEqual(Object.keys(withoutTool).toSorted());
});

const actionlint = needs('actionlint');
describe.skipIf(actionlint === undefined)('a workflow for GitHub Actions', () => {
  const lint = (text: string) => spawnSync(actionlint ?? '', ['-no-color', '-'], { input: text, encoding: 'utf8' });
  const workflows = yaml.filter((example) => {
    const value = valueOf(example);
    return isObject(value) && 'on' in value && 'jobs' in value;
  });

  it('stands in the pages', () => {
    expect(workflows.map(({ page }) => page)).toEqual(
      expect.arrayContaining(['docs/ci/github-actions.md', 'docs/ci/helm.md']),
    );
    expect(workflows).toEqual(expect.arrayContaining(of('actionlint')));
  });

  it.each(workflows)('$page:$line is one that GitHub takes', ({ text }) => {
    expect(lint(text)).toMatchObject({ status: 0, stdout: '' });
  });

  it('is refused with the runner in the environment of a job: the linter knows the platform', () => {
    const bad =
      "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env: { A: '${{ runner.temp }}' }\n    steps: [{ run: ls }]\n";
    expect(lint(bad).stdout).toContain('runner');
  });

  it('revokes last, whatever happened', () => {
    for (const { text } of workflows.filter((each) => each.text.includes('kleis kubeconfig'))) {
      const { jobs } = parse(text) as { jobs: Record<string, { steps: unknown[] }> };
      for (const { steps } of Object.values(jobs)) {
        expect(steps.at(-1)).toEqual({ run: 'kleis revoke', if: 'always()' });
      }
    }
  });
});

describe('a pipeline of another platform', () => {
  /** With what is wrong in each, to see that the schema is one. */
  const schemas = [
    ['gitlab-ci', 'script:', 'scirpt:'],
    ['circle-ci', 'steps:', 'setps:'],
    ['buildkite', 'command:', 'comand:'],
    ['azure-pipelines', 'steps:', 'setps:'],
    ['bitbucket-pipelines', 'oidc: true', 'oidc: perhaps'],
  ] as const;
  // Buildkite's patterns are not those of Unicode.
  const ajv = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false, addUsedSchema: false });
  const check = (schema: string, text: string) => {
    const isValid = ajv.compile(readSchema(schema));
    return isValid(parse(text)) ? '' : ajv.errorsText(isValid.errors);
  };

  it.each(schemas)('%s: it is one that the platform takes, and one with a mistake is not', (schema, right, wrong) => {
    const found = of(schema);
    expect(found.length).toBeGreaterThan(0);
    for (const example of found) {
      // Newer than the schema: atlassian.com, "Bitbucket Pipelines OIDC now supports multiple audiences".
      const text = example.text.replace(/oidc:\n\s+audiences: .*/, 'oidc: true');
      expect(check(schema, text)).toBe('');
      expect(text).toContain(right);
      expect(check(schema, text.replace(right, wrong))).not.toBe('');
    }
  });
});

describe('a pipeline', () => {
  it('of each platform takes back what it got, also when a command fails', () => {
    const jobs = [...of('gitlab-ci'), ...of('circle-ci'), ...of('buildkite'), ...of('azure-pipelines')];
    for (const example of [...jobs, ...of('bitbucket-pipelines')]) {
      // Or a package does it, whose own suite sees it do so.
      const revokes =
        /trap 'kleis revoke' EXIT|after.script:\n\s+- .*kleis revoke\n|extends: \.kleis\n|- kleis\/with:|\/kleis#v/;
      expect(example.text, nameOf(example)).toMatch(revokes);
    }
  });

  it('of Buildkite has no dollar that the agent would replace when it uploads the pipeline', () => {
    for (const { text } of of('buildkite')) expect(text.replaceAll('$$', '')).not.toContain('$');
  });
});

describe('a configuration of Terraform', () => {
  it.each(of('hcl'))('$page:$line is HCL', async ({ file = '', text }) => {
    expect(Object.keys(await parseHcl(file, text))).toContain('provider');
  });

  it('is refused where it is not', async () => {
    await expect(parseHcl('x.tf', 'provider "a" {')).rejects.toThrow(/EOF|brace|block/i);
  });
});

describe('an object of Argo CD or Flux', () => {
  const packages: Readonly<Record<string, string>> = {
    'argoproj.io': '@kubernetes-models/argo-cd',
    'kustomize.toolkit.fluxcd.io': '@kubernetes-models/flux-cd',
    'source.toolkit.fluxcd.io': '@kubernetes-models/flux-cd',
  };
  const objects = of('kubernetes-models').flatMap(({ page, text }) =>
    parseAllDocuments(text).map((document) => {
      const object = document.toJS() as { apiVersion: string; kind: string; spec: object };
      return { page, kind: object.kind, object };
    }),
  );

  it.each(objects)('$page: $kind is as its CRD wants it', async ({ kind, object }) => {
    const place = `${packages[object.apiVersion.split('/')[0] ?? '']}/${object.apiVersion}/${kind}`;
    const { [kind]: Model } = (await import(place)) as Record<string, new (data: object) => { validate(): void }>;
    const check = (data: object) => () => (Model === undefined ? undefined : new Model(data).validate());
    expect(check(object)).not.toThrow();
    const wrong = Object.fromEntries(Object.keys(object.spec).map((name) => [name, 5]));
    expect(check({ ...object, spec: wrong })).toThrow(/must be/);
  });
});

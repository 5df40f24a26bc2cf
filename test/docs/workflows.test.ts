import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { isObject } from '../../shared/json.ts';
import { needs } from '../support/needs.ts';
import { type Example, examples } from './examples.ts';

// What a page tells a user to copy is taken by the platform that it is for.

const yaml = examples().filter(({ language }) => language === 'yaml');
const valueOf = ({ text }: Example): unknown => parseAllDocuments(text)[0]?.toJS();
const under = (heading: string) => yaml.filter((each) => each.page === 'docs/ci.md' && each.heading === heading);
const isWorkflow = (example: Example) => {
  const value = valueOf(example);
  return isObject(value) && 'on' in value && 'jobs' in value;
};
const workflows = yaml.filter(isWorkflow);
const actionlint = needs('actionlint');

it.each(yaml)('$page:$line is YAML', ({ text }) => {
  expect(parseAllDocuments(text).flatMap(({ errors }) => errors.map(({ message }) => message))).toEqual([]);
});

describe.skipIf(actionlint === undefined)('a workflow for GitHub Actions', () => {
  const lint = (text: string) => spawnSync(actionlint ?? '', ['-no-color', '-'], { input: text, encoding: 'utf8' });

  it('stands in the pages', () => {
    expect(workflows.map(({ page }) => page)).toContain('docs/ci.md');
  });

  it.each(workflows)('$page:$line is one that GitHub takes', ({ text }) => {
    expect(lint(text)).toMatchObject({ status: 0, stdout: '' });
  });

  it('is refused with the runner in the environment of a job: the linter knows the platform', () => {
    const bad =
      "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env: { A: '${{ runner.temp }}' }\n    steps: [{ run: ls }]\n";
    expect(lint(bad).stdout).toContain('runner');
  });
});

// The keywords of the platforms' references that an example may use; a misspelt one is in none of them.
const keywords = {
  // https://docs.gitlab.com/ci/yaml/
  'GitLab CI': new Set(
    'stages variables include default workflow image services stage script before_script after_script id_tokens environment rules needs artifacts cache tags when secrets timeout retry'.split(
      ' ',
    ),
  ),
  // https://buildkite.com/docs/pipelines/configure/step-types/command-step
  Buildkite: new Set(
    'label command commands key agents env plugins depends_on branches if timeout_in_minutes concurrency concurrency_group'.split(
      ' ',
    ),
  ),
  // https://circleci.com/docs/configuration-reference/
  CircleCI: new Set(
    'docker machine executor steps environment working_directory parallelism resource_class'.split(' '),
  ),
};

function partsOf(value: unknown): Record<string, unknown>[] {
  return (Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []).filter(isObject);
}

describe('an example for another platform', () => {
  const unknown = (parts: readonly Record<string, unknown>[], known: ReadonlySet<string>) =>
    parts.flatMap((part) => Object.keys(part)).filter((key) => !known.has(key));
  const pipelines = (heading: string, is: (value: Record<string, unknown>) => boolean) =>
    under(heading)
      .map(valueOf)
      .filter((value): value is Record<string, unknown> => isObject(value) && is(value));

  it('GitLab CI: jobs of known keywords, with a script, and the revocation after it', () => {
    const found = pipelines('GitLab CI', (value) => partsOf(value).some((job) => 'script' in job));
    expect(found.length).toBeGreaterThan(0);
    for (const job of found.flatMap(partsOf)) {
      expect(unknown([job], keywords['GitLab CI'])).toEqual([]);
      expect(job['after_script']).toContain('kleis revoke');
    }
  });

  it('Buildkite: steps of known keywords, with the revocation whatever happens', () => {
    const found = pipelines('Buildkite', (value) => 'steps' in value);
    expect(found.length).toBeGreaterThan(0);
    const steps = found.flatMap((value) => partsOf(value['steps']));
    expect(unknown(steps, keywords.Buildkite)).toEqual([]);
    // A dollar that Buildkite itself is not to replace when it uploads the pipeline.
    for (const step of steps) expect(String(step['command'])).toMatch(/trap 'kleis revoke' EXIT/);
    for (const step of steps) expect(String(step['command']).replaceAll('$$', '')).not.toContain('$');
  });

  it('CircleCI: jobs of known keywords, whose last step revokes in any case', () => {
    const found = pipelines('CircleCI', (value) => 'workflows' in value);
    expect(found.length).toBeGreaterThan(0);
    for (const value of found) {
      expect(value['version']).toBe(2.1);
      const jobs = partsOf(value['jobs']);
      expect(unknown(jobs, keywords.CircleCI)).toEqual([]);
      for (const { steps } of jobs) {
        expect(partsOf(steps).at(-1)).toEqual({ run: { command: 'kleis revoke', when: 'always' } });
      }
    }
  });
});

it('in every workflow the last command is the revocation', () => {
  for (const { text } of workflows.filter((each) => each.text.includes('kleis '))) {
    const { jobs } = (parseAllDocuments(text)[0]?.toJS() ?? {}) as {
      jobs: Record<string, { steps: Record<string, unknown>[] }>;
    };
    for (const { steps } of Object.values(jobs)) expect(steps.at(-1)).toEqual({ run: 'kleis revoke', if: 'always()' });
  }
});

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { needs } from '../support/needs.ts';

// Whoever may change an action that a workflow names by a tag, or send it a pull request, is not to get more by that than
// a reader has.

const folder = '.github/workflows';
const texts = readdirSync(folder).map((name) => ({ name, text: readFileSync(`${folder}/${name}`, 'utf8') }));

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly container?: string | { readonly image: string };
  /** Another workflow of ours, in place of steps. */
  readonly uses?: string;
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on: string | readonly string[] | Readonly<Record<string, unknown>>;
  readonly permissions?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

/** What is wrong with a workflow, one line each. */
function faultsOf(text: string): string[] {
  const { on, permissions, jobs } = parse(text) as Workflow;
  const faults: string[] = [];
  const events = typeof on === 'string' ? [on] : Array.isArray(on) ? on : Object.keys(on);
  for (const event of ['pull_request_target', 'workflow_run', 'issue_comment']) {
    if (events.includes(event)) faults.push(`it runs at ${event}`);
  }
  if (JSON.stringify(permissions) !== '{}') faults.push('permissions: {} is missing above the jobs');
  for (const [name, job] of Object.entries(jobs)) {
    if (job.permissions === undefined) faults.push(`${name} has no permissions of its own`);
    if (job['timeout-minutes'] === undefined && job.uses === undefined) faults.push(`${name} has no timeout-minutes`);
    const image = typeof job.container === 'object' ? job.container.image : job.container;
    if (image !== undefined && !/@sha256:[\da-f]{64}$/.test(image)) faults.push(`${image} is no digest`);
    for (const { uses, run = '', with: given } of job.steps ?? []) {
      if (run.includes('${{')) faults.push(`${name} puts an expression into a script: ${run.trim()}`);
      if (uses?.startsWith('actions/checkout@') === true && given?.['persist-credentials'] !== false) {
        faults.push(`${name} leaves its token in the checkout`);
      }
    }
  }
  for (const [, uses = ''] of text.matchAll(/^\s*(?:- )?uses: *(.*)$/gm)) {
    const isOwn = /^\.\/[\w./-]+$/.test(uses);
    if (!isOwn && !/^[\w.-]+(?:\/[\w.-]+)+@[\da-f]{40} # v\d+(?:\.\d+)*$/.test(uses)) {
      faults.push(`${uses} is not 40 hex digits with the version behind them`);
    }
  }
  return faults;
}

describe('the workflows of the project', () => {
  it.each(texts)('$name names what it runs by commit, and each job has what it needs and no more', ({ text }) => {
    expect(faultsOf(text)).toEqual([]);
  });

  const actionlint = needs('actionlint');
  it.skipIf(actionlint === undefined)('have nothing that actionlint knows of', () => {
    const { status, stdout } = spawnSync(actionlint ?? '', ['-no-color'], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('are all that .github holds, beside the updates of what is pinned', () => {
    expect(readdirSync('.github').toSorted()).toEqual(['dependabot.yml', 'workflows']);
  });
});

it('what is wrong with a workflow is seen', () => {
  const bad = `
on: { pull_request_target: {} }
jobs:
  a:
    container: node:24
    steps:
      - uses: actions/checkout@v7
      - uses: a/b@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: echo \${{ github.event.issue.title }}
`;
  expect(faultsOf(bad)).toEqual([
    'it runs at pull_request_target',
    'permissions: {} is missing above the jobs',
    'a has no permissions of its own',
    'a has no timeout-minutes',
    'node:24 is no digest',
    'a leaves its token in the checkout',
    expect.stringContaining('a puts an expression into a script'),
    'actions/checkout@v7 is not 40 hex digits with the version behind them',
    'a/b@3d3c42e5aac5ba805825da76410c181273ba90b1 is not 40 hex digits with the version behind them',
  ]);
});

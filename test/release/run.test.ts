import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Part } from '../../cli/packaging/release/part.ts';
import { isGood, runPart } from '../../cli/packaging/release/run.ts';
import { failures, outcomeTable } from '../../cli/packaging/release/table.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-release-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const part = (checks: Part['checks'], make: Part['make'] = makeOne): Part => ({ name: 'one', make, checks });
async function makeOne(into: string): Promise<readonly string[]> {
  await writeFile(join(into, 'one.txt'), 'abc');
  return ['one.txt'];
}
const passes = { says: 'it is there', run: async () => {} };
const fails = { says: 'it starts', run: async () => Promise.reject(new Error('no such program')) };
const cannot = { ...fails, lacks: () => 'root' };

describe('a part of a release', () => {
  it('is shown with its size, its sum, and what was checked', async () => {
    const outcome = await runPart(part([passes]), folder, true);
    expect(outcome.files).toEqual([
      { name: 'one.txt', size: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' },
    ]);
    expect(outcomeTable([outcome])).toMatch(/^one +one\.txt +0\.0 kB +ba7816bf8f01 +it is there +\d+\.\d$/m);
    expect(isGood(outcome, true)).toBe(true);
  });

  it('that fails a check is named with the words of the check, and its other checks run', async () => {
    const outcome = await runPart(part([fails, passes]), folder, true);
    expect(outcome.checks.map(({ state }) => state)).toEqual(['failed', 'passed']);
    expect(failures([outcome])).toEqual(['one, "it starts": no such program']);
    expect(isGood(outcome, false)).toBe(false);
  });

  it('that cannot be checked here says what is lacking, and is good only where not all is required', async () => {
    const outcome = await runPart(part([cannot]), folder, true);
    expect(outcomeTable([outcome])).toContain('not run: it starts (root)');
    expect([isGood(outcome, false), isGood(outcome, true)]).toEqual([true, false]);
  });

  it.each([
    ['that throws', async () => Promise.reject(new Error('no disk')), 'no disk'],
    ['that makes nothing', async () => [], 'it has made nothing'],
    ['that names what it has not made', async () => ['none.txt'], 'none.txt'],
  ])('%s could not be made', async (_, make, message) => {
    const outcome = await runPart(part([passes], make), folder, true);
    expect(failures([outcome])).toEqual([expect.stringMatching(`^one could not be made: .*${message}`)]);
    expect(isGood(outcome, false)).toBe(false);
  });

  it('is not checked where it is only to be made', async () => {
    expect((await runPart(part([fails]), folder, false)).checks).toEqual([]);
  });
});

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLock } from '../../cli/packaging/release/lock.ts';
import { makeSbom, readBundled, type Sbom } from '../../cli/packaging/release/sbom.ts';
import { fixSourceDate } from '../support/source-date.ts';
import { checkSchema, faultsOf } from '../../cli/packaging/release/sbom-check.ts';

// Of the programs as `npm test` has built them.

fixSourceDate();

let folder: string;
let sbom: Sbom;
const bundled = readBundled();
const lock = readLock();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-sbom-'));
  sbom = JSON.parse(await readFile(join(folder, makeSbom(folder)), 'utf8')) as Sbom;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const without = (name: string): Sbom => ({
  ...sbom,
  components: sbom.components.filter((component) => component.name !== name),
});
const changed = (name: string, change: object): Sbom => ({
  ...sbom,
  components: sbom.components.map((component) => (component.name === name ? { ...component, ...change } : component)),
});

describe('the list of what is bundled', () => {
  it('is CycloneDX by the official schema, and fits the tree', () => {
    checkSchema(folder);
    expect(faultsOf(sbom, bundled, lock)).toEqual([]);
  });

  it('says which programs hold a component, so that a finding in the broker alone worries no user of the plugin', () => {
    const programsOf = (name: string) =>
      sbom.components.find((component) => component.name === name)?.properties?.map(({ value }) => value);
    expect(programsOf('express')).toEqual(['kleis-broker']);
    expect(programsOf('commander')).toEqual(['kleis', 'kleis-broker', 'kleis-get-token']);
  });

  it('has the keyring as optional, by the name under which npm has it', () => {
    const keyring = sbom.components.find(({ purl }) => purl.startsWith('pkg:npm/%40github/keytar@'));
    expect(keyring).toMatchObject({ group: '@github', name: 'keytar', scope: 'optional' });
  });

  it.each([
    ['a bundled package that it leaves out', () => without('express'), /express\/index\.js belongs to no component/],
    ['the keyring left out', () => without('keytar'), /keytar is optional, and no component/],
    ['another version than the installed one', () => changed('jose', { version: '1.0.0' }), /jose.* is installed as/],
    ['another hash', () => changed('jose', { hashes: [{ alg: 'SHA-512', content: '00' }] }), /jose.* has another hash/],
    [
      'a package that is not bundled',
      () => changed('jose', { 'bom-ref': 'pkg:npm/vitest@4.1.12#node_modules/vitest', name: 'vitest' }),
      /nothing of pkg:npm\/vitest.* is bundled/,
    ],
  ])('does not pass with %s', (_, make, fault) => {
    expect(faultsOf(make(), bundled, lock).join('\n')).toMatch(fault);
  });
});

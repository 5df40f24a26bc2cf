import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../cli/settings/json-schema.ts';
import { loadConfig } from '../../../cli/settings/person.ts';
import { configNames, settingOf } from '../../../cli/settings/table.ts';
import { Fault } from '../../../cli/settings/values.ts';
import { examples } from '../../docs/examples.ts';

const schema = configJsonSchema();
const isConfig = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(schema);

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'kleis-schema-'));
  await mkdir(join(home, 'kleis'), { mode: 0o755 });
});
afterAll(() => rm(home, { recursive: true }));

/** Through the file that it reads. */
async function programTakes(value: unknown): Promise<boolean> {
  await writeFile(join(home, 'kleis/config.yaml'), stringify(value), { mode: 0o644 });
  return loadConfig({ env: { XDG_CONFIG_HOME: home }, platform: process.platform }).then(
    () => true,
    () => false,
  );
}

describe('the schema of config.yaml', () => {
  it('is found by its $id, and explains every setting', () => {
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: expect.stringMatching(/^https:\/\/.*\/docs\/config\.schema\.json$/),
    });
    const { properties } = schema as { properties: Record<string, { description: string }> };
    expect(Object.keys(properties)).toEqual(configNames);
    for (const { description } of Object.values(properties)) expect(description).not.toBe('');
  });

  it('takes the example of the reference, each of its defaults, and nothing at all, as the program does', async () => {
    const example = examples().find(({ page, heading }) => page === 'docs/cli.md' && heading === 'config.yaml');
    const defaults = Object.entries(
      (schema as { properties: Record<string, { default?: unknown }> }).properties,
    ).flatMap(([name, each]) => ('default' in each ? [[name, each.default]] : []));
    expect(defaults.length).toBeGreaterThan(4);
    const nothing = Object.fromEntries(configNames.map((name) => [name, null]));
    for (const value of [parse(example?.text ?? ''), Object.fromEntries(defaults), {}, null, nothing]) {
      expect([value, isConfig(value), await programTakes(value)]).toEqual([value, true, true]);
    }
  });

  it.each<[Record<string, unknown> | unknown[] | string]>([
    [{ Login: 'auto' }],
    [{ issuerUrl: 'https://login.example.com' }],
    [{ login: 'phone' }],
    [{ login: ['auto'] }],
    [{ cache: true }],
    [{ minValidity: 60 }],
    [{ minValidity: '60' }],
    [{ loginTimeout: '-5m' }],
    [{ listenAddress: '0.0.0.0:8000' }],
    [{ listenAddress: [] }],
    [{ listenAddress: ['localhost:8000', 8000] }],
    [{ redirectUri: 'https://localhost/x' }],
    [{ browserCommand: '' }],
    [{ browserCommand: [['firefox']] }],
    [{ proxy: 'proxy.example.com:3128' }],
    [{ confirmNewClusters: 'yes' }],
    [{ clientFiles: 'secret' }],
    [{ brokerAudiences: { kleis: 'kleis' } }],
    [{ brokerAudiences: { 'https://kleis.internal': 1 } }],
    [['login']],
    ['login'],
  ])('refuses %j, as the program does', async (value) => {
    expect([isConfig(value), await programTakes(value)]).toEqual([false, false]);
  });

  it('refuses nothing that the program takes', () => {
    const hosts = fc.constantFrom('localhost', '127.0.0.1', '127.9.9.9', '[::1]', '0.0.0.0', 'LOCALHOST', '');
    const schemes = fc.constantFrom('http://', 'HTTP://', 'https://', 'http:', 'socks5://', '');
    const address = fc
      .tuple(
        schemes,
        hosts,
        fc.constantFrom(':0', ':8000', ':65536', ''),
        fc.constantFrom('', '/', '/a b', '/x?y', '#'),
      )
      .map((parts) => parts.join(''));
    const text = fc.oneof(
      address,
      fc.constantFrom(
        'auto',
        'none',
        'id',
        '0s',
        '1h30m',
        '90s',
        '25h',
        '/',
        '/run/x/',
        'C:\\x',
        '-x',
        'kleis',
        ' x',
        'x\n',
      ),
      fc.string({ maxLength: 12 }),
    );
    const plain = fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null));
    const value = fc.oneof(plain, fc.array(plain, { maxLength: 3 }), fc.dictionary(text, plain, { maxKeys: 2 }));
    fc.assert(
      fc.property(fc.constantFrom(...configNames), value, (name, given) => {
        if (given !== null && settingOf(name).parse(given) instanceof Fault) return;
        expect([name, given, isConfig({ [name]: given })]).toEqual([name, given, true]);
      }),
      { numRuns: 4000 },
    );
  });
});

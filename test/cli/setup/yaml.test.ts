import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { toYaml } from '../../../cli/setup/yaml.ts';
import { clean } from '../../../shared/text.ts';

/** What readers of YAML 1.1 or 1.2 take for something else than text where it stands bare. */
const traps = [
  'yes',
  'Off',
  'y',
  'null',
  '~',
  '',
  '1_000',
  '12:30:45',
  '0x1f',
  '0o17',
  '017',
  '1e3',
  '.inf',
  '<<',
  '=',
  '-',
  '- a',
  'a: b',
  'a #b',
  '*a',
  '&a',
  '!a',
  '%a',
  '@a',
  '`a`',
  '"',
  "'",
  '{',
  '2026-11-26',
  'oidc:',
  '|',
  '>',
  '? a',
  ' a',
  'a ',
  '\\',
];
const text = fc
  .oneof(fc.constantFrom(...traps), fc.string({ unit: 'grapheme', maxLength: 40 }))
  .map((each) => clean(each));

it('every name is read as it was written, by readers of YAML 1.1 and of 1.2', () => {
  fc.assert(
    fc.property(
      fc.dictionary(text, fc.oneof(text, fc.array(text), fc.record({ a: text })), { noNullPrototype: true }),
      (value) => {
        for (const version of ['1.1', '1.2'] as const) expect(parse(toYaml(value), { version })).toEqual(value);
      },
    ),
  );
});

it('documents are divided, and certificates stay readable', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nMIIB+/x=\nAA==\n-----END CERTIFICATE-----\n';
  const printed = toYaml({ a: 1 }, { pem });
  expect(printed).toBe(`a: 1\n---\npem: |\n${pem.replaceAll(/^(?=.)/gm, '  ')}`);
  expect(parseAllDocuments(printed).map((each) => each.toJS() as unknown)).toEqual([{ a: 1 }, { pem }]);
});

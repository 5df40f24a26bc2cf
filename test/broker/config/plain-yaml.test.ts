import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { readPlainYaml } from '../../../broker/config/plain-yaml.ts';
import type { TreeNode } from '../../../broker/config/tree.ts';
import { readAnyYaml } from '../../../broker/config/yaml.ts';

/** What the whole reader makes of it; undefined where it refuses it. */
function whole(text: string): TreeNode[] | undefined {
  const faults: string[] = [];
  const read = readAnyYaml(text, (_, message) => faults.push(message));
  return faults.length > 0 ? undefined : read;
}

/** How many of the texts the plain reader took. */
function compare(texts: fc.Arbitrary<string>, numRuns: number): number {
  let taken = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const plain = readPlainYaml(text);
      if (plain === undefined) return;
      taken += 1;
      expect(plain).toStrictEqual(whole(text));
    }),
    { numRuns },
  );
  return taken;
}

const sample = `# yaml-language-server: $schema=broker-config.schema.json
apiVersion: kleis.dev/v1
kind: BrokerConfig
publicUrl: https://kleis.example.com   # für alle – überall
listen: { address: ":8443", tls: { certFile: ./tls.crt, keyFile: '/it''s/tls.key' } }
limits:
  perAddress: 600
  leases: {}
trustedProxies: [10.0.0.0/8, "fd00::/8",loopback]
---
issuers:
  github:
    url: https://token.actions.githubusercontent.com
    idClaims:
    - repository_id
    - "https://example.com/a claim"

grants:
    deploy-web:
      where: {repository_id: "123456", event_name: { not: { anyOf: [push] } }, gone: null}
      condition: claims.ref.matches("^v[0-9]+(\\\\.[0-9]+){2}$") && !(claims.user in ["a", 'b'])
      access:
        # whose it is
        - namespace: web
          role: deployer
        - {namespace: api, role: "say \\"x\\" \\\\"}
      ttl:
      revocable: true
      explain: False
`;

const pieces = [
  ...['a', 'b', '"a"', "'b'", 'a: ', 'b:', '"a": ', '- ', '-', '-\n', '? ', ': ', ':', '{', '}', '[', ']', ',', ', '],
  ...[' ', '  ', '\n', '\n', '\n  ', '\n    ', '\n- ', '\n  - ', '\na: ', '\n  a: ', '\n  b: ', '\nb:\n', '\t', '\r\n'],
  ...['---', '\n---\n', '--- ', '...', '\n...\n', '%YAML 1.2\n', '#', ' # c', '\n# c\n', '\n  # c'],
  ...['&x ', '*x', '!!str ', '!t ', '<<: ', '<<', '|', '>-', '|\n  ', '>-\n  ', '\\', '\\n', '"', "'", "''", '\\"'],
  ...[
    'null',
    '~',
    'True',
    'false',
    'yes',
    'No',
    '0',
    '7',
    '-1',
    '+1',
    '007',
    '0x1F',
    '0o7',
    '0b1',
    '1e3',
    '1E+3',
    '.5',
  ],
  ...[
    '1.',
    '1_000',
    '.inf',
    '-.INF',
    '.NaN',
    '15m',
    '1d',
    '9007199254740993',
    '12:30:45',
    '2001-01-01',
    '1.2.3.4',
    '.',
  ],
  ...[
    '__proto__',
    'constructor',
    '://',
    'a b',
    'é',
    '\u00a0',
    '\u2028',
    '\u0085',
    '\ufeff',
    '\u1680',
    '\u3000',
    '😀',
    '@',
    '`',
  ],
  ...['=', '(', ')', '!', '*', '$', '^', '&&', '/', '"a b": [1, {c: d}]', 'a: {b: c, d: [e]}'],
];
const soup = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((found) => found.join(''));

const texts = ['refs/heads/*', 'claims.ref == "x" || claims.n > 1', '15m', 'a/b@c', "it's # one", 'a: b', '123'];
const scalars = fc.oneof(
  fc.constantFrom(...pieces),
  { arbitrary: fc.constantFrom(...texts), weight: 9 },
  fc.string({ maxLength: 12 }),
  fc.nat(),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
);
const name = fc.oneof({ arbitrary: fc.stringMatching(/^[a-z0-9_.-]{1,6}$/), weight: 19 }, fc.constantFrom(...pieces));
const { data } = fc.letrec<{ data: unknown }>((tie) => ({
  data: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalars,
    fc.array(tie('data'), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof({ arbitrary: fc.stringMatching(/^[a-z0-9_.-]{1,6}$/), weight: 9 }, fc.constantFrom(...pieces)),
      tie('data'),
      {
        maxKeys: 4,
      },
    ),
  ),
}));
const written = fc
  .tuple(
    fc.dictionary(name, data, { minKeys: 1, maxKeys: 4 }),
    fc.record({
      indent: fc.constantFrom(2, 3, 4),
      indentSeq: fc.boolean(),
      collectionStyle: fc.constantFrom('any', 'flow', 'block'),
      defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
      lineWidth: fc.constantFrom(0, 20),
    } as const),
  )
  .map(([value, style]) => stringify(value, undefined, { ...style }));

/** A text with a few of its characters left out, doubled, or something put between them. */
function spoilt(text: string): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(text.length), fc.nat(3), fc.oneof(fc.constant(''), fc.constantFrom(...pieces)));
  return fc
    .array(change, { minLength: 1, maxLength: 4 })
    .map((changes) =>
      changes.reduce((before, [at, cut, put]) => before.slice(0, at) + put + before.slice(at + cut), text),
    );
}

describe('what the plain reader reads, the whole one reads to the same, places included:', () => {
  it('a configuration as people write it', () => {
    expect(readPlainYaml(sample)).toBeDefined();
    expect(readPlainYaml(sample)).toStrictEqual(whole(sample));
  });

  it('pieces of YAML in any order', () => {
    expect(compare(soup, 10_000)).toBeGreaterThan(200);
  });

  it('any data, written in any style', () => {
    expect(compare(written, 2000)).toBeGreaterThan(150);
  });

  it('a configuration with slips of the pen', () => {
    expect(compare(spoilt(sample), 2000)).toBeGreaterThan(200);
  });
});

describe('the plain reader', () => {
  const most = 4 * 1024 * 1024 - 100;
  it.each([
    ['of empty lines', `a: b\n${'\n'.repeat(most)}`],
    ['of comments', `a: b\n${'#\n'.repeat(most / 2)}`],
    ['of one value', `a: ${'b'.repeat(most)}\n`],
    ['of blanks in a value', `a: b${' '.repeat(most)}c\n`],
    ['of blanks in a value within a line', `a: [b${' '.repeat(most)}c]\n`],
    ['of blanks behind a value', `a: b${' '.repeat(most)}\n`],
    ['of quotes', `a: '${"''".repeat(most / 2)}'\n`],
    ['of marks', `${'---\n'.repeat(most / 4)}a: b\n`],
  ])('reads a file as long as one may be %s', (_, text) => {
    expect(readPlainYaml(text)).toHaveLength(1);
  });

  it.each(
    [...readFileSync('docs/grants.md', 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => [text ?? '']),
  )('reads what the documentation shows: %#', (text) => {
    expect(readPlainYaml(text)).toBeDefined();
  });

  it.each([
    ['a name that is there twice', 'a: 1\na: 2\n'],
    ['one that is no text', '1: a\n'],
    ['a name of JavaScript', '{__proto__: a}\n'],
    ['a merge key', 'a: {"<<": b}\n'],
    ['an anchor', 'a: &b c\n'],
    ['a tag', 'a: !!binary aGk=\n'],
    ['a text over several lines', 'a: b\n  c\n'],
    ['a tab', 'a:\tb\n'],
    ['a mark that is indented', '  a: b\n ---\n  c: d\n'],
    ['depth', `a: ${'['.repeat(60)}${']'.repeat(60)}\n`],
  ])('leaves %s to the whole one', (_, text) => {
    expect(readPlainYaml(text)).toBeUndefined();
  });
});

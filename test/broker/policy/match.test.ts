import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlob, globFault, matchGlob } from '../../../broker/policy/glob.ts';
import { type Claims, describeValue, matches } from '../../../broker/policy/match.ts';
import { parseWhere, type PolicyFault } from '../../../broker/policy/parse-where.ts';
import { allows, faultsOf, loadGrant } from './fixture.ts';

const glob = (pattern: string, text: string): boolean => matchGlob(compileGlob(pattern), text);

/** The definition, by way of an engine that may take its time. */
function naiveGlob(pattern: string, text: string): boolean {
  const source = [...pattern].map((c) => (c === '*' ? '[^/:]*' : `\\u{${c.codePointAt(0)!.toString(16)}}`)).join('');
  return new RegExp(`^(?:${source})$`, 'u').test(text);
}

const globText = fc
  .array(fc.constantFrom('a', 'b', 'ab', '*', '/', ':', '.', '😀', '\\'), { maxLength: 12 })
  .map((p) => p.join(''));
const pattern = globText.filter((text) => globFault(text) === undefined);

describe('glob', () => {
  it.each([
    ['refs/heads/*', 'refs/heads/main', true],
    ['refs/heads/*', 'refs/heads/', true],
    ['refs/heads/*', 'refs/heads/a/b', false],
    ['refs/heads/*', 'xrefs/heads/main', false],
    ['refs/heads/main', 'refs/heads/main2', false],
    ['*', 'a:b', false],
    ['*', '', true],
    ['v*.*', 'v1.2', true],
    ['v*.*', 'v12', false],
    ['a*a', 'a', false],
    ['*ab*ab', 'abab', true],
    ['*ab*ab', 'ab', false],
    ['a|b', 'a', false],
    ['a|b', 'a|b', true],
    ['A*', 'ab', false],
    ['repo:acme/*:ref:refs/heads/main', 'repo:acme/x:ref:refs/heads/main', true],
    ['repo:acme/*:ref:refs/heads/main', 'repo:acme/x:y:ref:refs/heads/main', false],
  ])('%s on %s is %s', (source, text, expected) => {
    expect(glob(source, text)).toBe(expected);
  });

  it('agrees with its definition', () => {
    fc.assert(
      fc.property(pattern, globText, (source, text) => {
        expect(glob(source, text)).toBe(naiveGlob(source, text));
      }),
      { numRuns: 30000 },
    );
  });

  it('matches what its stars are filled with, unless it has a separator in it', () => {
    const fill = fc.array(fc.constantFrom('a', 'b', '.', '*'), { maxLength: 4 }).map((p) => p.join(''));
    fc.assert(
      fc.property(
        pattern,
        fc.array(fill, { minLength: 12, maxLength: 12 }),
        fc.constantFrom('/', ':'),
        (source, fills, separator) => {
          let next = 0;
          expect(
            glob(
              source,
              source.replaceAll('*', () => fills[next++ % 12]!),
            ),
          ).toBe(true);
          if (source.includes('*'))
            expect(
              glob(
                source,
                source.replace('*', () => `a${separator}a`),
              ),
            ).toBe(false);
        },
      ),
    );
  });

  it('holds at both ends', () => {
    fc.assert(
      fc.property(
        pattern.filter((p) => !p.startsWith('*') && !p.endsWith('*')),
        (source) => {
          const text = source.replaceAll('*', 'x');
          expect(glob(source, text)).toBe(true);
          expect(glob(source, `${text}x`)).toBe(false);
          expect(glob(source, `x${text}`)).toBe(false);
        },
      ),
    );
  });
});

describe('where', () => {
  it.each([
    [{ a: 'x' }, { a: 'x' }, true],
    [{ a: 'x' }, { a: 'X' }, false],
    [{ a: 'x' }, {}, false],
    [{ a: 'x' }, { a: ['x'] }, false],
    [{ a: 'x' }, { a: { toString: 'x' } }, false],
    [{ a: 'true' }, { a: true }, false],
    [{ a: true }, { a: 'true' }, false],
    [{ a: 5 }, { a: '5' }, false],
    [{ a: 5 }, { a: 5 }, true],
    [{ a: 0 }, { a: false }, false],
    [{ a: '' }, { a: '' }, true],
    [{ a: '' }, { a: null }, false],
    [{ a: 'e\u0301' }, { a: '\u00e9' }, false],
    [{ a: { anyOf: ['x', 5] } }, { a: 5 }, true],
    [{ a: { anyOf: ['x', 5] } }, { a: '5' }, false],
    [{ a: { anyOf: ['x', { exists: false }] } }, {}, true],
    [{ a: { not: 'x' } }, { a: 'y' }, true],
    [{ a: { not: 'x' } }, { a: 'x' }, false],
    [{ a: { not: 'x' } }, {}, false],
    [{ a: { not: 'x' } }, { a: null }, false],
    [{ a: { not: 'x' } }, { a: ['x'] }, false],
    [{ a: { not: 'x' } }, { a: 5 }, false],
    [{ a: { not: { anyOf: ['x', 'y'] } } }, { a: 'z' }, true],
    [{ a: { not: { glob: 'x*' } } }, { a: 'xa' }, false],
    [{ a: { glob: 'x*', not: 'xx' } }, { a: 'xy' }, true],
    [{ a: { glob: 'x*', not: 'xx' } }, { a: 'xx' }, false],
    [{ a: { exists: true } }, { a: 0 }, true],
    [{ a: { exists: true } }, { a: null }, false],
    [{ a: { exists: false } }, {}, true],
    [{ a: { exists: false } }, { a: '' }, false],
    [{ a: { contains: 'x' } }, { a: ['y', 'x'] }, true],
    [{ a: { contains: 'x' } }, { a: 'x' }, false],
    [{ a: { contains: 'x' } }, { a: 'axb' }, false],
    [{ a: { contains: 'x' } }, { a: [['x']] }, false],
    [{ a: { contains: 'x' } }, { a: { 0: 'x' } }, false],
    [{ a: { contains: { glob: 'team-*' } } }, { a: ['team-a'] }, true],
    [{ a: { not: { contains: 'x' } } }, { a: ['y'] }, true],
    [{ a: { not: { contains: 'x' } } }, { a: [] }, true],
    [{ a: { not: { contains: 'x' } } }, { a: [['x']] }, false],
    [{ 'kubernetes.io': { namespace: 'x' } }, { 'kubernetes.io': { namespace: 'x', more: 1 } }, true],
    [{ 'kubernetes.io': { namespace: 'x' } }, { kubernetes: { io: { namespace: 'x' } } }, false],
    [{ a: { b: { c: 'x' } } }, { a: { b: 'x' } }, false],
    [{ a: { b: { exists: false } } }, { a: {} }, true],
    [{ a: { b: { exists: false } } }, { a: 'x' }, false],
    [{ a: { b: { exists: false } } }, {}, false],
    [{ a: { not: { b: 'x' } } }, { a: { b: 'y' } }, true],
    [{ a: { not: { b: 'x' } } }, { a: 'y' }, false],
    [{ toString: { exists: true } }, {}, false],
    [{ a: { length: 1 } }, { a: 'x' }, false],
    [{ a: { length: 1 } }, { a: ['x'] }, false],
  ])('%j with claims %j: %s', (where, claims, expected) => {
    expect(allows(where, claims)).toBe(expected);
  });

  it.each([
    [{ a: ['x'] }, 'is a list: write {anyOf'],
    [{ a: null }, 'is empty: write {exists: false}'],
    [{ a: {} }, 'is an empty mapping'],
    [{ a: { anyOf: [] } }, 'is a list of at least one value'],
    [{ a: { anyOf: 'x' } }, 'is a list of at least one value'],
    [{ a: { any_of: ['x'] } }, '"any_of" is no operator'],
    [{ a: { regex: 'x' } }, 'regular expressions are for `condition`'],
    [{ a: { glob: 'x*', b: 1 } }, '"b" stands beside the operator glob'],
    [{ a: { glob: '**' } }, '"**" is not known'],
    [{ a: { glob: '' } }, 'an empty glob'],
    [{ a: { glob: 'x'.repeat(257) } }, 'at most 256'],
    [{ a: { exists: 'true' } }, 'is true or false, without quotes'],
    [{ a: { exists: false, not: 'x' } }, 'can meet no other demand'],
    [{ a: 2 ** 53 }, 'does not carry exactly'],
    [{ a: 'x\ny' }, 'control character'],
    [{ constructor: 'x' }, 'cannot be a name here'],
    [{}, 'demands nothing'],
  ])('%j is a fault: %s', (where, expected) => {
    expect(faultsOf(() => loadGrant({ where })).join('\n')).toContain(expected);
  });
});

type Input = unknown;

/** The rules of docs/grants.md, written down once more without a compiler. */
function naive(input: Input, value: unknown): boolean | undefined {
  const every = (answers: (boolean | undefined)[]): boolean | undefined =>
    answers.includes(false) ? false : answers.includes(undefined) ? undefined : true;
  const some = (answers: (boolean | undefined)[]): boolean | undefined =>
    answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
  if (typeof input !== 'object' || input === null) return typeof input === typeof value ? input === value : undefined;
  const entries = Object.entries(input);
  if (!entries.some(([name]) => ['anyOf', 'not', 'exists', 'glob', 'contains'].includes(name))) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return every(entries.map(([name, inner]) => naive(inner, Object.getOwnPropertyDescriptor(value, name)?.value)));
  }
  return every(
    entries.map(([operator, inner]) => {
      if (operator === 'exists') return (value !== undefined && value !== null) === inner;
      if (operator === 'anyOf') return some((inner as Input[]).map((one) => naive(one, value)));
      if (operator === 'glob') return typeof value === 'string' ? naiveGlob(inner as string, value) : undefined;
      if (operator === 'contains')
        return Array.isArray(value) ? some(value.map((one) => naive(inner, one))) : undefined;
      const answer = naive(inner, value);
      return answer === undefined ? undefined : !answer;
    }),
  );
}

const scalar = fc.oneof(fc.constantFrom('a', 'b', 'a/b', '', 'true', '1'), fc.constantFrom(0, 1), fc.boolean());
const { matcher } = fc.letrec<{ matcher: unknown }>((tie) => ({
  matcher: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.record({ anyOf: fc.array(tie('matcher'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('matcher') }),
    fc.record({ exists: fc.boolean() }),
    fc.record({ glob: fc.constantFrom('*', 'a*', '*/*', 'b') }),
    fc.record({ contains: tie('matcher') }),
    fc.record({ not: tie('matcher'), glob: fc.constantFrom('a*', '*') }),
    fc.dictionary(fc.constantFrom('a', 'b', 'toString'), tie('matcher'), { minKeys: 1, maxKeys: 2 }),
  ),
}));
const { claim } = fc.letrec<{ claim: unknown }>((tie) => ({
  claim: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.constant(null),
    fc.array(tie('claim'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), tie('claim'), { maxKeys: 2 }),
  ),
}));

describe('the compiled policy', () => {
  it('decides as the rules written down naively do', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('a', 'b'), matcher, { minKeys: 1 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), claim),
        (where, claims) => {
          const faults: PolicyFault[] = [];
          const parsed = parseWhere(where as never, [], faults);
          fc.pre(faults.length === 0);
          for (const [name, one] of parsed)
            expect(matches(one, (claims as Claims)[name])).toBe(naive(where[name], claims[name]));
          expect(allows(where, claims)).toBe(
            Object.keys(where).every((name) => naive(where[name], claims[name]) === true),
          );
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('describeValue', () => {
  it('shows the type, on one line, cut', () => {
    expect([undefined, null, 'x', 5, true, ['x'], { a: 1 }].map(describeValue)).toEqual([
      'absent',
      'null',
      '"x"',
      'number 5',
      'boolean true',
      'list ["x"]',
      'mapping {"a":1}',
    ]);
    expect(describeValue('a\nb\u202Ec')).toBe('"a b c"');
    expect(describeValue('x'.repeat(1000)).length).toBeLessThanOrEqual(202);
  });
});

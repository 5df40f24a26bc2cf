import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asText, clean, fold, shown } from '../../shared/text.ts';

const anything = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.constantFrom('\u001b[2J', '\u202e', '\u2028', '\r\n'),
);

test('what is cleaned is one line without anything that steers a terminal, and no longer than asked', () => {
  fc.assert(
    fc.property(anything, fc.integer({ min: 1, max: 300 }), (text, max) => {
      const line = clean(text, max);
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(line.length).toBeLessThanOrEqual(max);
      expect(clean(line, max)).toBe(line);
    }),
  );
});

test.each([
  ['an object that says toString itself', '{"toString": 1}'],
  ['a list that holds such an object', '[{"toString": {"a": 1}, "valueOf": 0}]'],
  ['lists deep in one another', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
])('%s is text too: whoever answers cannot make the reader fail', (_, json) => {
  const value: unknown = JSON.parse(json);
  for (const text of [asText(value), clean(value), shown(value)]) expect(typeof text).toBe('string');
});

describe('what a person typed', () => {
  test('is shown as it is', () => expect(shown('https://a.example/x@y?z')).toBe('https://a.example/x@y?z'));

  test.each([
    ['https://ann:hush@a.example/', 'https://…@a.example/'],
    ['https://hush@a.example', 'https://…@a.example'],
    ['socks5://ann:hush@hush@a.example:1', 'socks5://…@a.example:1'],
    ['two: http://hush@a and http://ann:hush@b/', 'two: http://…@a and http://…@b/'],
  ])('is shown without the user and password of a URL: %s', (typed, seen) => expect(shown(typed)).toBe(seen));

  test('is quoted with what cannot be seen in it', () => {
    expect(shown('pro\u200bd')).toBe('"pro\\u{200b}d"');
    expect(shown('prod ')).toBe('"prod "');
    expect(shown('')).toBe('""');
  });
});

describe('what is folded for a terminal', () => {
  test('says the same words in the same order, in lines as wide as it or of one word', () => {
    const words = fc.array(fc.stringMatching(/^[!-~]{1,30}$/), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, fc.integer({ min: 20, max: 120 }), fc.constantFrom('', '  '), (list, width, indent) => {
        const text = indent + list.map((word) => word.replaceAll('`', "'")).join(' ');
        const lines = fold(text, width, '   ').split('\n');
        expect(lines.join(' ').split(/\s+/)).toEqual(text.split(/\s+/));
        for (const line of lines) if (line.length > width) expect(line.trim()).toMatch(/^\S+$|: (?:kleis|kubectl)/);
        expect(fold(text, undefined)).toBe(text);
      }),
    );
  });

  test('a command that is to be copied stays one line', () => {
    const command = 'kleis explain --broker https://kleis.example.com --grant deploy-web';
    expect(fold(`Find out what to change: ${command}`, 40)).toBe(`Find out what to change:\n${command}`);
    expect(fold('Run `kleis login --context prod` to sign in, please.', 30)).toBe(
      'Run\n`kleis login --context prod`\nto sign in, please.',
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leavesSystemOpen, readPath, readPrefix, valueAt } from '../../../cli/setup/mapping.ts';
import { clean } from '../../../shared/text.ts';

describe('the name of a claim', () => {
  it.each([
    ['groups', ['groups']],
    ['realm_access.roles', ['realm_access', 'roles']],
    ['https://kleis/groups', ['https://kleis/groups']],
    ['https://example.com/a.b', ['https://example.com/a.b']],
    ['cognito:groups', ['cognito:groups']],
    ['a..b', ['a..b']],
    ['.a', ['.a']],
  ])('%s', (written, path) => {
    expect(readPath(written, '--groups-claim')).toEqual(path);
  });

  it('a token decides whether a dot leads into a claim', () => {
    expect(readPath('a.b', '--groups-claim', { 'a.b': 'x', a: { b: 'y' } })).toEqual(['a.b']);
    expect(readPath('a.b', '--groups-claim', { a: { b: 'y' } })).toEqual(['a', 'b']);
    expect(valueAt({ a: { b: 'y' } }, ['a', 'b'])).toBe('y');
  });

  it.each(['', 'a\nb', 'a\u202eb', '\u001b[1m', 'x'.repeat(201)])('none is %j', (written) => {
    expect(() => readPath(written, '--groups-claim')).toThrow(/--groups-claim .* is no name of a claim/);
  });

  it('what an object inherits is no claim', () => {
    for (const name of ['constructor', '__proto__', 'toString']) expect(valueAt({}, [name, 'name'])).toBeUndefined();
    expect(valueAt({ a: 'text' }, ['a', 'length'])).toBeUndefined();
  });
});

describe('a prefix', () => {
  it('with one that closes it, no name of a provider becomes a name of Kubernetes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom('', 's', 'system', 'system:', 'SYSTEM:', 'System:x', 'oidc:')),
        fc.string(),
        (prefix, name) => {
          let taken: string | undefined;
          try {
            taken = readPrefix(clean(prefix), '--username-prefix');
          } catch (error) {
            expect(String(error)).toMatch(/system:/);
            expect(clean(prefix).toLowerCase()).toMatch(/^system:/);
            return;
          }
          if (!leavesSystemOpen(taken)) expect(`${taken}${name}`.startsWith('system:')).toBe(false);
        },
      ),
    );
  });

  it.each(['a\u0000', 'a\u200bb', 'x'.repeat(201)])('none is %j', (text) => {
    expect(() => readPrefix(text, '--username-prefix')).toThrow(/is no prefix/);
  });
});

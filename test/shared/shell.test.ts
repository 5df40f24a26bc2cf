import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clean } from '../../shared/text.ts';
import { shellWord } from '../../shared/shell.ts';

const hostile = fc.string({
  unit: fc.constantFrom(...'ab \'"\\`$()|&;<>*?!#~={}[]%^-/.:@,ä\n'.split('')),
  minLength: 1,
  maxLength: 20,
});
const shells = ['/bin/sh', '/bin/bash', '/usr/bin/zsh', '/usr/bin/fish'].filter((shell) => existsSync(shell));

describe('a name in a command that a person copies', () => {
  it.each(shells)('is one word to %s, whatever it is', async (shell) => {
    const names = fc.sample(hostile, 400).filter((name) => name.trim() !== '');
    const line = `printf '%s\\n' ${names.map((name) => shellWord(name, 'linux')).join(' ')}`;
    const { stdout } = await promisify(execFile)(shell, ['-c', line], { cwd: '/' });
    expect(stdout.split('\n').slice(0, -1)).toEqual(
      names.map((name) => (clean(name) === name && !name.startsWith('-') ? name : 'NAME')),
    );
  });

  it('leaves no backslash and no quote within quotes, where fish takes them for more than sh does', () => {
    fc.assert(
      fc.property(hostile, (name) => {
        expect(shellWord(name, 'linux')).toMatch(/^([\w./:@%+,=-]+|('[^'\\]*'|\\['\\])+)$/u);
      }),
    );
  });

  it.each(['prod\u200b', ' prod', 'pr\u001bod', 'x'.repeat(401), '--all', '-A'])(
    'is left to the person where it could be taken for another, or for a flag: %j',
    (name) => {
      for (const platform of ['linux', 'win32'] as const) expect(shellWord(name, platform)).toBe('NAME');
    },
  );

  it('is as it is where nothing in it means something to a shell', () => {
    for (const platform of ['linux', 'win32'] as const)
      expect(shellWord('prod-eu_1.a:b@c/d', platform)).toBe('prod-eu_1.a:b@c/d');
    expect(shellWord('docker desktop', 'linux')).toBe("'docker desktop'");
    expect(shellWord('docker desktop', 'win32')).toBe('"docker desktop"');
  });

  it('is not said to shells of Windows that would act on it', () => {
    fc.assert(
      fc.property(hostile, (name) => {
        expect(shellWord(name, 'win32')).toMatch(/^(NAME|"[^"'`$&|<>^%!;\\*?]*"|[^\s"'`$&|<>^!;()\\*?]+)$/u);
      }),
    );
  });
});

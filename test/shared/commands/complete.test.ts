import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { knownValues } from '../../../broker/commands/completion.ts';
import { complete, type Question, type Values } from '../../../shared/commands/complete.ts';
import { scripts } from '../../../shared/commands/completion-scripts.ts';
import { quoteFor, readBashWord, readPowerShellWord } from '../../../shared/commands/shell-words.ts';
import { roots } from './trees.ts';

const [kleis, broker] = roots as [(typeof roots)[0], (typeof roots)[0]];
const nothing: Values = async () => [];
const valuesOf = (text: string) => text.split('\n').flatMap((line) => line.split('\t')[0] || []);

describe('what is asked of the program', () => {
  const asked = async (program: typeof kleis, ...words: string[]) => {
    const questions: Question[] = [];
    await complete(program, 'zsh', words, async (question) => {
      questions.push(question);
      return [];
    });
    return questions;
  };

  it('has the flag or argument, the command, and what stands before it', async () => {
    expect(await asked(kleis, 'kubeconfig', 'add', '--from=https://x', '--all', '--cluster', 'pr')).toEqual([
      {
        name: '--cluster',
        command: 'kleis kubeconfig add',
        flags: new Map([
          ['--from', 'https://x'],
          ['--all', ''],
        ]),
        current: 'pr',
      },
    ]);
    expect(await asked(kleis, 'admin', 'revoke', 'a', 'b')).toMatchObject([{ name: 'id', current: 'b' }]);
    expect(await asked(broker, 'explain', '--config', 'x', '--grant=g')).toMatchObject([
      { name: '--grant', current: 'g' },
    ]);
  });

  it('what fails or gives hidden marks is offered as nothing', async () => {
    const failing: Values = () => Promise.reject(new Error('no'));
    expect(await complete(kleis, 'zsh', ['login', '--context', ''], failing)).toBe('');
    const odd: Values = async () => ['a\nb', 'a\u001b[2J', 'a\u202eb', ' a', '', 'ok'].map((value) => ({ value }));
    expect(valuesOf(await complete(kleis, 'zsh', ['login', '--context', ''], odd))).toEqual(['ok']);
    const described: Values = async () => [{ value: 'a', description: 'x\ty\nb\t' }];
    expect(await complete(kleis, 'zsh', ['login', '--context', ''], described)).toBe('a\tx y b\n');
  });

  it('commands, flags and choices come from the tree', async () => {
    const offered = async (program: typeof kleis, ...words: string[]) =>
      valuesOf(await complete(program, 'zsh', words, nothing));
    expect(await offered(broker, 'audit', '')).toEqual(['show', 'who', 'used', 'report', 'verify']);
    expect(await offered(broker, 'audit', 'show', '--s')).toEqual(['--since', '--subject']);
    expect(await offered(broker, 'audit', 'show', '')).toEqual([]);
    expect(await offered(broker, 'help', 'audit', 'v')).toEqual(['verify']);
    expect(await offered(kleis, 'help', 'kubeconfig', 'add', '')).toEqual([]);
    expect(await offered(kleis, 'kubeconfig', 'h')).toEqual([]);
  });
});

it('the broker offers what its own files name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-complete-'));
  try {
    const file = join(folder, 'kubeconfig');
    await writeFile(file, 'contexts: [{name: b}, {name: a}, {name: 7}, nothing]');
    const ask = async (name: string, flags: readonly [string, string][]) =>
      (await knownValues({ name, command: '', flags: new Map(flags), current: '' })).map(({ value }) => value);
    expect(await ask('--context', [['--kubeconfig', file]])).toEqual(['a', 'b']);
    expect(await ask('--context', [])).toEqual([]);
    expect(await ask('--role', [])).toContain('deployer');
    expect(await ask('--grant', [])).toEqual([]);
    await expect(ask('--grant', [['--config', join(folder, 'none')]])).rejects.toThrow('none');
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('quotes', () => {
  const visible = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => !/[\p{C}\p{Z}]/u.test(text.replaceAll(' ', '')));

  it('what bash is given back reads as the value, and has nothing that bash acts on', () => {
    fc.assert(
      fc.property(visible, (value) => {
        const quoted = quoteFor('bash', value, '') ?? '';
        expect(readBashWord(quoted)).toEqual({ text: value, open: '' });
        expect(quoted.replace(/\\./gsu, '')).not.toMatch(/[\s$`'"\\;&|<>()*?[\]{}~#!^]/);
      }),
    );
  });

  it.each([
    ["'a b'c", 'a bc', ''],
    ['"a \\" \\x $(y)', 'a " \\x $(y)', '"'],
    ["'$(x)", '$(x)', "'"],
    ['a\\ b\\', 'a b', ''],
  ])('bash reads %j as %j', (raw, text, open) => {
    expect(readBashWord(raw)).toEqual({ text, open });
  });

  it('within an open quote bash gets back plain names alone', () => {
    expect(quoteFor('bash', 'a b', "'")).toBe('a b');
    for (const odd of ["a'b", 'a$(b)', 'a`b`', 'a"b', 'a\\b', 'a!b'])
      expect(quoteFor('bash', odd, '"'), odd).toBe(undefined);
  });

  it('PowerShell gets a literal, in which only quotes are doubled, the typographic ones too', () => {
    expect(quoteFor('powershell', 'plain-1', '')).toBe('plain-1');
    expect(quoteFor('powershell', '$(calc) ; a', '')).toBe("'$(calc) ; a'");
    expect(quoteFor('powershell', "a'b’c", '')).toBe("'a''b’’c'");
    fc.assert(
      fc.property(visible, (value) => {
        const quoted = quoteFor('powershell', value, '') ?? '';
        if (quoted === value) expect(value).toMatch(/^[\w./:@%+=-]+$/);
        else {
          expect(quoted).toMatch(/^'.*'$/su);
          expect(quoted.slice(1, -1).replace(/(['‘’‚‛])\1/gu, '')).not.toMatch(/['‘’‚‛]/u);
        }
      }),
    );
    expect(readPowerShellWord("'pr")).toEqual({ text: 'pr', open: '' });
    expect(readPowerShellWord("'a b'")).toEqual({ text: 'a b', open: '' });
  });

  it('PowerShell hands its words on as one, which keeps empty ones and quotes', async () => {
    const script = scripts.powershell(['kleis', 'kubectl-kleis']);
    expect(script).toContain('-CommandName kleis, kubectl-kleis ');
    // What the script puts into one argument.
    const packed = Buffer.from(['login', '--context', "'p"].join('\0')).toString('base64');
    const out: string[] = [];
    const { addCompletion } = await import('../../../shared/commands/completion.ts');
    const { createRoot } = await import('../../../shared/commands/tree.ts');
    const stream = { write: () => true } as never;
    const root = createRoot({ name: 'x', version: '1', argv: [], stdout: stream, stderr: stream, env: {} });
    root.command('login').option('--context <name>');
    const values: Values = async () => [{ value: 'p$(x)' }];
    addCompletion(root, { names: ['x'], write: (text) => out.push(text), values });
    await root.parseAsync(['__complete', '--shell', 'powershell', packed], { from: 'user' });
    expect(out).toEqual(["'p$(x)'\t\n"]);
  });
});

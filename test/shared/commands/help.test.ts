import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { run as runBroker } from '../../../broker/program.ts';
import type { Deps as BrokerDeps } from '../../../broker/surroundings.ts';
import { run as runKleis } from '../../../cli/program.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { createReport } from '../../../cli/surroundings/report.ts';
import { pageOf } from '../../../shared/commands/page.ts';
import { render, widthOf, wrap } from '../../../shared/commands/render.ts';
import { commands } from './trees.ts';

/** What a program prints on a terminal of so many columns, or on none. */
async function print(words: readonly string[], columns?: number) {
  const out: string[] = [];
  const err: string[] = [];
  const stream = (parts: string[]) => ({ isTTY: false, columns, write: (text: string) => parts.push(text) > 0 });
  const streams = { stdout: stream(out), stderr: stream(err), env: {} };
  const [program, ...args] = words;
  const code =
    program === 'kleis'
      ? await runKleis(args, {
          ...streams,
          report: createReport(streams.stderr as never, {}, 'info'),
          signal: new AbortController().signal,
        } as unknown as Deps)
      : await runBroker(args, streams as unknown as BrokerDeps);
  return { code, stdout: out.join(''), stderr: err.join('') };
}

describe.each(commands)('help of %s', (path, command) => {
  const page = pageOf(command);

  it.each([24, 40, 60, 80, 120])('at %i columns has no line that is wider, and no text in a sliver', (width) => {
    const lines = render(page, { width, colour: false }).split('\n');
    // A single word cannot be divided.
    const wide = lines.filter((line) => line.length > width && line.trim().includes(' '));
    expect(width < 40 ? [] : wide).toEqual([]);
    for (const line of lines) expect(/^ */.exec(line)?.[0].length, line).toBeLessThanOrEqual(Math.max(6, width / 2));
  });

  it('says the same at every width, and in colour', () => {
    const wordsOf = (text: string) => text.split(/\s+|\\\n/).filter((word) => word !== '' && word !== '\\');
    const plain = render(page, { width: 80, colour: false });
    for (const width of [24, 40, 120]) {
      expect(wordsOf(render(page, { width, colour: false }))).toEqual(wordsOf(plain));
    }
    expect(stripVTControlCharacters(render(page, { width: 80, colour: true }))).toBe(plain);
  });

  it('has an example of itself, and no flag twice', () => {
    if (command.commands.every((child) => child.name() === 'help')) {
      expect(page.notes).toMatch(new RegExp(String.raw`^ +.*\b${path}\b`, 'm'));
    }
    const terms = page.groups.flatMap(({ items }) => items.map(({ term }) => term));
    expect(new Set(terms).size).toBe(terms.length);
  });
});

it('is 80 columns wide where there is no terminal, and never more than can be read', () => {
  expect(
    [undefined, 0, 3, 40, 79, 120, 200].map((columns) => widthOf(columns === undefined ? {} : { columns })),
  ).toEqual([80, 80, 24, 40, 79, 120, 120]);
});

it('asks the terminal that it is shown on how wide it is', async () => {
  const narrow = await print(['kleis', 'kubeconfig', 'add', '--help'], 40);
  const wide = await print(['kleis', 'kubeconfig', 'add', '--help'], 200);
  const none = await print(['kleis', 'kubeconfig', 'add', '--help']);
  const longest = ({ stdout }: { stdout: string }) => Math.max(...stdout.split('\n').map((line) => line.length));
  expect(longest(narrow)).toBeLessThanOrEqual(40);
  expect(longest(none)).toBeGreaterThan(60);
  expect(longest(none)).toBeLessThanOrEqual(80);
  expect(longest(wide)).toBeGreaterThan(80);
  expect(longest(wide)).toBeLessThanOrEqual(120);
});

describe('`help`', () => {
  it.each([
    ['kleis', 'kubeconfig', 'add'],
    ['kleis', 'admin', 'leases'],
    ['kleis', 'status'],
    ['kleis-broker', 'audit', 'show'],
    ['kleis-broker', 'serve'],
  ])('%s help %s %s is the help of that command, however it is asked for', async (program, ...words) => {
    const usual = await print([program, ...words, '--help']);
    expect(usual).toMatchObject({ code: 0, stderr: '' });
    expect(await print([program, 'help', ...words])).toEqual(usual);
    if (words.length === 2) expect(await print([program, words[0] ?? '', 'help', words[1] ?? ''])).toEqual(usual);
  });

  it.each([
    ['kleis help frobnicate', 'kleis frobnicate', 'login, status'],
    ['kleis help kubeconfig frobnicate', 'kleis kubeconfig frobnicate', 'There are: add, '],
    ['kleis kubeconfig help frobnicate', 'kleis kubeconfig frobnicate', 'There are: add, '],
    ['kleis help login frobnicate', 'kleis login frobnicate', 'no commands below'],
    ['kleis help __complete', 'kleis __complete', 'There are: login'],
    ['kleis-broker help audit frobnicate', 'kleis-broker audit frobnicate', 'There are: show, who'],
  ])('%s says which there are, and is a fault of usage', async (line, what, next) => {
    const { code, stdout, stderr } = await print(line.split(' '));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`There is no command ${what}`);
    expect(stderr).toContain(next);
  });

  it('alone is the help of the program, and of a group that of the group', async () => {
    expect(await print(['kleis', 'help'])).toEqual(await print(['kleis', '--help']));
    expect(await print(['kleis', 'kubeconfig', 'help'])).toEqual(await print(['kleis', 'kubeconfig', '--help']));
  });
});

describe('a command takes no flag that it would ignore', () => {
  it.each([
    ['login', '--broker', 'https://kleis.example.com'],
    ['login', '--ttl', '5m'],
    ['login', '--min-validity', '5m'],
    ['whoami', '--login', 'device'],
    ['whoami', '--listen-address', 'localhost:0'],
  ])('kleis %s %s', async (command, flag, value) => {
    const { code, stderr } = await print(['kleis', command, flag, value]);
    expect(code).toBe(2);
    expect(stderr).toContain(`unknown option '${flag}'`);
  });

  it('but `revoke` takes those that its token was got with, and shows those that say which it is', async () => {
    const { stdout } = await print(['kleis', 'revoke', '--help']);
    expect(stdout).toContain('--grant');
    for (const flag of ['--ttl', '--min-validity', '--login-timeout']) expect(stdout).not.toContain(flag);
    const { stderr } = await print(['kleis', 'revoke', '--ttl', '5m', '--token-file', '/dev/null', '--broker', 'x:']);
    expect(stderr).not.toContain('unknown option');
  });
});

it('lines are divided at blanks alone, and what is longer than a line stands by itself', () => {
  expect(wrap('a bb  ccc', 5)).toEqual(['a bb', 'ccc']);
  expect(wrap('--abcdefgh i', 5, '  ')).toEqual(['--abcdefgh', '  i']);
  expect(wrap('', 5)).toEqual([]);
});

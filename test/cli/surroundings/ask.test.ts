import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ask, askYesNo, choose, tell } from '../../../cli/surroundings/ask.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { KleisError } from '../../../shared/errors.ts';
import { revealUnseen } from '../../../shared/text.ts';

/** A person who answers each question with the next of these lines, and then ends the input. */
function person(answers: readonly string[], columns = 80) {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stderr = Object.assign(new PassThrough(), { isTTY: true, columns });
  const said: string[] = [];
  const left = [...answers];
  const interrupted = new AbortController();
  stderr.on('data', (chunk: Buffer) => {
    const text = String(chunk);
    said.push(text);
    if (!/[:\]] $/.test(text)) return;
    const next = left.shift();
    if (next === undefined) stdin.end();
    else if (next === '^C') interrupted.abort('SIGINT');
    else {
      // As a terminal shows what is typed.
      said.push(`${revealUnseen(next)}\n`);
      stdin.write(`${next}\n`);
    }
  });
  const deps = { stdin, stderr, env: { NO_COLOR: '1' }, signal: interrupted.signal } as unknown as Deps;
  return { deps, text: () => said.join(''), left };
}

const number = {
  text: 'How many',
  check(answer: string) {
    if (/^\d+$/.test(answer)) return Number(answer);
    throw new KleisError('usage', `${answer} is no number.`, { hint: 'Type digits.' });
  },
};

describe('a question', () => {
  it('is asked again with the reason, and gives what its check makes of the answer', async () => {
    const { deps, text } = person(['many', ' 7 ']);
    expect(await ask(number, deps)).toBe(7);
    expect(text()).toBe('\nHow many: many\nmany is no number. Type digits.\nHow many:  7 \n');
  });

  it('is given up after three wrong answers, with the last reason', async () => {
    const { deps, left } = person(['a', 'b', 'c', '4']);
    await expect(ask(number, deps)).rejects.toMatchObject({ code: 'usage', exitCode: 2, message: 'c is no number.' });
    expect(left).toEqual(['4']);
  });

  it('takes Enter for what it shows, and for nothing where it shows nothing', async () => {
    const { deps, text } = person(['', '']);
    expect(await ask({ ...number, usual: '3' }, deps)).toBe(3);
    expect(await ask({ text: 'Or', usual: '', check: (answer) => answer }, deps)).toBe('');
    expect(text()).toBe('\nHow many [3]: \n\nOr: \n');
  });

  it('refuses what cannot be seen, and shows it', async () => {
    const { deps, text } = person(['\u001b[A1', '1']);
    expect(await ask(number, deps)).toBe(1);
    expect(text()).toContain('\\u{1b}[A1');
    expect(text()).not.toContain('\u001b');
  });

  it('ends with the input, and at Ctrl-C, on a line of its own', async () => {
    const ended = person([]);
    await expect(ask(number, ended.deps)).rejects.toMatchObject({ code: 'interrupted' });
    const interrupted = person(['^C']);
    await expect(ask(number, interrupted.deps)).rejects.toBe('SIGINT');
    expect([ended.text(), interrupted.text()]).toEqual(['\nHow many: \r\n', '\nHow many: \r\n']);
  });

  it('lets every other failure through', async () => {
    const { deps } = person(['1']);
    const check = () => {
      throw new TypeError('a fault');
    };
    await expect(ask({ ...number, check }, deps)).rejects.toThrow(TypeError);
  });

  it('is broken at blanks where the terminal ends', async () => {
    const { deps, text } = person(['1'], 40);
    await ask({ ...number, text: 'The number of words that fit into a line of forty', usual: '12' }, deps);
    tell(`An address https://${'a'.repeat(50)}.example.com stays whole`, deps);
    expect(
      Math.max(
        ...text()
          .split('\n')
          .map((line) => (line.includes('aaa') ? 0 : line.length)),
      ),
    ).toBeLessThanOrEqual(40);
    expect(text()).toContain(`\nhttps://${'a'.repeat(50)}.example.com\n`);
  });

  it('that only a y answers with yes is a no for all else', async () => {
    const answers = ['y', 'YES', 'yeah', '', 'n'];
    const { deps } = person(answers);
    const said = [];
    for (const _ of [...answers, 'end']) said.push(await askYesNo('Sure?', deps));
    expect(said).toEqual([true, true, false, false, false, false]);
    // And for every later one, of which nobody hears.
    expect(await askYesNo('Sure?', deps)).toBe(false);
    await expect(ask(number, deps)).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('a choice', () => {
  const choices = ['prod', 'lab', '2'].map((name) => ({ name, more: `of ${name}`, value: name }));

  it('is answered by number or by name, of which the name wins', async () => {
    for (const [typed, value] of [
      ['1', 'prod'],
      ['lab', 'lab'],
      ['2', '2'],
      ['3', '2'],
    ] as const) {
      expect(await choose({ text: 'Which', choices: choices }, person([typed]).deps)).toBe(value);
    }
    const { deps, text } = person(['0', '4', 'prod ']);
    expect(await choose({ text: 'Which', choices: choices }, deps)).toBe('prod');
    expect(text()).toMatch(/^\n {3}1 {2}prod {2}of prod\n {3}2 {2}lab {3}of lab\n/);
    expect(text()).toContain('"4" is none of them. Type a number of the list, or a name.');
  });

  it('of very many shows few, each on one line, and takes all by name', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({
      name: `grant-${index}\u001b[2J${'x'.repeat(200)}`,
      value: index,
    }));
    const { deps, text } = person(['10000', 'grant-9999'], 40);
    await expect(
      choose({ text: 'Which', choices: [...many, { name: 'grant-9999', value: 9999 }] }, deps),
    ).resolves.toBe(9999);
    expect(text()).not.toContain('\u001b');
    expect(text().split('\n').length).toBeLessThan(40);
    expect(
      Math.max(
        ...text()
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(40);
  });
});

import { createInterface } from 'node:readline/promises';
import { KleisError } from '../../shared/errors.ts';
import { clean, fold, revealUnseen, shorten } from '../../shared/text.ts';
import { widthOf } from '../../shared/table.ts';
import type { Deps } from './deps.ts';
import { boldOn } from './report.ts';

/** A question to a person at a terminal. */
export interface Question<T> {
  /** Without a mark at its end. */
  readonly text: string;
  /** What Enter alone means; shown behind the question, unless it is empty. */
  readonly usual?: string | undefined;
  /** Makes a value of the answer, without the blanks around it. A `KleisError` says why it is none, and is asked again. */
  readonly check: (answer: string) => T | Promise<T>;
}

export interface Choice<T> {
  /** One line; also what may be typed in place of its number. */
  readonly name: string;
  /** What stands beside it. */
  readonly more?: string;
  readonly value: T;
}

const tries = 3;
/** Nobody can see --help while they are asked. */
const nothingToSay = new KleisError('usage', '').hint;
/** Longer lists are answered by name. */
const mostShown = 20;

/**
 * Asks, below an empty line, until the answer is one, three times at most.
 *
 * @throws KleisError `usage` after the third, `interrupted` at the end of the input; whatever `check` throws that is none,
 *   and the reason of the signal
 */
export async function ask<T>(question: Question<T>, deps: Deps): Promise<T> {
  deps.stderr.write('\n');
  return askOn(question, deps);
}

async function askOn<T>({ text, usual, check }: Question<T>, deps: Deps): Promise<T> {
  const bold = boldOn(deps.stderr, deps.env);
  const shown = usual === undefined || usual === '' ? '' : ` [${clean(usual, 300)}]`;
  for (let left = tries - 1; ; left -= 1) {
    const typed = await readAnswer(`${bold(lines(`${text}${shown}:`, deps))} `, deps);
    if (typed === undefined) {
      throw new KleisError('interrupted', 'The input ended before all was answered. Nothing was changed.');
    }
    const answer = typed.trim() === '' && usual !== undefined ? usual : typed.trim();
    try {
      return await check(visible(answer));
    } catch (error) {
      if (!(error instanceof KleisError) || error.code === 'interrupted' || deps.signal.aborted) throw error;
      if (left === 0) throw new KleisError('usage', error.message, { hint: error.hint, cause: error });
      tellFault(error, deps);
    }
  }
}

export interface ChoiceQuestion<T> {
  /** Without a mark at its end. */
  readonly text: string;
  readonly choices: readonly Choice<T>[];
  /** What Enter alone means: the name of one of them. */
  readonly usual?: string | undefined;
  /** For an answer that is none of them. */
  readonly other?: (answer: string) => T | Promise<T>;
}

/** Lets a person pick one, by its number or its name. Throws as `ask`. */
export async function choose<T>({ text, choices, usual, other }: ChoiceQuestion<T>, deps: Deps): Promise<T> {
  deps.stderr.write('\n');
  const shown = choices.slice(0, mostShown);
  const width = shown.reduce((widest, { name }) => Math.max(widest, clean(name, 80).length), 0);
  for (const [index, { name, more = '' }] of shown.entries()) {
    const line = `${String(index + 1).padStart(4)}  ${clean(name, 80).padEnd(width)}  ${clean(more, 200)}`;
    deps.stderr.write(`${shorten(line.trimEnd(), widthOf(deps.stderr) ?? Infinity)}\n`);
  }
  if (choices.length > shown.length) {
    tell(`and ${choices.length - shown.length} more: type the name of one of them.`, deps);
  }
  const check = async (answer: string) => {
    const found = choices.find(({ name }) => name === answer) ?? (/^\d+$/.test(answer) && shown[Number(answer) - 1]);
    if (found) return found.value;
    if (other !== undefined && !/^\d+$/.test(answer)) return other(answer);
    throw new KleisError('usage', answer === '' ? 'That was nothing.' : `"${clean(answer, 80)}" is none of them.`, {
      hint: 'Type a number of the list, or a name.',
    });
  };
  return askOn({ text, usual, check }, deps);
}

/** Why an answer is none, and what to do. */
export function tellFault({ message, hint }: KleisError, deps: Pick<Deps, 'stderr'>): void {
  tell(hint === nothingToSay ? message : `${message} ${hint}`, deps);
}

/** A sentence between questions, broken where the terminal ends. */
export function tell(text: string, deps: Pick<Deps, 'stderr'>): void {
  deps.stderr.write(`${lines(text, deps)}\n`);
}

function lines(text: string, { stderr }: Pick<Deps, 'stderr'>): string {
  return fold(text, widthOf(stderr));
}

/** An arrow key, for one, writes what nobody sees. */
function visible(answer: string): string {
  if (clean(answer, answer.length) === answer) return answer;
  throw new KleisError('usage', `The answer holds what cannot be seen: ${clean(revealUnseen(answer), 120)}.`, {
    hint: 'Type it anew.',
  });
}

/** A question on the terminal, after which only a y means yes: the end of the input is no consent. */
export async function askYesNo(question: string, deps: Deps): Promise<boolean> {
  const answer = await readAnswer(`${lines(`${question} [y/N]`, deps)} `, deps);
  return answer !== undefined && /^y(es)?$/i.test(answer.trim());
}

/** The next line; undefined if the input has ended. */
async function readAnswer(prompt: string, deps: Deps): Promise<string | undefined> {
  // Of a stream that has ended nothing is heard any more, its end neither.
  if (deps.stdin.readableEnded || deps.stdin.destroyed) return undefined;
  // Not in raw mode, in which Ctrl-C would be a character.
  const reader = createInterface({ input: deps.stdin, output: deps.stderr, terminal: false });
  const closed = new AbortController();
  reader.once('close', () => closed.abort());
  try {
    return await reader.question(prompt, { signal: AbortSignal.any([deps.signal, closed.signal]) });
  } catch (error) {
    deps.signal.throwIfAborted();
    if (closed.signal.aborted) return undefined;
    throw error;
  } finally {
    reader.close();
  }
}

/**
 * Throws `usage` where there is no terminal to ask on.
 *
 * @param what a sentence without its end: what would happen
 */
export function requireTerminal(what: string, hint: string, { stdin, stderr }: Pick<Deps, 'stdin' | 'stderr'>): void {
  if (stdin.isTTY && stderr.isTTY) return;
  throw new KleisError('usage', `${what}, and there is no terminal to ask on.`, { hint });
}

import { createInterface } from 'node:readline/promises';
import { KleisError } from '../../shared/errors.ts';
import type { Deps } from './deps.ts';

/** A question on the terminal, after which only a y means yes: the end of the input is no consent. */
export async function askYesNo(question: string, deps: Deps): Promise<boolean> {
  // Not in raw mode, in which Ctrl-C would be a character.
  const lines = createInterface({ input: deps.stdin, output: deps.stderr, terminal: false });
  const closed = new AbortController();
  lines.once('close', () => closed.abort());
  try {
    const answer = await lines.question(`${question} [y/N] `, {
      signal: AbortSignal.any([deps.signal, closed.signal]),
    });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    deps.signal.throwIfAborted();
    if (closed.signal.aborted) return false;
    throw error;
  } finally {
    lines.close();
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

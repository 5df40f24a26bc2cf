import { createInterface } from 'node:readline/promises';
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

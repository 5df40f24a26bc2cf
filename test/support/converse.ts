import type { Running } from './run.ts';
import { until } from './wait.ts';

/** What the terminal shows at its end, and what is typed then. */
export type Turn = readonly [question: RegExp, answer: string];

/** Answers the questions of a program at a terminal, one after the other. */
export async function converse(running: Running, turns: readonly Turn[]): Promise<void> {
  let heard = 0;
  for (const [question, answer] of turns) {
    const shown = () => running.stdout().slice(heard).replaceAll('\r\n', '\n');
    await until(`${question}`, () => question.test(shown())).catch((cause: unknown) => {
      throw new Error(`not asked: ${question}; the terminal shows ${shown()}`, { cause });
    });
    heard = running.stdout().length;
    // Ctrl-C and Ctrl-D are heard at once, all else with the end of the line.
    running.stdin?.write(answer === '\u0003' || answer === '\u0004' ? answer : `${answer}\r`);
  }
}

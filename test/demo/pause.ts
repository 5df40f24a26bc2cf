import { setTimeout as sleep } from 'node:timers/promises';
import type { Screen } from './screen.ts';

/** How the reader sets the pace. */
export interface Pause {
  /** Somebody presses Enter after each step. */
  readonly stepwise: boolean;
  /** Between two steps. */
  turn(): Promise<void>;
  /** Until Enter, or the end of the input. */
  enter(prompt: string): Promise<void>;
}

const readingTime = 1000;

export function createPause(screen: Screen, stepwise: boolean, interrupted: AbortSignal): Pause {
  const { stdin } = process;
  let ended = false;
  stdin.on('end', () => (ended = true));

  const pause: Pause = {
    stepwise,
    async turn() {
      if (stepwise) await pause.enter('Enter goes on …');
      // Somebody is reading.
      else if (screen.isTerminal) await sleep(readingTime, undefined, { signal: interrupted });
    },
    async enter(prompt) {
      if (ended) return;
      screen.passing(prompt);
      await new Promise<void>((resolve, reject) => {
        const settle = (then: () => void) => () => {
          stdin.off('data', onLine).off('end', onLine).pause();
          interrupted.removeEventListener('abort', onInterrupt);
          then();
        };
        const onLine = settle(resolve);
        const onInterrupt = settle(() => reject(interrupted.reason));
        stdin.on('data', onLine).on('end', onLine).resume();
        interrupted.addEventListener('abort', onInterrupt);
      });
      screen.entered();
    },
  };
  return pause;
}

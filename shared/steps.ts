import { setImmediate, setTimeout } from 'node:timers/promises';

/** Work in small steps, each of less than a millisecond: whoever drives it decides what comes in between. */
export type Steps<T> = Generator<undefined, T, void>;

/** All of it at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Milliseconds. */
export interface Pace {
  /** Of work at once. */
  readonly work: number;
  /** For everything else, after each. */
  readonly rest: number;
}

/** Lets the process do other things in between. */
export async function inTurns<T>(steps: Steps<T>, { work, rest }: Pace): Promise<T> {
  for (let began = performance.now(); ;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    if (performance.now() - began < work) continue;
    await (rest === 0 ? setImmediate() : setTimeout(rest, undefined, { ref: false }));
    began = performance.now();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';

/** What tells a wait that it is over: anything but these. */
type Wanting = undefined | false;

/**
 * Looks again and again until there is something; gives it. A test that waits fails by saying for what.
 *
 * @param timeout milliseconds; generous, since a busy machine is no fault: what is to be fast is measured apart
 * @param every milliseconds between two looks
 */
export async function until<T>(
  what: string,
  look: () => T | Wanting | Promise<T | Wanting>,
  timeout = 30_000,
  every = 20,
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`not after ${timeout} ms: ${what}`);
    await sleep(every);
  }
}

/** Milliseconds. */
const window = 60_000;
/** Each takes about 200 bytes. */
const maxKeys = 50_000;

/** Counts within a minute, by key; the minute of a key begins with its first request. */
export interface Counters {
  /** One more; gives how many there are now, and when the minute ends (ms). */
  increment(key: string): { readonly hits: number; readonly resetAt: number };
}

interface Count {
  hits: number;
  resetAt: number;
  touchedAt: number;
}

/**
 * The number of keys is bounded: beyond it the one goes that was quiet for longest, and begins anew should it come back.
 * So whoever has more keys than that gets around the limit, which the limits after verification then meet, and takes
 * nothing from anybody else's.
 */
export function createCounters(now: () => number, max = maxKeys): Counters {
  /** In the order of `touchedAt`. */
  const counts = new Map<string, Count>();

  /** Those that are over, as far as they stand first. */
  const tidy = (time: number): void => {
    for (const [key, { touchedAt }] of counts) {
      if (touchedAt + window > time) return;
      counts.delete(key);
    }
  };

  return {
    increment(key) {
      const time = now();
      tidy(time);
      const known = counts.get(key);
      // A clock that was set back must not stretch a minute.
      const current = known !== undefined && time < known.resetAt && time >= known.resetAt - window;
      const count = current ? known : { hits: 0, resetAt: time + window, touchedAt: time };
      counts.delete(key);
      const [quietest] = counts.size >= max ? counts.keys() : [];
      if (quietest !== undefined) counts.delete(quietest);
      count.hits += 1;
      count.touchedAt = time;
      counts.set(key, count);
      return { hits: count.hits, resetAt: count.resetAt };
    },
  };
}

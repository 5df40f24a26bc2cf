const window = 60_000;
/** Each takes about 100 bytes. Who sends from more addresses than this is met by the limits after verification. */
const maxKeys = 50_000;

/** Counts of the minute that is under way, by key; begins anew each minute. */
export interface Counters {
  /** One more; gives how many there are now, and when the minute ends (ms). */
  increment(key: string): { readonly hits: number; readonly resetAt: number };
  decrement(key: string): void;
}

/** The number of keys is bounded: beyond it, those that are not counted yet share one count. */
export function createCounters(now: () => number, max = maxKeys): Counters {
  let hits = new Map<string, number>();
  let resetAt = 0;
  const keyOf = (key: string) => (hits.has(key) || hits.size < max ? key : '');
  return {
    increment(wanted) {
      const time = now();
      if (time >= resetAt || time < resetAt - window) {
        hits = new Map();
        resetAt = time + window;
      }
      const key = keyOf(wanted);
      const next = (hits.get(key) ?? 0) + 1;
      hits.set(key, next);
      return { hits: next, resetAt };
    },
    decrement(wanted) {
      const key = keyOf(wanted);
      hits.set(key, Math.max(0, (hits.get(key) ?? 0) - 1));
    },
  };
}

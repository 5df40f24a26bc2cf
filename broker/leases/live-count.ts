/** How many leases live, by key, when all that is known of each is when it ends. Times in ms. */
export interface LiveCount {
  add(keys: readonly string[], endsAt: number): void;
  /** One that ends then; nothing if there is none. */
  remove(keys: readonly string[], endsAt: number): void;
  count(key: string, now: number): number;
  /** When the first of them ends; undefined if none lives. */
  firstEnd(key: string, now: number): number | undefined;
  /** Every key of which one lives, with how many. */
  counts(now: number): Iterable<readonly [key: string, count: number]>;
  /** Forgets what has ended. */
  tidy(now: number): void;
}

/** Sixteen bytes for a lease of two keys: a broker may know of a hundred thousand. */
export function createLiveCount(): LiveCount {
  /** In ascending order. */
  const ends = new Map<string, number[]>();

  /** Those that have not ended. */
  function live(key: string, now: number): readonly number[] {
    const times = ends.get(key);
    if (times === undefined) return [];
    const ended = placeOf(times, now);
    if (ended > 0) times.splice(0, ended);
    if (times.length === 0) ends.delete(key);
    return times;
  }

  return {
    add(keys, endsAt) {
      for (const key of keys) {
        const times = ends.get(key);
        if (times === undefined) ends.set(key, [endsAt]);
        else times.splice(placeOf(times, endsAt), 0, endsAt);
      }
    },
    remove(keys, endsAt) {
      for (const key of keys) {
        const times = ends.get(key) ?? [];
        const place = placeOf(times, endsAt) - 1;
        if (times[place] === endsAt) times.splice(place, 1);
        if (times.length === 0) ends.delete(key);
      }
    },
    count: (key, now) => live(key, now).length,
    firstEnd: (key, now) => live(key, now)[0],
    *counts(now) {
      for (const key of ends.keys()) {
        const { length } = live(key, now);
        if (length > 0) yield [key, length];
      }
    },
    tidy(now) {
      for (const key of ends.keys()) live(key, now);
    },
  };
}

/** Behind all that are not later. */
function placeOf(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../../shared/json.ts';

/** What becomes of the items of a list. */
export interface Alignment {
  /** For each item that is there, its place in the new list; undefined: it is removed. */
  readonly places: readonly (number | undefined)[];
  /** Behind all that stays. */
  readonly added: readonly unknown[];
}

/**
 * How one list becomes the other by removing items, changing mappings where they are, and adding behind them. Undefined
 * if it takes more than that, or if nothing stays.
 */
export function alignLists(have: readonly unknown[], want: readonly unknown[]): Alignment | undefined {
  const [old, next] = [have.map(identity), want.map(identity)];
  const [inOld, inNext] = [new Set(old), new Set(next)];
  let at = 0;
  const places = have.map((item, index) => {
    if (at === want.length) return undefined;
    // Neither is anywhere in the other list: it has another name now.
    const renamed = !inNext.has(identityAt(old, index)) && !inOld.has(identityAt(next, at));
    const stays = old[index] === next[at] || (renamed && isObject(item) && isObject(want[at]));
    return stays ? at++ : undefined;
  });
  if (at === 0) return undefined;
  const fits = places.every((place, index) => {
    if (place === undefined) return true;
    return isDeepStrictEqual(have[index], want[place]) || (isObject(have[index]) && isObject(want[place]));
  });
  return fits ? { places, added: want.slice(at) } : undefined;
}

function identityAt(identities: readonly string[], index: number): string {
  return identities[index] ?? '';
}

/** A mapping is known by its name, everything else by all that it is. */
function identity(item: unknown): string {
  if (isObject(item) && typeof item['name'] === 'string') return `name ${item['name']}`;
  return `value ${JSON.stringify(item)}`;
}

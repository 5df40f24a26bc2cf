import { type PageOf, pageOf } from '../../shared/paging.ts';
import { subjectOf } from './holder.ts';
import type { LeaseState } from './lease.ts';
import { compileWanted, remembered, type Wanted } from './matching.ts';
import type { LeaseRow } from './overview.ts';

/** `live`: active, and its token has not ended. `ended`: active still, since nobody has cleared it away. */
export type ShownState = 'live' | 'ended' | Exclude<LeaseState, 'active'>;

export const shownStates: readonly ShownState[] = [
  'live',
  'ended',
  'revoking',
  'revoked',
  'withdrawing',
  'withdrawn',
  'free',
];

export type LeaseOrder = 'created' | 'expires' | 'grant' | 'subject';

export const leaseOrders: readonly LeaseOrder[] = ['created', 'expires', 'grant', 'subject'];

export interface LeaseSearch extends Wanted {
  /** Undefined: any. */
  readonly state?: ShownState | undefined;
  /** Stands somewhere in the id, the subject or the account, in small letters or capitals. */
  readonly text?: string | undefined;
  readonly order: LeaseOrder;
  readonly descending: boolean;
  /** From 1 on. */
  readonly page: number;
  readonly pageSize: number;
}

/** Rows that are looked at before others get their turn; a turn takes some milliseconds. */
const atOnce = 2_500;

export function stateOf({ state, endsAt }: Pick<LeaseRow, 'state' | 'endsAt'>, now: number): ShownState {
  if (state !== 'active') return state;
  return endsAt <= now ? 'ended' : 'live';
}

/** One page of what is looked for. Whoever mints meanwhile waits a few milliseconds at most, however many there are. */
export async function searchLeases(
  rows: readonly LeaseRow[],
  search: LeaseSearch,
  now: number,
): Promise<PageOf<LeaseRow>> {
  const fits = compileSearch(search, now);
  const keyOf = keys[search.order];
  const found: Keyed[] = [];
  // More may be read meanwhile.
  const all = rows.length;
  for (let index = 0; index < all; index += 1) {
    if (index % atOnce === atOnce - 1) await othersTurn();
    const row = rows[index]!;
    if (fits(row)) found.push({ row, key: keyOf(row) });
  }
  const direction = search.descending ? -1 : 1;
  const sorted = await sortInTurns(found, (one, other) => compare(one, other, direction));
  const { rows: shown, ...place } = pageOf(sorted, search.page, search.pageSize);
  return { ...place, rows: shown.map(({ row }) => row) };
}

function compileSearch({ state, text, ...wanted }: LeaseSearch, now: number): (row: LeaseRow) => boolean {
  const looked = text?.trim().toLowerCase() ?? '';
  const isWanted = compileWanted(wanted);
  const has = remembered((part) => part.toLowerCase().includes(looked));
  return (row) =>
    (state === undefined || stateOf(row, now) === state) &&
    isWanted(row) &&
    (looked === '' || row.name.includes(looked) || has(row.holder) || has(row.account));
}

interface Keyed {
  readonly row: LeaseRow;
  /** Made once: a sort compares it many times. */
  readonly key: string | number;
}

const keys: Readonly<Record<LeaseOrder, (row: LeaseRow) => string | number>> = {
  created: ({ acquiredAt }) => acquiredAt,
  expires: ({ endsAt }) => endsAt,
  grant: ({ grant }) => grant,
  subject: ({ holder }) => subjectOf(holder),
};

function compare(one: Keyed, other: Keyed, direction: 1 | -1): number {
  if (one.key !== other.key) return one.key < other.key ? -direction : direction;
  // By their names where they are equal, so that no lease is on two pages.
  return one.row.name < other.row.name ? -1 : 1;
}

/** Merges sorted runs; others get their turn in between. */
async function sortInTurns<T>(items: readonly T[], order: (one: T, other: T) => number): Promise<readonly T[]> {
  let runs: T[][] = [];
  for (let start = 0; start < items.length; start += atOnce) {
    runs.push(items.slice(start, start + atOnce).toSorted(order));
    await othersTurn();
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let index = 0; index < runs.length; index += 2) {
      merged.push(await merge(runs[index]!, runs[index + 1] ?? [], order));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<T>(one: readonly T[], other: readonly T[], order: (one: T, other: T) => number): Promise<T[]> {
  const merged: T[] = [];
  let [left, right] = [0, 0];
  while (left < one.length || right < other.length) {
    const takeLeft = right === other.length || (left < one.length && order(one[left]!, other[right]!) <= 0);
    merged.push(takeLeft ? one[left++]! : other[right++]!);
    if (merged.length % (4 * atOnce) === 0) await othersTurn();
  }
  return merged;
}

async function othersTurn(): Promise<void> {
  await new Promise(setImmediate);
}

import { issuerOf, isOfSubject, subjectOf } from './holder.ts';
import type { LeaseState } from './lease.ts';
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

export interface LeaseSearch {
  /** Undefined: any. */
  readonly state?: ShownState | undefined;
  readonly grant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly issuer?: string | undefined;
  /** As the issuer says it, whole or up to one of its colons; the rule of `GET /leases`. */
  readonly subject?: string | undefined;
  /** Stands somewhere in the id, the subject or the account, in small letters or capitals. */
  readonly text?: string | undefined;
  readonly order: LeaseOrder;
  readonly descending: boolean;
  /** From 1 on. */
  readonly page: number;
  readonly pageSize: number;
}

export interface LeaseSearchPage {
  readonly rows: readonly LeaseRow[];
  /** How many there are on all pages. */
  readonly found: number;
  /** The last one if the one that was asked for is beyond it. */
  readonly page: number;
  readonly pages: number;
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
): Promise<LeaseSearchPage> {
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
  const pages = Math.max(1, Math.ceil(sorted.length / search.pageSize));
  const page = Math.min(Math.max(1, search.page), pages);
  const first = (page - 1) * search.pageSize;
  return {
    rows: sorted.slice(first, first + search.pageSize).map(({ row }) => row),
    found: sorted.length,
    page,
    pages,
  };
}

function compileSearch(
  { state, grant, cluster, issuer, subject, text }: LeaseSearch,
  now: number,
): (row: LeaseRow) => boolean {
  const wanted = text?.trim().toLowerCase() ?? '';
  // Holders and accounts repeat: each is looked at once.
  const isHolder = remembered(
    (holder: string) =>
      (issuer === undefined || issuerOf(holder) === issuer) && (subject === undefined || isOfSubject(holder, subject)),
  );
  const has = remembered((part: string) => part.toLowerCase().includes(wanted));
  return (row) =>
    (state === undefined || stateOf(row, now) === state) &&
    (grant === undefined || row.grant === grant) &&
    (cluster === undefined || row.cluster === cluster) &&
    isHolder(row.holder) &&
    (wanted === '' || row.name.includes(wanted) || has(row.holder) || has(row.account));
}

function remembered(test: (text: string) => boolean): (text: string) => boolean {
  const known = new Map<string, boolean>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const result = test(text);
    known.set(text, result);
    return result;
  };
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

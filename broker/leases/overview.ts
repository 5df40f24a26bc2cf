import { setTimeout as sleep } from 'node:timers/promises';
import { clean } from '../../shared/text.ts';
import type { Lease } from './lease.ts';
import type { LeaseStore } from './store.ts';

/** What is kept of a lease while somebody looks: texts that repeat are kept once. Times in ms. */
export interface LeaseRow extends Pick<Lease, 'name' | 'grant' | 'cluster' | 'holder' | 'acquiredAt' | 'endsAt'> {
  state: Lease['state'];
  why: Lease['why'];
  /** namespace/name */
  readonly account: string;
  readonly revocable: boolean;
}

/** All leases as they were at one moment, or as many of them as were read until now. */
export interface LookedAt {
  readonly rows: readonly LeaseRow[];
  /** When the reading began, ms: a list is of that moment. */
  readonly at: number;
  /** It was read to its end. */
  readonly whole: boolean;
  /** There are more than are kept. */
  readonly cut: boolean;
  /** Why it was not read to its end; for operators. */
  readonly fault: string | undefined;
  /** How many were read so far by a reading that goes on, of this list or of the one that will follow it. */
  readonly underWay: number | undefined;
}

/**
 * An index of the leases for people to look through. It reads them in the background when somebody looks, a page at a time,
 * and forgets them when nobody does. Nothing is decided by it.
 */
export interface Overview {
  /** Waits so many milliseconds at most for a reading to end. */
  look(patience: number): Promise<LookedAt>;
  /** A lease that this replica changed: what was read before is not to hide it. */
  note(lease: Pick<Lease, 'name' | 'state' | 'why'>): void;
  /** Forgets all of it, and reads no further. */
  forget(): void;
}

export interface OverviewOptions {
  readonly now: () => number;
  /** Milliseconds from one reading to the next, at least; 2 s if not given. */
  readonly freshFor?: number;
  /** Milliseconds after the last look; a minute if not given. */
  readonly keepFor?: number;
  /** As many as are kept at most: each takes some 300 bytes. */
  readonly most?: number;
}

const pageSize = 500;
/** A list of all leases is the dearest thing that a broker asks for: it takes a tenth of the time at most. */
const restFor = 10;
/** Milliseconds. */
const longestRest = 120_000;
const restAfterFault = 3_000;

interface Reading {
  readonly rows: LeaseRow[];
  readonly at: number;
  /** Since it began, by this replica. */
  readonly changed: Map<string, Pick<LeaseRow, 'state' | 'why'>>;
  /** Its rows say what was changed. */
  upToDate: boolean;
  ended: boolean;
  cut: boolean;
  fault: string | undefined;
}

export function createOverview(
  store: Pick<LeaseStore, 'list'>,
  { now, freshFor = 2_000, keepFor = 60_000, most = 200_000 }: OverviewOptions,
): Overview {
  let shown: Reading | undefined;
  let next: { readonly reading: Reading; readonly done: Promise<void> } | undefined;
  let beganAt = Number.NEGATIVE_INFINITY;
  /** How long the last reading took. */
  let took = 0;
  let forgetting: NodeJS.Timeout | undefined;

  function begin(): void {
    beganAt = now();
    const reading: Reading = {
      rows: [],
      at: beganAt,
      changed: new Map(),
      upToDate: true,
      ended: false,
      cut: false,
      fault: undefined,
    };
    const done = read(reading).finally(() => {
      reading.ended = true;
      if (next?.reading !== reading) return;
      next = undefined;
      took = now() - beganAt;
      // What could be read to its end before says more than what could not.
      if (reading.fault === undefined || shown === undefined) shown = reading;
      else shown = { ...shown, fault: reading.fault };
    });
    next = { reading, done };
  }

  async function read(reading: Reading): Promise<void> {
    const texts = new Map<string, string>();
    const once = (text: string): string => {
      const known = texts.get(text);
      if (known === undefined) texts.set(text, text);
      return known ?? text;
    };
    try {
      let after: string | undefined;
      do {
        const page = await store.list({ limit: pageSize, continue: after });
        if (next?.reading !== reading) return;
        for (const lease of page.leases) {
          if (reading.rows.length === most) {
            reading.cut = true;
            return;
          }
          const row = rowOf(lease, once);
          const changed = reading.changed.get(lease.name);
          reading.rows.push(changed === undefined ? row : Object.assign(row, changed));
        }
        after = page.continue;
      } while (after !== undefined);
    } catch (error) {
      reading.fault = clean(error instanceof Error ? error.message : error, 400);
    }
  }

  function isFresh({ fault }: Reading): boolean {
    const age = now() - beganAt;
    const rest = Math.min(took * restFor, longestRest);
    // A clock that was set back makes nothing fresh.
    return age >= 0 && age < (fault === undefined ? Math.max(freshFor, rest) : restAfterFault);
  }

  function forget(): void {
    clearTimeout(forgetting);
    shown = undefined;
    next = undefined;
  }

  return {
    async look(patience) {
      clearTimeout(forgetting);
      forgetting = setTimeout(forget, keepFor).unref();
      if (next === undefined && (shown === undefined || !isFresh(shown))) begin();
      if (next !== undefined) await within(patience, next.done);
      const reading = shown ?? next!.reading;
      takeOver(reading);
      const { at, ended, cut, fault } = reading;
      // What is read meanwhile is another look's.
      const rows = ended ? reading.rows : reading.rows.slice();
      return { rows, at, whole: ended && !cut && fault === undefined, cut, fault, underWay: next?.reading.rows.length };
    },
    note({ name, state, why }) {
      for (const reading of [shown, next?.reading]) {
        if (reading === undefined) continue;
        reading.changed.set(name, { state, why });
        reading.upToDate = false;
      }
    },
    forget,
  };
}

/** The store, with whatever it changes noted. */
export function noteChanges(store: LeaseStore, overview: Overview): LeaseStore {
  return {
    ...store,
    async mark(...change) {
      const marked = await store.mark(...change);
      if (marked !== undefined) overview.note(marked);
      return marked;
    },
  };
}

function takeOver(reading: Reading): void {
  if (reading.upToDate) return;
  reading.upToDate = true;
  for (const row of reading.rows) Object.assign(row, reading.changed.get(row.name));
}

/** `once`: gives the same text for texts that are the same. */
export function rowOf(lease: Lease, once = (text: string) => text): LeaseRow {
  const { name, grant, cluster, state, account, holder, acquiredAt, endsAt, bound, why } = lease;
  return {
    name,
    grant: once(grant),
    cluster: once(cluster),
    state,
    account: once(`${account.namespace}/${account.name}`),
    holder: once(holder),
    acquiredAt,
    endsAt,
    revocable: bound !== 'none',
    why: why === undefined ? undefined : once(why),
  };
}

async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  const over = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
  await Promise.race([work, late]);
  over.abort();
}

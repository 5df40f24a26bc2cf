import { ClusterFault } from '../cluster/fault.ts';
import { inParallel } from '../../shared/parallel.ts';
import { issuerOf, isOfSubject } from './holder.ts';
import { grantPattern, type Lease } from './lease.ts';
import type { LeaseStore } from './store.ts';

/** Which leases are meant; all that is said must hold. */
export interface Wanted {
  readonly grant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly issuer?: string | undefined;
  /** As the issuer says it, whole or up to one of its colons; the rule of `GET /leases`. */
  readonly subject?: string | undefined;
}

type Judged = Pick<Lease, 'grant' | 'cluster' | 'holder'>;

/** For many leases: holders repeat, and each is looked at once. */
export function compileWanted({ grant, cluster, issuer, subject }: Wanted): (lease: Judged) => boolean {
  const isHolder = remembered(
    (holder) =>
      (issuer === undefined || issuerOf(holder) === issuer) && (subject === undefined || isOfSubject(holder, subject)),
  );
  return (lease) =>
    (grant === undefined || lease.grant === grant) &&
    (cluster === undefined || lease.cluster === cluster) &&
    isHolder(lease.holder);
}

export function remembered(test: (text: string) => boolean): (text: string) => boolean {
  const known = new Map<string, boolean>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const result = test(text);
    known.set(text, result);
    return result;
  };
}

export interface MatchingResult {
  /** For how many the work was done, well or not. */
  readonly tried: number;
  /** For how many it threw. */
  readonly failed: number;
  /** The first of those. */
  readonly fault: Error | undefined;
  /** How many are left, for want of time or since their cluster does not answer. */
  readonly left: number;
  /** All of them were counted. */
  readonly counted: boolean;
}

export interface MatchingBounds {
  /** Milliseconds after which nothing more is begun. */
  readonly budget: number;
  /** Milliseconds more, to count those that are left. */
  readonly counting: number;
}

const pageSize = 500;
const none: MatchingResult = { tried: 0, failed: 0, fault: undefined, left: 0, counted: true };
/** It must not take the API server from those who mint. */
const atOnce = 4;

/**
 * Does the work for each live lease that is wanted, as the store has them now, until the time is over. What fails keeps
 * nothing else from being done; a cluster that does not answer is not asked again. Throws `ClusterFault` where the first
 * page cannot be read.
 */
export async function eachMatching(
  store: Pick<LeaseStore, 'list' | 'now'>,
  wanted: Wanted,
  work: (lease: Lease) => Promise<void>,
  { budget, counting }: MatchingBounds,
): Promise<MatchingResult> {
  const { grant } = wanted;
  if (grant !== undefined && !grantPattern.test(grant)) return none;
  const isWanted = compileWanted(wanted);
  const began = performance.now();
  const isOver = (milliseconds: number) => performance.now() - began >= milliseconds;
  const tally = { tried: 0, failed: 0, fault: undefined as Error | undefined, left: 0 };
  const down = new Set<string>();
  const now = await store.now();
  let after: string | undefined;

  const attempt = async (lease: Lease): Promise<void> => {
    if (isOver(budget) || down.has(lease.cluster)) {
      tally.left += 1;
      return;
    }
    tally.tried += 1;
    try {
      await work(lease);
    } catch (error) {
      tally.failed += 1;
      tally.fault ??= error as Error;
      const { cause } = error as Error;
      for (const each of [error, cause]) {
        if (each instanceof ClusterFault && each.reason === 'unavailable') down.add(each.cluster);
      }
    }
  };

  for (let first = true; first || after !== undefined; first = false) {
    if (!first && isOver(budget + counting)) return { ...tally, counted: false };
    const page = await store
      .list({ limit: pageSize, continue: after, state: 'active', grant })
      .catch((error: unknown) => {
        if (first) throw error;
        tally.fault ??= error as Error;
        return undefined;
      });
    if (page === undefined) return { ...tally, counted: false };
    const live = page.leases.filter((lease) => isWanted(lease) && !(now !== undefined && lease.endsAt <= now));
    await inParallel(live, atOnce, attempt);
    after = page.continue;
  }
  return { ...tally, counted: true };
}

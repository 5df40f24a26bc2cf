import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../cluster/clusters.ts';
import { ClusterFault } from '../cluster/fault.ts';
import { agreedTime } from '../../shared/kube/time.ts';
import { inParallel } from '../../shared/parallel.ts';
import { removeBound } from './bound-objects.ts';
import { type Lease, placementOf } from './lease.ts';
import type { LeaseServices } from './lifecycle.ts';
import { finishLease } from './revocation.ts';
import type { LeaseQuery } from './store.ts';

export interface SweepResult {
  /** Leases that went, with all that belonged to them. */
  readonly removed: number;
  /** Revocations and withdrawals that were carried to their end. */
  readonly finished: number;
  /** Leases that went although their cluster is in no configuration any more: what they named there is left. */
  readonly abandoned: number;
  /** Leases that could not be dealt with; they are tried again. */
  readonly failed: number;
  /** There is more than one round does. */
  readonly more: boolean;
  /** The first fault, for the log. */
  readonly fault: Error | undefined;
}

export interface SweepOptions {
  readonly pageSize?: number;
  /** Pages that one round reads, of each kind. */
  readonly pages?: number;
  readonly signal?: AbortSignal;
}

/** Minutes that a lease waits for its cluster to come back into the configuration. */
const abandonAfter = 24 * 60;
/** Deletes at a time: sweeping must not take the API server from those who mint. */
const parallel = 4;

/**
 * Removes what has ended and finishes what a broker left half done. Any replica may do it at any time, together with
 * others: nothing is removed before every mint and token that it belonged to has certainly ended, by the time of the API
 * servers, and never what somebody changed meanwhile. Where a time is not certain, nothing is removed. Throws
 * `ClusterFault` only when the leases themselves cannot be read.
 */
export async function sweep(services: LeaseServices, options: SweepOptions = {}): Promise<SweepResult> {
  const tally = { removed: 0, finished: 0, abandoned: 0, failed: 0, fault: undefined as Error | undefined };
  const down = new Set<string>();

  /** True if the lease was dealt with. */
  async function attempt(lease: Lease, work: () => Promise<void>): Promise<boolean> {
    try {
      // A cluster that does not answer is asked once in a round, not once for each of its leases.
      if (down.has(lease.cluster)) throw new Error(`The cluster ${lease.cluster} does not answer.`);
      await work();
      return true;
    } catch (error) {
      tally.failed += 1;
      tally.fault ??= error as Error;
      if (error instanceof ClusterFault && error.reason === 'unavailable') down.add(error.cluster);
      return false;
    }
  }

  const finish = (lease: Lease) =>
    attempt(lease, async () => {
      if (services.clusters.get(lease.cluster) === undefined) return;
      await finishLease(services, lease);
      tally.finished += 1;
    });

  const agreed = new Map<Cluster, Promise<boolean>>();
  /** Its tokens end by its own clock. Asked once in a round. */
  function agrees(cluster: Cluster): Promise<boolean> {
    const known = agreed.get(cluster) ?? agreedTime(cluster.kube).then((time) => time !== undefined);
    agreed.set(cluster, known);
    return known;
  }

  const remove = (minute: number) => (lease: Lease) =>
    attempt(lease, async () => {
      const placements = [...lease.earlier, placementOf(lease)].filter(({ bound }) => bound !== 'none');
      const clusters = placements.map(({ cluster }) => services.clusters.get(cluster));
      if (clusters.includes(undefined) && lease.until + abandonAfter > minute) return;
      for (const cluster of clusters) {
        if (cluster !== undefined && !(await agrees(cluster))) {
          throw new Error(`The time of the cluster ${cluster.name} is not certain.`);
        }
      }
      if (lease.bound !== 'none' && services.clusters.get(lease.cluster) === undefined) tally.abandoned += 1;
      else await removeBound(services.clusters, lease);
      if (await services.store.remove(lease)) tally.removed += 1;
    });

  // The API server looks at every lease for each question, so there are no more than two.
  const pending = [await eachLease(services, { unfinished: true }, options, finish)];
  const now = await services.store.now();
  if (now === undefined) {
    tally.fault ??= new Error('What the time is is not certain: the clocks of this broker and the cluster differ.');
  } else {
    const minute = Math.floor(now / 60_000);
    pending.push(await eachLease(services, { dueBy: minute }, options, remove(minute)));
  }
  return { ...tally, more: pending.includes(true) };
}

/** True if there are more than it may read. */
async function eachLease(
  { store }: LeaseServices,
  query: Omit<LeaseQuery, 'limit' | 'continue'>,
  { pageSize = 200, pages = 10, signal }: SweepOptions,
  work: (lease: Lease) => Promise<boolean>,
): Promise<boolean> {
  let next: string | undefined;
  const most = pages * pageSize;
  // Leases that could not be dealt with (their cluster is down) must not keep those behind them waiting. What is none of
  // ours does not count: pages of large ones hold few.
  for (let busy = 0, idle = 0; busy < most && idle < most * 10;) {
    const found = await store.list({ ...query, limit: pageSize, continue: next }).catch((error: unknown) => {
      // Started over in the next round; what was removed is not met again.
      if (next !== undefined && error instanceof ClusterFault && error.reason === 'expired') return undefined;
      throw error;
    });
    if (found === undefined) return true;
    let done = 0;
    await inParallel(found.leases, parallel, async (lease) => {
      if (signal?.aborted !== true && (await work(lease))) done += 1;
    });
    if (done === 0) idle += found.leases.length;
    else busy += found.leases.length;
    next = found.continue;
    if (next === undefined || signal?.aborted === true) return false;
  }
  return true;
}

export interface SweeperOptions extends SweepOptions {
  /** Milliseconds from the end of one round to the next, on average; a minute if not given. */
  readonly interval?: number;
  /** Told after each round: what was done, or what is wrong. */
  readonly onRound?: (result: SweepResult | Error) => void;
}

/** Sweeps now and then until it is stopped. Any number of replicas may do so at once. */
export function startSweeper(services: LeaseServices, options: SweeperOptions = {}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const interval = options.interval ?? 60_000;
  const running = (async () => {
    for (;;) {
      // Replicas that started together must not go on sweeping together.
      const wait = interval * (0.5 + Math.random());
      await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      let more = true;
      while (more && !signal.aborted) {
        const result = await sweep(services, { ...options, signal }).catch((error: unknown) => error as Error);
        options.onRound?.(result);
        more = !(result instanceof Error) && result.more && result.removed + result.finished > 0;
      }
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

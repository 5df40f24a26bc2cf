import type { Lease, LeaseRequest, LeaseState } from './lease.ts';

export type Acquired =
  | { readonly kind: 'new'; readonly lease: Lease }
  /** `previous` is what the lease was before: what its token depends on has to go before another is minted. */
  | { readonly kind: 'retry'; readonly lease: Lease; readonly previous: Lease }
  /** `lease` is undefined where something else has its name. */
  | { readonly kind: 'replayed'; readonly lease: Lease | undefined };

export interface LeaseQuery {
  /** As many at a time; a page may hold fewer and not be the last. */
  readonly limit: number;
  /** From the page before. */
  readonly continue?: string | undefined;
  readonly grant?: string | undefined;
  readonly state?: LeaseState | undefined;
  /** Those that wait for their end: `revoking` and `withdrawing`. */
  readonly unfinished?: boolean | undefined;
  /** Those that may be removed from this minute on (since the epoch). */
  readonly dueBy?: number | undefined;
}

export interface LeasePage {
  readonly leases: readonly Lease[];
  /** Undefined on the last page. */
  readonly continue: string | undefined;
}

/**
 * Where leases are kept; any number of brokers may share one. Every method throws `ClusterFault` when the store cannot
 * be asked; `retryable` then, and `ambiguous` where it may have been done all the same.
 */
export interface LeaseStore {
  /** Atomic: of any number of requests for one name, one gets `new` until the lease is free. This is the replay check. */
  acquire(request: LeaseRequest): Promise<Acquired>;
  /**
   * Puts the lease into that state if nobody changed it since it was read; undefined if somebody did, or if it is gone.
   * `why` is one line.
   */
  mark(lease: Lease, state: LeaseState, why?: string): Promise<Lease | undefined>;
  get(name: string): Promise<Lease | undefined>;
  list(query: LeaseQuery): Promise<LeasePage>;
  /** If nobody changed it since it was read; false if somebody did. True if it is gone already. */
  remove(lease: Lease): Promise<boolean>;
  /**
   * The time by which leases are kept, one for all replicas: the API server's. Undefined where it is not certain, since
   * nobody can be asked or clocks differ: then nothing counts as ended. Never throws.
   */
  now(): Promise<number | undefined>;
  /** Whether it can be asked; throws what is wrong. */
  check(): Promise<void>;
}

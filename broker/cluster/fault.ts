import { KleisError } from '../../shared/errors.ts';
import { KubeError } from '../../shared/kube/error.ts';

/**
 * What went wrong with a cluster, as far as callers must tell it apart:
 * `unavailable` (no answer, or none to go by), `forbidden` (RBAC), `policy` (admission), `account_missing`,
 * `account_changed` (deleted and made anew since the broker knew it), `bound_missing` (the kill switch that the token
 * was to be bound to was pulled), `superseded` (the same lease was taken up by a retry, or revoked, while this request
 * was under way), `expired` (a list was continued too late: start over),
 * `invalid` (an answer or request that makes no sense).
 */
export type ClusterFaultReason =
  | 'unavailable'
  | 'forbidden'
  | 'policy'
  | 'account_missing'
  | 'account_changed'
  | 'bound_missing'
  | 'superseded'
  | 'expired'
  | 'invalid';

export interface ClusterFaultDetails {
  /** It may have been carried out, or be carried out yet. */
  readonly ambiguous: boolean;
  readonly retryable: boolean;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  readonly cause?: unknown;
}

/** A call to a cluster that failed. The message names objects of the cluster: for the log and the audit alone. */
export class ClusterFault extends Error {
  override readonly name = 'ClusterFault';
  readonly cluster: string;
  readonly reason: ClusterFaultReason;
  readonly ambiguous: boolean;
  readonly retryable: boolean;
  readonly retryAfter: number | undefined;

  constructor(cluster: string, reason: ClusterFaultReason, message: string, details: ClusterFaultDetails) {
    super(message, { cause: details.cause });
    this.cluster = cluster;
    this.reason = reason;
    this.ambiguous = details.ambiguous;
    this.retryable = details.retryable;
    this.retryAfter = details.retryAfter;
  }
}

/** For the one place of each worker where errors of the API server leave it; keeps the cause. */
export function clusterFault(cluster: string, error: unknown): unknown {
  // The operator's files say nothing that a connection could be made with: nothing was asked.
  if (error instanceof KleisError) {
    return new ClusterFault(cluster, 'unavailable', error.message, {
      ambiguous: false,
      retryable: false,
      cause: error,
    });
  }
  if (!(error instanceof KubeError)) return error;
  return new ClusterFault(cluster, reasonOf(error), error.message, {
    ambiguous: error.ambiguous,
    retryable: error.retryable,
    retryAfter: error.retryAfter,
    cause: error,
  });
}

function reasonOf({ status, reason, message }: KubeError): ClusterFaultReason {
  if (status === undefined || status === 401 || status === 429 || status >= 500) return 'unavailable';
  if (isPolicy(message)) return 'policy';
  if (status === 403) return 'forbidden';
  if (status === 410) return 'expired';
  if (status === 409 && reason === 'AlreadyExists') return 'superseded';
  return 'invalid';
}

/** A ValidatingAdmissionPolicy says its name, whatever status it refuses with. */
export function isPolicy(message: string): boolean {
  return message.includes('ValidatingAdmissionPolicy');
}

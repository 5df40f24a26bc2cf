import { KleisError, statusOf } from '../../shared/errors.ts';
import { ClusterFault } from '../cluster/fault.ts';

/** Whatever a route ends with, in words for its caller; those of a cluster go to the log and the audit alone. */
export function translate(thrown: unknown): KleisError {
  if (thrown instanceof KleisError) return thrown.status === ownFault ? unforeseen(thrown) : thrown;
  if (thrown instanceof ClusterFault) return ofCluster(thrown);
  // Of express's own: paths that cannot be decoded.
  if (isHttpError(thrown)) return new KleisError('request_malformed', 'The request cannot be read.');
  return unforeseen(thrown);
}

/** Of every code that the table of errors has no answer for: those are for operators and people at a terminal. */
const ownFault = statusOf('unexpected').status;

/** Whatever it says is said inside. */
function unforeseen(cause: unknown): KleisError {
  return new KleisError('unexpected', 'Something happened that the broker did not foresee.', {
    hint: 'Tell the administrator of the broker, with the id of the request.',
    ...(cause instanceof KleisError && { detail: `${cause.code}: ${cause.message}` }),
    cause,
  });
}

function ofCluster(fault: ClusterFault): KleisError {
  const { cluster, message, reason, retryable, ambiguous, retryAfter = 2 } = fault;
  const details = { detail: `cluster ${cluster}, ${reason}: ${message}`, cause: fault };
  return retryable || ambiguous || reason === 'unavailable' || reason === 'superseded'
    ? new KleisError('cluster_unavailable', 'The cluster did not do it at the moment.', { ...details, retryAfter })
    : new KleisError('cluster_refused', 'The cluster refuses what the grant needs.', details);
}

function isHttpError(error: unknown): boolean {
  return error instanceof Error && typeof (error as { status?: unknown }).status === 'number';
}

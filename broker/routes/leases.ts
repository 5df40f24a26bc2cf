import { KleisError } from '../../shared/errors.ts';
import type { LeasesResponse, LeaseView, RevokeResponse } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { ClusterFault } from '../cluster/fault.ts';
import { type Answer, json, refusal } from '../http/answer.ts';
import { leasePath, leasesQuery } from '../contract/requests.ts';
import { signedInAdmin } from '../http/caller.ts';
import { parseParameters } from '../http/form.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { isOfSubject } from '../leases/holder.ts';
import type { Lease } from '../leases/lease.ts';
import { type Revocation, revokeLease } from '../leases/revocation.ts';
import type { Services } from '../service/services.ts';

/**
 * `GET /leases`: a page of them, for admins. A subject is looked for in one page of the store at a time, so that no
 * question costs more than another: such a page may hold none and not be the last.
 */
export async function listLeases(call: Call, services: Services, trail: Trail): Promise<Answer> {
  await signedInAdmin(call, services, trail.addSubject);
  const { limit, grant, state, subject, continue: after } = parseParameters(leasesQuery, call.query);
  if (grant !== undefined) trail.add({ grant: clean(grant, 80) });
  if (subject !== undefined) trail.add({ detail: `of the subject ${clean(subject)}` });
  const page = await services.leases.store.list({ limit, grant, state, continue: after }).catch((error: unknown) => {
    if (after === undefined || !(error instanceof ClusterFault) || error.reason === 'unavailable') throw error;
    throw new KleisError('request_malformed', 'The list has changed too much: begin anew, without continue.', {
      detail: error.message,
    });
  });
  const response: LeasesResponse = {
    leases: page.leases
      .filter((lease) => subject === undefined || isOfSubject(lease.holder, subject))
      .map(describeLease),
    ...(page.continue !== undefined && { continue: page.continue }),
  };
  return json(response);
}

/** `DELETE /leases/{id}`, for admins. */
export async function endLease(call: Call, services: Services, trail: Trail): Promise<Answer> {
  await signedInAdmin(call, services, trail.addSubject);
  const { id } = parseParameters(leasePath, call.path);
  const { outcome, deadWithin } = await revokeForAdmin(id, services, trail);
  if (outcome === 'not_revocable') {
    // Closed all the same: its subject token opens nothing any more.
    const error = new KleisError('token_type_unsupported', `Its token lives for ${deadWithin} more seconds.`);
    return refusal(error, call.requestId);
  }
  const revoked = outcome !== 'expired';
  const response: RevokeResponse = {
    revoked,
    dead_within: deadWithin,
    ...(!revoked && { reason: 'expired' as const }),
    lease: id,
  };
  return json(response);
}

/** Ends the lease, as whoever `trail` tells of. Throws `lease_unknown`, and `ClusterFault` when its token may live. */
export async function revokeForAdmin(id: string, { leases }: Services, trail: Trail): Promise<Revocation> {
  trail.add({ lease: clean(id, 80) });
  const revocation = await revokeLease(leases, id, 'revoked by an admin');
  const { outcome, lease } = revocation;
  trail.add({ grant: lease?.grant, cluster: lease?.cluster });
  if (outcome === 'unknown') throw new KleisError('lease_unknown', 'There is no such lease.');
  trail.conclude('done', outcome);
  return revocation;
}

function describeLease(lease: Lease): LeaseView {
  const { name, grant, cluster, state, account, holder, acquiredAt, endsAt, bound, why } = lease;
  return {
    id: name,
    grant,
    cluster,
    state,
    account: `${account.namespace}/${account.name}`,
    holder,
    created: new Date(acquiredAt).toISOString(),
    expires: new Date(endsAt).toISOString(),
    revocable: bound !== 'none',
    ...(why !== undefined && { why }),
  };
}

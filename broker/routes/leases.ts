import { KleisError } from '../../shared/errors.ts';
import type { LeasesResponse, LeaseView, RevokeResponse } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { readBearer } from '../http/caller.ts';
import { isAdmin } from '../policy/admins.ts';
import { translate } from './exchange.ts';
import { ClusterFault } from '../cluster/fault.ts';
import { countSubject } from '../http/limits.ts';
import type { RequestContext } from '../http/request.ts';
import type { Services } from '../service/services.ts';
import type { Lease } from '../leases/lease.ts';
import { revokeLease } from '../leases/lifecycle.ts';
import type { Subject } from '../issuers/issuers.ts';
import { openTrail } from '../http/trail.ts';

/** Who sent the bearer token; undefined without one. Throws `bearer_missing`, `bearer_invalid`, `issuer_unavailable`, `rate_limited`. */
export async function signedIn(authorization: string | undefined, services: Services): Promise<Subject | undefined> {
  const token = readBearer(authorization);
  if (token === undefined) return undefined;
  const { issuers, counters, loaded, clock } = services;
  const subject = await issuers.verify(token.reveal()).catch((error: unknown) => {
    if (!(error instanceof KleisError) || error.status >= 500) throw error;
    const { message, hint, detail } = error;
    throw new KleisError('bearer_invalid', message, { hint, detail: `${error.code}: ${detail ?? ''}`, cause: error });
  });
  // Whether any grant is for them is not known yet, and dear to find out.
  const stranger = !isAdmin(subject, loaded.config.admins);
  countSubject(counters, subject, stranger, loaded.config.limits, clock.now());
  return subject;
}

/** Throws also `admin_only`. */
export async function signedInAdmin(authorization: string | undefined, services: Services): Promise<Subject> {
  const subject = await signedIn(authorization, services);
  if (subject === undefined) throw new KleisError('bearer_missing', 'This is for admins, who sign in.');
  if (!isAdmin(subject, services.loaded.config.admins)) {
    throw new KleisError('admin_only', 'This is for admins of the broker.', { detail: `issuer ${subject.issuer}` });
  }
  return subject;
}

interface AdminCall {
  readonly context: RequestContext;
  readonly authorization: string | undefined;
}

/** `GET /leases`: a page of them. */
export async function listLeases(
  { context, authorization, query }: AdminCall & { readonly query: Readonly<Record<string, unknown>> },
  services: Services,
): Promise<LeasesResponse> {
  const trail = openTrail('leases', context, services.audit, services.loaded.hash);
  try {
    trail.addSubject(await signedInAdmin(authorization, services));
    const { limit, grant, continue: after } = readQuery(query);
    if (grant !== undefined) trail.add({ grant: clean(grant, 80) });
    const page = await services.leases.store.list({ limit, grant, continue: after }).catch((error: unknown) => {
      if (after === undefined || !(error instanceof ClusterFault) || error.reason === 'unavailable') throw error;
      throw new KleisError('request_malformed', 'The list has changed too much: begin anew, without continue.', {
        detail: error.message,
      });
    });
    await trail.end('allowed');
    return {
      leases: page.leases.map(describeLease),
      ...(page.continue !== undefined && { continue: page.continue }),
    };
  } catch (thrown) {
    const error = translate(thrown);
    await trail.fail(error);
    throw error;
  }
}

/** `DELETE /leases/{id}`. */
export async function endLease(
  { context, authorization, id }: AdminCall & { readonly id: string },
  services: Services,
): Promise<RevokeResponse> {
  const trail = openTrail('revoke', context, services.audit, services.loaded.hash);
  try {
    trail.addSubject(await signedInAdmin(authorization, services));
    trail.add({ lease: clean(id, 80) });
    const { outcome, deadWithin, lease } = await revokeLease(services.leases, id, 'revoked by an admin');
    trail.add({ grant: lease?.grant, cluster: lease?.cluster });
    if (outcome === 'unknown') throw new KleisError('lease_unknown', 'There is no such lease.');
    await trail.end('done', { reason: outcome });
    services.telemetry.revoked(outcome);
    if (outcome === 'not_revocable') {
      // Closed all the same: its subject token opens nothing any more.
      throw new KleisError('token_type_unsupported', `Its token lives for ${deadWithin} more seconds.`);
    }
    const revoked = outcome !== 'expired';
    return { revoked, dead_within: deadWithin, ...(!revoked && { reason: 'expired' as const }), lease: id };
  } catch (thrown) {
    const error = translate(thrown);
    await trail.fail(error);
    throw error;
  }
}

const pageSize = { usual: 100, max: 500 };

function readQuery(query: Readonly<Record<string, unknown>>): {
  readonly limit: number;
  readonly grant: string | undefined;
  readonly continue: string | undefined;
} {
  const text = (name: string): string | undefined => {
    const value = query[name];
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string' && value.length <= 2048) return value;
    throw new KleisError('request_malformed', `The parameter ${name} cannot be used.`);
  };
  const limit = Number(text('limit') ?? pageSize.usual);
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > pageSize.max) {
    throw new KleisError('request_malformed', `limit is a number from 1 to ${pageSize.max}.`);
  }
  const grant = text('grant');
  // It becomes part of a label selector.
  if (grant !== undefined && !/^[a-z0-9][-a-z0-9.]{0,62}$/.test(grant)) {
    throw new KleisError('request_malformed', 'grant is the name of a grant.');
  }
  return { limit, grant, continue: text('continue') };
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

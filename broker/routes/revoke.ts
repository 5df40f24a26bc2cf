import { KleisError } from '../../shared/errors.ts';
import { decodeUnverified, JwtFault, tokenHash, type UnverifiedJwt } from '../../shared/jwt.ts';
import type { RevokeResponse } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { signersOf } from '../cluster/signers.ts';
import { type Answer, json } from '../http/answer.ts';
import { parseRevocation } from '../http/form.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { leaseOfBound } from '../leases/lease.ts';
import { type Revocation, revokeToken } from '../leases/revocation.ts';
import { mayBeOf, readBinding } from '../leases/token-binding.ts';
import type { Services } from '../service/services.ts';

/**
 * `POST /revoke`, RFC 7009, for tokens that this broker minted; who has one may end it. Throws what `translate` knows;
 * `token_type_unsupported` for a token that nothing but its expiry ends.
 */
export async function revoke(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const token = parseRevocation(await call.form()).reveal();
  trail.add({ subjectSha256: tokenHash(token) });
  const response = await revokePresented(token, services, trail);
  trail.conclude('done', response.reason ?? 'revoked');
  return json(response);
}

async function revokePresented(token: string, services: Services, trail: Trail): Promise<RevokeResponse> {
  const { leases, loaded, clock } = services;
  const unknown: RevokeResponse = { revoked: false, reason: 'unknown' };
  const jwt = read(token);
  if (jwt === undefined) return unknown;
  const bound = readBinding(jwt.claims);
  const candidates = leases.clusters.all().filter((cluster) => mayBeOf(cluster, bound.namespace, loaded.config.grants));
  const own = await signersOf(jwt, candidates, () => clock.now());
  if (own.length === 0) return unknown;

  const { jti, exp } = jwt.claims;
  const account = bound.account && clean(`${bound.namespace}/${bound.account}`);
  trail.add({ jti: typeof jti === 'string' ? clean(jti, 128) : undefined, account });
  const expiresAt = typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY;
  // By the clock of whoever takes it; while that is not known, it has not ended.
  if (own.every(({ kube }) => expiresAt <= (kube.time() ?? 0)))
    return { revoked: false, reason: 'expired', dead_within: 0 };
  const found = bound.object === undefined ? undefined : leaseOfBound(bound.object.name);
  if (found === undefined) throw notRevocable(expiresAt);

  const signers = own.map(({ name }) => name);
  const revocation = await revokeToken(leases, { ...found, binding: bound }, signers);
  const { lease } = revocation;
  trail.add({ lease: lease?.name, grant: lease?.grant, cluster: lease?.cluster });
  return describe(revocation, expiresAt);
}

function describe({ outcome, deadWithin, lease }: Revocation, expiresAt: number): RevokeResponse {
  const id = lease === undefined ? {} : { lease: lease.name };
  switch (outcome) {
    case 'revoked':
    case 'already':
      return { revoked: true, dead_within: deadWithin, ...id };
    case 'expired':
      return { revoked: false, reason: 'expired', dead_within: 0, ...id };
    case 'unknown':
      return { revoked: false, reason: 'unknown' };
    case 'not_revocable':
      throw notRevocable(expiresAt);
  }
}

function notRevocable(expiresAt: number): KleisError {
  const when = Number.isFinite(expiresAt) ? ` It ends at ${new Date(expiresAt).toISOString()}.` : '';
  return new KleisError('token_type_unsupported', `The grant of this token is not revocable.${when}`);
}

function read(token: string): UnverifiedJwt | undefined {
  try {
    return decodeUnverified(token);
  } catch (error) {
    // RFC 7009 section 2.2: what is no token is no error either, since there is nothing to be done.
    if (error instanceof JwtFault) return undefined;
    throw error;
  }
}

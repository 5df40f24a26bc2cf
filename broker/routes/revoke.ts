import { isObject } from '../../shared/json.ts';
import { KleisError } from '../../shared/errors.ts';
import { decodeUnverified, JwtFault, tokenHash, type JsonObject, type UnverifiedJwt } from '../../shared/jwt.ts';
import type { RevokeResponse } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import type { Cluster } from '../cluster/clusters.ts';
import type { BrokerConfig } from '../config/schema.ts';
import { translate } from './exchange.ts';
import { parseForm } from '../http/form.ts';
import type { RequestContext } from '../http/request.ts';
import type { Services } from '../service/services.ts';
import { leaseOfBound } from '../leases/lease.ts';
import { type Revocation, revokeLease, revokeTurn } from '../leases/lifecycle.ts';
import { createKeySource, type KeySource } from '../issuers/key-source.ts';
import { parseKeySet, verifySignature } from '../issuers/keys.ts';
import { openTrail, type Trail } from '../http/trail.ts';

export interface RevokeCall {
  readonly context: RequestContext;
  readonly body: () => Promise<unknown>;
}

/**
 * `POST /revoke`, RFC 7009, for tokens that this broker minted; who has one may end it. Throws `KleisError`;
 * `token_type_unsupported` for a token that nothing but its expiry ends.
 */
export async function revoke({ context, body }: RevokeCall, services: Services): Promise<RevokeResponse> {
  const trail = openTrail('revoke', context, services.audit, services.loaded.hash);
  try {
    const token = parseForm(await body()).get('token');
    if (token === undefined) throw new KleisError('request_malformed', 'The form has no token.');
    trail.add({ subjectSha256: tokenHash(token) });
    const response = await revokeToken(token, services, trail);
    await trail.end('done', { reason: response.reason ?? 'revoked' });
    services.telemetry.revoked(response.reason ?? 'revoked');
    return response;
  } catch (thrown) {
    const error = translate(thrown);
    services.telemetry.revoked(error.code);
    await trail.fail(error);
    throw error;
  }
}

async function revokeToken(token: string, services: Services, trail: Trail): Promise<RevokeResponse> {
  const { leases, loaded, clock } = services;
  const unknown: RevokeResponse = { revoked: false, reason: 'unknown' };
  const jwt = read(token);
  if (jwt === undefined) return unknown;
  const bound = boundTo(jwt.claims);
  const candidates = leases.clusters.all().filter((cluster) => mayBeOf(cluster, bound.namespace, loaded.config));
  const own = await whoseToken(jwt, candidates, () => clock.now());
  if (own.length === 0) return unknown;

  const { jti, exp } = jwt.claims;
  trail.add({ jti: typeof jti === 'string' ? clean(jti, 128) : undefined, account: bound.account });
  const expiresAt = typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY;
  if (expiresAt <= clock.now()) return { revoked: false, reason: 'expired', dead_within: 0 };
  const found = bound.object === undefined ? undefined : leaseOfBound(bound.object.name);
  if (found === undefined) throw notRevocable(expiresAt);

  const lease = await leases.store.get(found.name);
  if (lease === undefined || !own.some(({ name }) => name === lease.cluster)) return unknown;
  trail.add({ lease: lease.name, grant: lease.grant, cluster: lease.cluster });
  const uid = bound.object?.uid;
  // Of an earlier attempt of the same request: that the token went when the request came again is not certain.
  if (found.turn < lease.turn) {
    return { revoked: true, dead_within: await revokeTurn(leases, lease, found.turn, uid), lease: lease.name };
  }
  const revocation = await revokeLease(leases, lease.name, 'revoked by its holder', { uid });
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

interface BoundTo {
  readonly namespace: string | undefined;
  readonly account: string | undefined;
  /** The Secret, or the account where there is none. */
  readonly object: { readonly name: string; readonly uid: string | undefined } | undefined;
}

function boundTo(claims: JsonObject): BoundTo {
  const kube = part(claims, 'kubernetes.io');
  const account = part(kube, 'serviceaccount');
  const secret = part(kube, 'secret');
  const object = typeof secret['name'] === 'string' ? secret : account;
  const { name, uid } = object;
  const namespace = typeof kube['namespace'] === 'string' ? kube['namespace'] : undefined;
  return {
    namespace,
    account: typeof account['name'] === 'string' ? clean(`${namespace}/${account['name']}`) : undefined,
    object: typeof name === 'string' ? { name, uid: typeof uid === 'string' ? uid : undefined } : undefined,
  };
}

function part(value: JsonObject, name: string): JsonObject {
  const found = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(found) ? found : {};
}

/** Tokens of other namespaces are none of ours, and no reason to ask a cluster for anything. */
function mayBeOf({ config }: Cluster, namespace: string | undefined, { grants }: BrokerConfig): boolean {
  if (namespace === undefined) return false;
  if (namespace === config.identityNamespace || namespace === config.ephemeralNamespace) return true;
  return Object.values(grants).some(
    ({ cluster, account }) => cluster === config.name && account.namespace === namespace,
  );
}

const keySources = new WeakMap<Cluster, KeySource>();

/**
 * The clusters whose keys signed it: several if they share them. Not by a TokenReview: the API server would then remember
 * for ten more seconds that the token is good.
 */
async function whoseToken(jwt: UnverifiedJwt, clusters: readonly Cluster[], now: () => number): Promise<Cluster[]> {
  const { alg, kid } = jwt.header;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return [];
  const own: Cluster[] = [];
  let unsure: KleisError | undefined;
  for (const cluster of clusters) {
    const source = keySources.get(cluster) ?? keysOf(cluster, now);
    keySources.set(cluster, source);
    try {
      const fits = (key: Parameters<typeof verifySignature>[0]) =>
        verifySignature(key, alg, jwt.signingInput, jwt.signature);
      await source.prove({ kid, algorithm: alg, fits });
      own.push(cluster);
    } catch (error) {
      if (!(error instanceof KleisError)) throw error;
      if (error.code === 'issuer_unavailable') unsure = error;
    }
  }
  if (own.length === 0 && unsure !== undefined) {
    throw new KleisError('cluster_unavailable', 'Whether the token is of one of the clusters cannot be told now.', {
      detail: unsure.detail ?? unsure.message,
      retryAfter: 30,
      cause: unsure,
    });
  }
  return own;
}

/** API servers say in Cache-Control how long their keys are good; they change when somebody restarts them. */
const keysMaxAge = 10 * 60_000;

function keysOf(cluster: Cluster, now: () => number): KeySource {
  const load = async () => {
    const { body } = await cluster.kube.request('GET', '/openid/v1/jwks', {
      // Answered in this type alone.
      headers: { accept: 'application/jwk-set+json, application/json' },
      timeout: 5000,
    });
    return { keys: parseKeySet(JSON.stringify(body)), maxAge: keysMaxAge };
  };
  return createKeySource({ name: cluster.name }, load, now);
}

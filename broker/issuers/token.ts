import { hash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import {
  decodeUnverified,
  JwtFault,
  type Claims,
  type JsonObject,
  type UnverifiedJwt,
  claimOf,
} from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';

/** The year 9999; what is later is no date but an attempt at something. */
const latestTime = 253_402_300_799;
// Forms of identity and access tokens. Others say what they are for, and it is not this (RFC 8725 section 3.11).
const types = new Set(['jwt', 'at+jwt']);

/** Throws `subject_malformed`. */
export function decode(token: string): UnverifiedJwt {
  try {
    return decodeUnverified(token);
  } catch (error) {
    if (error instanceof JwtFault) throw malformed(error.message);
    throw error;
  }
}

/** Of the header only `alg`, `kid` and `typ` are heard. `jwk`, `jku`, `x5c`, `x5u` would let a token vouch for itself. */
export function checkHeader(
  header: JsonObject,
  issuer: TrustedIssuer,
  algorithms: ReadonlySet<string>,
): { algorithm: string; kid: string | undefined } {
  const { alg, kid, typ } = header;
  // We understand no extension, so that any critical one is a reason to refuse (RFC 7515 section 4.1.11).
  for (const name of ['crit', 'b64', 'cty', 'enc', 'zip']) {
    if (Object.hasOwn(header, name)) throw malformed(`The token has a header, ${name}, that is not supported.`);
  }
  if (typ !== undefined) {
    const bare = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';
    if (!types.has(bare)) throw malformed('The token is of a type (typ) that proves no identity.');
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) {
    throw malformed('The token has a key id (kid) that cannot be one.');
  }
  if (typeof alg !== 'string' || !algorithms.has(alg)) {
    throw new KleisError('subject_algorithm', 'The token is signed with an algorithm that is not accepted.', {
      detail: `issuer ${issuer.name}, alg ${clean(JSON.stringify(alg))}`,
    });
  }
  return { algorithm: alg, kid };
}

/** A token for several is one that each of them could pass on to us (RFC 8725 section 3.9). */
export function checkAudience({ aud }: Claims, { audience, name }: TrustedIssuer): void {
  const listed: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const [only, ...others] = listed;
  if (others.length === 0 && only === audience) return;
  const seen = clean(JSON.stringify(aud ?? null));
  const why = others.length > 0 ? `is for several audiences, ${seen}` : `is for the audience ${seen}`;
  throw new KleisError('subject_audience', `The token ${why}; it must be for "${clean(audience)}" alone.`, {
    detail: `issuer ${name}, aud ${seen}`,
  });
}

/** RFC 7519 sections 4.1.4 to 4.1.6. Returns when it expires, in milliseconds. */
export function checkTimes(claims: Claims, { leeway, maxAge, name }: TrustedIssuer, now: number): number {
  const expires = timeOf(claims, 'exp');
  const issued = timeOf(claims, 'iat');
  if (expires === undefined) throw malformed('The token never expires (it has no exp).');
  if (issued === undefined) throw malformed('The token does not say when it was issued (iat).');
  if (expires <= issued) throw malformed('The token expires before it was issued.');
  const seen = `issuer ${name}, iat ${issued}, exp ${expires}, now ${now}`;
  if (now >= expires + leeway) {
    throw new KleisError('subject_expired', `The token expired ${ago(now - expires)} ago.`, { detail: seen });
  }
  const begins = Math.max(issued, timeOf(claims, 'nbf') ?? 0);
  if (begins > now + leeway) {
    throw new KleisError(
      'subject_not_yet_valid',
      `The token is valid from ${ago(begins - now)} on, by the clock of this broker.`,
      { detail: seen },
    );
  }
  if (maxAge !== undefined && now - issued > maxAge + leeway) {
    throw new KleisError(
      'subject_too_old',
      `The token was issued ${ago(now - issued)} ago; ${ago(maxAge)} are allowed.`,
      { detail: seen },
    );
  }
  return expires;
}

/** A NumericDate in milliseconds; undefined if absent. */
function timeOf(claims: Claims, name: 'exp' | 'iat' | 'nbf'): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value >= 0 && value <= latestTime)) {
    throw malformed(`The token has a time, ${name}, that cannot be one.`);
  }
  return Math.floor(value * 1000);
}

function ago(milliseconds: number): string {
  return `${Math.ceil(milliseconds / 1000)} s`;
}

/**
 * By this name a token is used up. With a `jti` the issuer has named it (each length before its text: no two pairs of
 * issuer and jti give one string). Without one it is what was signed, never the whole token: the signature can be
 * written anew without the key, (r, s) as (r, n - s) in ECDSA, and would make a new token of a used one.
 */
export function replayKey(issuer: string, { claims, signingInput }: UnverifiedJwt): string {
  const { jti } = claims;
  const [kind, id] = typeof jti === 'string' && jti !== '' ? ['jti', jti] : ['jws', signingInput];
  const text = [kind, issuer, id].map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
  // 248 bits: with the letter that it must begin with, the 63 characters that a Kubernetes name or label may have.
  return `r${hash('sha256', text).slice(0, 62)}`;
}

export function tenantOf(claims: Claims, name: string | undefined): string | undefined {
  const value = name === undefined ? undefined : claimOf(claims, name);
  const text = typeof value === 'string' || typeof value === 'number' ? clean(value, 100) : '';
  return text === '' ? undefined : text;
}

export function malformed(message: string): KleisError {
  return new KleisError('subject_malformed', message);
}

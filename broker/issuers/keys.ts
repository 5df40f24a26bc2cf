import { isObject } from '../../shared/json.ts';
import { constants, createPublicKey, verify, type KeyObject, type SigningOptions } from 'node:crypto';

/** A public key of an issuer, imported once. */
export interface VerificationKey {
  readonly kid: string | undefined;
  /** JWS names of what it may verify. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

interface Algorithm {
  readonly hash: string | null;
  readonly options: SigningOptions;
}

const pkcs1: SigningOptions = { padding: constants.RSA_PKCS1_PADDING };
// The salt is as long as the hash, no other length (RFC 7518 section 3.5).
const pss = (saltLength: number): SigningOptions => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
// r and s side by side, not in DER (RFC 7518 section 3.4).
const p1363: SigningOptions = { dsaEncoding: 'ieee-p1363' };

const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['RS256', { hash: 'sha256', options: pkcs1 }],
  ['RS384', { hash: 'sha384', options: pkcs1 }],
  ['RS512', { hash: 'sha512', options: pkcs1 }],
  ['PS256', { hash: 'sha256', options: pss(32) }],
  ['PS384', { hash: 'sha384', options: pss(48) }],
  ['PS512', { hash: 'sha512', options: pss(64) }],
  ['ES256', { hash: 'sha256', options: p1363 }],
  ['ES384', { hash: 'sha384', options: p1363 }],
  ['ES512', { hash: 'sha512', options: p1363 }],
  ['EdDSA', { hash: null, options: {} }],
  // The same under the name of RFC 9864.
  ['Ed25519', { hash: null, options: {} }],
]);

/**
 * Every signature algorithm that a configuration may allow, and what is allowed when it names none. All are asymmetric:
 * with HS* a public key would be the secret, and `none` is no signature.
 */
export const signatureAlgorithms: readonly string[] = [...algorithms.keys()];

const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const edwards = ['EdDSA', 'Ed25519'];
const curves: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' };
/** More would cost an attacker nothing and us 100 times the work (RFC 8725 section 3.5 sets the lower bound). */
const modulus = { min: 2048, max: 8192 };
const maxKeys = 100;
const maxKid = 256;

/** A JWK set that cannot be one. The message is fit for an operator; it quotes nothing of the set. */
export class KeySetFault extends Error {
  override readonly name = 'KeySetFault';
}

/**
 * Reads a JWK set (RFC 7517 section 5). Keys that are of no use to us are passed over, as it demands: other types, for
 * encryption, private or symmetric ones, RSA below 2048 bits. A set without any is an answer, too: the issuer
 * has withdrawn them all. Throws `KeySetFault`.
 */
export function parseKeySet(text: string): readonly VerificationKey[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new KeySetFault('the key set is not JSON');
  }
  const list = isObject(set) ? set['keys'] : undefined;
  if (!Array.isArray(list)) throw new KeySetFault('the key set has no list of keys');
  if (list.length > maxKeys) throw new KeySetFault(`the key set has more than ${maxKeys} keys`);
  return list.map(importKey).filter((key) => key !== undefined);
}

/**
 * Node's own `verify` and not a JOSE library: it takes 0.03 ms for RS256 where Web Crypto, on which the libraries
 * build, takes 0.15 ms; and the token was taken apart already. The key must list the algorithm.
 */
export function verifySignature(
  { key, algorithms: able }: VerificationKey,
  name: string,
  signingInput: string,
  signature: Uint8Array,
): boolean {
  const algorithm = able.includes(name) ? algorithms.get(name) : undefined;
  if (algorithm === undefined) return false;
  return verify(algorithm.hash, Buffer.from(signingInput, 'latin1'), { key, ...algorithm.options }, signature);
}

function importKey(jwk: unknown): VerificationKey | undefined {
  if (!isObject(jwk)) return undefined;
  const { kid, use, key_ops: operations, alg } = jwk;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > maxKid)) return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  // Who publishes a private key has lost it.
  if ('d' in jwk || 'k' in jwk) return undefined;
  const able = algorithmsFor(jwk);
  const allowed = able.filter((name) => alg === undefined || name === alg || (able === edwards && isEdwards(alg)));
  if (allowed.length === 0) return undefined;
  try {
    const key = createPublicKey({ key: publicPart(jwk), format: 'jwk' });
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    if (jwk['kty'] === 'RSA') {
      if (modulusLength === undefined || modulusLength < modulus.min || modulusLength > modulus.max) return undefined;
      // With exponent 1 every message is its own signature.
      if (publicExponent === undefined || publicExponent < 3n || publicExponent % 2n === 0n) return undefined;
    }
    return { kid, algorithms: allowed, key };
  } catch {
    return undefined;
  }
}

function isEdwards(alg: unknown): boolean {
  return typeof alg === 'string' && edwards.includes(alg);
}

function algorithmsFor({ kty, crv }: Record<string, unknown>): readonly string[] {
  if (kty === 'RSA') return rsa;
  if (kty === 'OKP') return crv === 'Ed25519' ? edwards : [];
  if (kty !== 'EC' || typeof crv !== 'string' || !Object.hasOwn(curves, crv)) return [];
  return [curves[crv] ?? ''];
}

function publicPart({ kty, n, e, crv, x, y }: Record<string, unknown>): Record<string, unknown> {
  if (kty === 'RSA') return { kty, n, e };
  return kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x };
}

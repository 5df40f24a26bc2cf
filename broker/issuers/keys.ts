import { constants, KeyObject, verify, type SigningOptions } from 'node:crypto';
import { calculateJwkThumbprint, importJWK, type JWK } from 'jose';
import type { signatureAlgorithms } from '../../shared/jwt.ts';
import { isObject } from '../../shared/json.ts';

/** A public key of an issuer, imported once. */
export interface VerificationKey {
  readonly kid: string | undefined;
  /** JWS names of what it may verify. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
  /** Bytes of each signature that it makes. */
  readonly signatureLength: number;
  /** RFC 7638, SHA-256: the same for the same key, whatever it is called. */
  readonly thumbprint: string;
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

const algorithms: ReadonlyMap<string, Algorithm> = new Map<(typeof signatureAlgorithms)[number], Algorithm>([
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
  ['Ed25519', { hash: null, options: {} }],
]);

const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const edwards = ['EdDSA', 'Ed25519'];

interface Curve {
  readonly algorithm: string;
  /** Bytes of a coordinate, and half the bytes of a signature (RFC 7518 sections 3.4 and 6.2.1.2). */
  readonly size: number;
}

const curves: ReadonlyMap<unknown, Curve> = new Map([
  ['P-256', { algorithm: 'ES256', size: 32 }],
  ['P-384', { algorithm: 'ES384', size: 48 }],
  ['P-521', { algorithm: 'ES512', size: 66 }],
]);
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
export async function parseKeySet(text: string): Promise<readonly VerificationKey[]> {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new KeySetFault('the key set is not JSON');
  }
  const list = isObject(set) ? set['keys'] : undefined;
  if (!Array.isArray(list)) throw new KeySetFault('the key set has no list of keys');
  if (list.length > maxKeys) throw new KeySetFault(`the key set has more than ${maxKeys} keys`);
  const keys = await Promise.all(list.map(importKey));
  return keys.filter((key) => key !== undefined);
}

/**
 * Node's own `verify` and not jose's: see decision 20. The key must list the algorithm. A signature has the length that
 * its key gives it, which OpenSSL does not demand: RSASSA-PSS without a leading zero would be a second spelling of one
 * token (RFC 8017 sections 8.1.2 and 8.2.2, RFC 7518 section 3.4, RFC 8032 section 5.1.7).
 */
export function verifySignature(
  { key, algorithms: able, signatureLength }: VerificationKey,
  name: string,
  signingInput: string,
  signature: Uint8Array,
): boolean {
  const algorithm = able.includes(name) ? algorithms.get(name) : undefined;
  if (algorithm === undefined || signature.length !== signatureLength) return false;
  return verify(algorithm.hash, Buffer.from(signingInput, 'latin1'), { key, ...algorithm.options }, signature);
}

async function importKey(jwk: unknown): Promise<VerificationKey | undefined> {
  if (!isObject(jwk)) return undefined;
  const { kid, use, key_ops: operations, alg } = jwk;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > maxKid)) return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  // Who publishes a private key has lost it.
  if ('d' in jwk || 'k' in jwk) return undefined;
  const able = algorithmsFor(jwk);
  const [first, ...others] = able.filter(
    (name) => alg === undefined || name === alg || (isEdwards(name) && isEdwards(alg)),
  );
  if (first === undefined) return undefined;
  try {
    const part = publicPart(jwk);
    const [imported, thumbprint] = await Promise.all([importJWK(part, first), calculateJwkThumbprint(part)]);
    if (imported instanceof Uint8Array) return undefined;
    const key = KeyObject.from(imported);
    const signatureLength = signatureLengthOf(key, jwk['crv']);
    if (signatureLength === undefined) return undefined;
    return { kid, algorithms: [first, ...others], key, signatureLength, thumbprint };
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
  const curve = kty === 'EC' ? curves.get(crv) : undefined;
  return curve === undefined ? [] : [curve.algorithm];
}

/** Undefined if the key is too weak, or too dear. */
function signatureLengthOf(
  { asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject,
  crv: unknown,
): number | undefined {
  if (asymmetricKeyType === 'ed25519') return 64;
  if (asymmetricKeyType === 'ec') return 2 * (curves.get(crv)?.size ?? Number.NaN);
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails;
  if (modulusLength < modulus.min || modulusLength > modulus.max) return undefined;
  // With exponent 1 every message is its own signature.
  if (publicExponent < 3n || publicExponent % 2n === 0n) return undefined;
  return Math.ceil(modulusLength / 8);
}

/** Numbers as RFC 7518 wants them; Java writes them with a sign byte or without their leading zeros. */
function publicPart({ kty, n, e, crv, x, y }: Record<string, unknown>): JWK {
  if (kty === 'RSA') return { kty, n: unsigned(n, 1), e: unsigned(e, 1) };
  if (kty === 'OKP') return { kty, crv: textOf(crv), x: textOf(x) };
  const size = curves.get(crv)?.size ?? 0;
  return { kty: 'EC', crv: textOf(crv), x: unsigned(x, size), y: unsigned(y, size) };
}

/** A big-endian number of at least so many bytes, with no leading zero beyond them. */
function unsigned(value: unknown, size: number): string {
  const bytes = Buffer.from(textOf(value), 'base64url');
  const digits = bytes.subarray(
    Math.max(
      0,
      bytes.findIndex((byte) => byte !== 0),
    ),
  );
  const padding = Buffer.alloc(Math.max(0, size - digits.length));
  return Buffer.concat([padding, digits]).toString('base64url');
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('a member of a JWK is no text');
  return value;
}

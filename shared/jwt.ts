import { isObject } from './json.ts';
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** The claims of a token, deep-frozen. Look a name up with `Object.hasOwn`: the sender chose the names. */
export type Claims = JsonObject;

/** A claim's value; what an object inherits is no claim. */
export function claimOf<T>(claims: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Nothing in here is proved: whoever sent the token wrote it. */
export interface UnverifiedJwt {
  readonly header: JsonObject;
  readonly claims: Claims;
  /** What the signature is over, `header.payload` as sent (RFC 7515 section 5.2). */
  readonly signingInput: string;
  readonly signature: Uint8Array;
}

/**
 * Every signature algorithm that a configuration may allow, and what is allowed when it names none. All are asymmetric:
 * with HS* a public key would be the secret, and `none` is no signature. Ed25519 is EdDSA under the name of RFC 9864.
 */
export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

export interface JwtLimits {
  /** Characters of the whole token; 16 384 if not given. */
  readonly maxLength?: number;
}

/** Why a text is no token. The message is public: it quotes nothing of the text. */
export class JwtFault extends Error {
  override readonly name = 'JwtFault';
}

/** GitHub's tokens have 2 kB, an Entra token with its 200 groups 10 kB; Node takes headers of 16 kB. */
export const longestToken = 16_384;
/** The deepest that providers are known to send is 4 (Keycloak's `resource_access`). */
const maxDepth = 16;

const code = {
  quote: 0x22,
  colon: 0x3a,
  bracket: 0x5b,
  backslash: 0x5c,
  unbracket: 0x5d,
  brace: 0x7b,
  unbrace: 0x7d,
} as const;

/**
 * Takes a signed JWT in compact form (RFC 7515 section 3.1) apart and verifies NOTHING. Stricter than JSON and base64 are,
 * so that no two readers can see two different tokens in one text: base64url in its only canonical form, valid UTF-8,
 * no member twice, no `__proto__`, no half of a surrogate pair. Throws `JwtFault` and nothing else.
 */
export function decodeUnverified(token: unknown, { maxLength = longestToken }: JwtLimits = {}): UnverifiedJwt {
  if (typeof token !== 'string' || token === '') throw new JwtFault('There is no token.');
  if (token.length > maxLength) throw new JwtFault(`The token is longer than ${maxLength} characters.`);
  const parts = token.split('.', 6);
  if (parts.length === 5) throw new JwtFault('The token is encrypted (JWE); only signed ones can be used.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) throw new JwtFault('The token is not a JWT: it does not have three parts.');
  return {
    header: parseObject(decodePart(header, 'header'), 'header'),
    claims: parseObject(decodePart(payload, 'payload'), 'payload'),
    signingInput: token.slice(0, header.length + 1 + payload.length),
    signature: decodePart(signature, 'signature'),
  };
}

/** The same, or undefined for what cannot be read: an opaque token, a damaged one. */
export function readUnverified(token: unknown): UnverifiedJwt | undefined {
  try {
    return decodeUnverified(token);
  } catch (error) {
    if (error instanceof JwtFault) return undefined;
    throw error;
  }
}

/** Claims that somebody wrote down: what a token's payload may be, and nothing else. Throws `JwtFault`. */
export function parseClaims(text: string): Claims {
  if (text.length > longestToken) throw new JwtFault(`The claims are longer than ${longestToken} characters.`);
  return parseObject(Buffer.from(text), 'payload');
}

/** SHA-256 of a token, in hex: what a log may hold instead of it. */
export function tokenHash(token: string): string {
  return hash('sha256', token);
}

function decodePart(part: string, what: string): Buffer {
  if (part === '') throw new JwtFault(`The ${what} of the token is empty.`);
  const bytes = Buffer.from(part, 'base64url');
  // Node skips over padding, blanks and foreign characters, and ignores left-over bits: only what comes out the same is
  // the canonical form of RFC 7515 section 2.
  if (bytes.toString('base64url') !== part) throw new JwtFault(`The ${what} of the token is not base64url.`);
  return bytes;
}

function parseObject(bytes: Buffer, what: string): JsonObject {
  if (!isUtf8(bytes)) throw new JwtFault(`The ${what} of the token is not UTF-8.`);
  const text = bytes.toString('utf8');
  const members = countMembers(text, what);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Without its cause: V8 quotes the text in it.
    throw new JwtFault(`The ${what} of the token is not JSON.`);
  }
  if (!isObject(value)) throw new JwtFault(`The ${what} of the token is not a JSON object.`);
  // UTF-8 holds none, so that only an escape can make one. Every half pair becomes the same U+FFFD in UTF-8: two values
  // that differ here would be one in a hash or a log.
  const checked = /\\u[dD]/.test(text);
  // `JSON.parse` keeps the last of two members of one name; another reader may keep the first (RFC 7519 section 4).
  if (freeze(value, what, checked) !== members) throw new JwtFault(`The ${what} of the token has a member twice.`);
  return value as JsonObject;
}

/** Colons outside of strings: as many as there are members, those given twice included. */
function countMembers(text: string, what: string): number {
  let depth = 0;
  let members = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const at = text.charCodeAt(index);
    if (inString) {
      if (at === code.backslash) index += 1;
      else if (at === code.quote) inString = false;
    } else if (at === code.quote) inString = true;
    else if (at === code.colon) members += 1;
    else if (at === code.brace || at === code.bracket) {
      depth += 1;
      if (depth > maxDepth) throw new JwtFault(`The ${what} of the token is nested too deeply.`);
    } else if (at === code.unbrace || at === code.unbracket) depth -= 1;
  }
  return members;
}

const loneSurrogate = /\p{Surrogate}/u;

/** Freezes all of it and gives the number of members in it. Recursion ends at `maxDepth`. */
function freeze(value: unknown, what: string, checked: boolean): number {
  if (typeof value === 'string') {
    if (checked && loneSurrogate.test(value)) throw new JwtFault(`The ${what} of the token is not Unicode.`);
    return 0;
  }
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) members += freeze(item, what, checked);
  } else {
    for (const name of Object.keys(value)) {
      // Harmless here, but not where somebody copies the claims one by one.
      if (name === '__proto__') throw new JwtFault(`The ${what} of the token has a member of a forbidden name.`);
      members += 1 + freeze(name, what, checked) + freeze((value as JsonObject)[name], what, checked);
    }
  }
  Object.freeze(value);
  return members;
}

import { decodeJwt, decodeProtectedHeader } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { ProviderMetadata } from './discovery.ts';
import type { KeySet } from './key-set.ts';

export type Claims = Readonly<Record<string, unknown>>;

interface IdTokenCheck {
  readonly metadata: ProviderMetadata;
  readonly clientId: string;
  /** What was sent with the authorization request. */
  readonly nonce: string | undefined;
  /** Of the ID token that the session began with (OIDC Core 12.2: it must not change). */
  readonly sub: string | undefined;
  /** Undefined where TLS vouches for the token (OIDC Core 3.1.3.7, point 6). */
  readonly keys: KeySet | undefined;
}

// What jose verifies with a public key; HS256 and `none` are not among it.
const algorithms = ['RS', 'PS', 'ES'].flatMap((family) => [256, 384, 512].map((bits) => `${family}${bits}`));
const signing = new Set([...algorithms, 'EdDSA', 'Ed25519']);

/**
 * The claims of an ID token that is for this client and this sign-in. Judged is what Kleis and the API server use: `iss`,
 * `aud`, `sub`, `nonce` and the signature; the times are token-answer.ts's. Throws `sign_in_invalid`, `token_unusable`.
 */
export async function readIdToken(token: string, check: IdTokenCheck): Promise<Claims> {
  const { metadata, clientId, nonce, sub, keys } = check;
  const { alg, claims } = decode(token);
  const listed = metadata.id_token_signing_alg_values_supported;
  if (!signing.has(alg) || listed?.includes(alg) === false) throw otherAlgorithm(alg, listed);
  if (claims['iss'] !== metadata.issuer) {
    throw notForUs(`it names another issuer, ${clean(claims['iss'])}`);
  }
  const { aud, azp } = claims;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(clientId)) throw notForUs(`it names another client than ${clean(clientId)}: ${clean(aud)}`);
  // Many providers send a list without `azp`, and the API server does not look at it.
  if (audiences.length > 1 && azp !== undefined && azp !== clientId) {
    throw notForUs(`it was issued to another client (azp ${clean(azp)})`);
  }
  if (typeof claims['sub'] !== 'string' || claims['sub'] === '') {
    throw new KleisError('sign_in_invalid', 'The ID token does not say whose it is (it has no sub).');
  }
  if (nonce !== undefined && claims['nonce'] !== nonce) {
    throw new KleisError('sign_in_invalid', 'The ID token was not made for this sign-in (its nonce is another).');
  }
  if (sub !== undefined && clean(claims['sub'], 255) !== sub) {
    throw new KleisError('sign_in_invalid', 'The provider renewed the session with the ID token of somebody else.');
  }
  if (keys !== undefined) await checkSignature(token, keys);
  return claims;
}

/** A token that only its receiver could read, and the API server is not that. */
export function isEncrypted(token: string): boolean {
  return token.split('.', 6).length === 5;
}

function decode(token: string): { alg: string; claims: Claims } {
  try {
    return { alg: String(decodeProtectedHeader(token).alg), claims: decodeJwt(token) };
  } catch {
    // Without its cause, which may quote the token.
    throw new KleisError('sign_in_invalid', 'The ID token of the provider is not a signed JWT.');
  }
}

async function checkSignature(token: string, keys: KeySet): Promise<void> {
  const verified = await keys.verify(token);
  if (verified === true) return;
  throw new KleisError(
    'sign_in_invalid',
    verified === false
      ? 'The signature of the ID token is wrong.'
      : 'The ID token is signed with a key that the provider does not publish.',
  );
}

function notForUs(why: string): KleisError {
  return new KleisError('sign_in_invalid', `The ID token is not for us: ${why}.`);
}

function otherAlgorithm(alg: string, listed: readonly string[] | undefined): KleisError {
  const usable = (listed ?? [...signing]).filter((name) => signing.has(name));
  return new KleisError(
    'sign_in_invalid',
    `The ID token is signed with ${clean(alg, 40)}, but the provider lists ${clean(usable.join(', '))}.`,
    { hint: 'Ask the administrator of the provider to sign the ID tokens of this client with one of those.' },
  );
}

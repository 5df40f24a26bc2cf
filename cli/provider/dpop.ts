import { createHash, webcrypto } from 'node:crypto';
import type { JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { algorithmOf, importPublicKey, importSigningKey } from './client-auth.ts';
import type { ProviderMetadata } from './discovery.ts';

/** The key pair that tokens are bound to (RFC 9449); `jwk` is the private key, as a session keeps it. */
export interface DpopKey {
  readonly jwk: JWK;
  readonly pair: { readonly privateKey: webcrypto.CryptoKey; readonly publicKey: webcrypto.CryptoKey };
  /** RFC 7638, for `dpop_jkt` (RFC 9449 section 10). */
  readonly thumbprint: string;
}

const known = ['ES256', 'Ed25519', 'EdDSA', 'ES384', 'PS256', 'RS256'];

/** A new key, or the one that a session has kept. Throws `config_invalid` where the provider knows no DPoP. */
export async function createDpop(metadata: ProviderMetadata, kept: JWK | undefined): Promise<DpopKey> {
  const supported = metadata.dpop_signing_alg_values_supported;
  const alg = kept?.alg ?? known.find((name) => supported?.includes(name));
  if (alg === undefined) {
    throw new KleisError('config_invalid', 'The provider does not offer DPoP-bound tokens.', {
      hint: 'Leave --dpop out.',
    });
  }
  const jwk = kept ?? (await generate(alg));
  const pair = { privateKey: await importSigningKey(jwk, alg), publicKey: await importPublicKey(jwk, alg) };
  return { jwk, pair, thumbprint: thumbprint(jwk) };
}

async function generate(alg: string): Promise<JWK> {
  const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  const algorithm = { ...(/^(RS|PS)/.test(alg) ? rsa : {}), ...algorithmOf(alg) } as webcrypto.EcKeyGenParams;
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const { key_ops: _operations, ext: _extractable, ...jwk } = await webcrypto.subtle.exportKey('jwk', pair.privateKey);
  return { ...jwk, alg };
}

/** RFC 7638 section 3: the required members in alphabetical order. */
function thumbprint({ kty, crv, x, y, e, n }: JWK): string {
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

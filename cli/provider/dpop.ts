import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import type { ProviderMetadata } from './discovery.ts';

/** The key that tokens are bound to (RFC 9449). */
export interface DpopKey {
  /** The private key, as a session keeps it. */
  readonly jwk: JWK;
  /** RFC 7638, for `dpop_jkt` (RFC 9449 section 10). */
  readonly thumbprint: string;
  /** The proof for one POST (section 4.2); `now` in milliseconds since the epoch. */
  prove(url: string, nonce: string | undefined, now: number): Promise<string>;
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
  const key = await importJWK(jwk, alg);
  const { kty, crv, x, y, n, e } = jwk;
  const shown = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as JWK;
  return {
    jwk,
    thumbprint: await calculateJwkThumbprint(shown),
    prove(url, nonce, now) {
      const { origin, pathname } = new URL(url);
      return new SignJWT({ htm: 'POST', htu: `${origin}${pathname}`, ...(nonce === undefined ? {} : { nonce }) })
        .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: shown })
        .setJti(randomUUID())
        .setIssuedAt(Math.floor(now / 1000))
        .sign(key);
    },
  };
}

async function generate(alg: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg };
}

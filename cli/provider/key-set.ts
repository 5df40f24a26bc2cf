import { compactVerify, createLocalJWKSet, errors, type JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { isObject, parseObject } from '../../shared/json.ts';
import type { Fetch } from '../../shared/net/http.ts';
import { clean } from '../../shared/text.ts';

/** The keys that a provider publishes for its ID tokens (RFC 7517). */
export interface KeySet {
  /** Has the keys here before a code is spent whose token they are to prove. Throws as `fetchKeys` does. */
  ready(): Promise<void>;
  /** True if one of the keys made the signature; undefined if none of them could have. */
  verify(token: string): Promise<boolean | undefined>;
}

export function createKeySet(fetch: Fetch, url: string): KeySet {
  let keys: readonly JWK[] | undefined;
  return {
    async ready() {
      keys ??= await fetchKeys(fetch, url);
    },
    async verify(token) {
      const verified = await verifyWith(keys ?? [], token);
      if (verified !== undefined) return verified;
      // Published since, perhaps: some providers make a new key while somebody signs in.
      keys = await fetchKeys(fetch, url);
      return verifyWith(keys, token);
    },
  };
}

async function verifyWith(keys: readonly JWK[], token: string): Promise<boolean | undefined> {
  // Each for itself: one that cannot be used must not stand in the way of the others, nor two that have one name.
  let verified: boolean | undefined;
  for (const jwk of keys) {
    try {
      await compactVerify(token, createLocalJWKSet({ keys: [jwk] }));
      return true;
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) verified = false;
    }
  }
  return verified;
}

/** Throws `provider_unavailable` and `provider_invalid` with the address and the status. */
async function fetchKeys(fetch: Fetch, url: string): Promise<readonly JWK[]> {
  const where = clean(url);
  const response = await fetch(url, { headers: { accept: 'application/json' } }).catch((error: unknown) => {
    if (!(error instanceof KleisError) || error.code === 'interrupted') throw error;
    const message = `The keys of the provider at ${where} cannot be had. ${error.message}`;
    throw new KleisError(error.code, message, { hint: error.hint, cause: error });
  });
  const { status } = response;
  if (!response.ok) {
    const passing = status >= 500 || status === 408 || status === 429;
    throw new KleisError(
      passing ? 'provider_unavailable' : 'provider_invalid',
      `The keys of the provider at ${where} cannot be had (HTTP ${status}).`,
      { hint: 'Sign in again later; if it stays, tell the administrator of the provider.' },
    );
  }
  const found = parseObject(await response.text())?.['keys'];
  const keys = Array.isArray(found) ? found.filter(isObject).slice(0, 200) : [];
  if (keys.length > 0) return keys;
  const what = Array.isArray(found) ? 'holds no key' : 'is no set of keys';
  throw new KleisError('provider_invalid', `What the provider has at ${where} ${what} (HTTP ${status}).`, {
    hint: 'Tell the administrator of the provider.',
  });
}

import { createPrivateKey, randomUUID } from 'node:crypto';
import { exportJWK, importJWK, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { ClientAuth } from 'oauth4webapi';
import { KleisError } from '../../shared/errors.ts';
import { isObject, parseObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { endpoint, type ProviderMetadata } from './discovery.ts';
import { readSecretFile } from '../../shared/secret-file.ts';

/** RFC 7523 section 2.2 (private_key_jwt). */
export async function signedMethods(
  file: string,
  metadata: ProviderMetadata,
  { clock, platform }: Pick<Deps, 'clock' | 'platform'>,
): Promise<ClientAuth[]> {
  const { key, alg, kid } = await readKey(file, metadata, platform);
  const signed =
    (audience: string): ClientAuth =>
    async (_server, { client_id: clientId }, body) => {
      const now = Math.floor(clock.now() / 1000);
      const assertion = await new SignJWT({ iss: clientId, sub: clientId, aud: audience })
        .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
        .setJti(randomUUID())
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + 60)
        .sign(key);
      body.set('client_id', clientId);
      body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
      body.set('client_assertion', assertion);
    };
  // The issuer is the audience that cannot be misused (RFC 7523bis); some know only their token endpoint.
  const { issuer } = metadata;
  const tokenEndpoint = endpoint(metadata, 'token_endpoint') ?? issuer;
  const sameOrigin = new URL(tokenEndpoint).origin === new URL(issuer).origin;
  return sameOrigin ? [signed(issuer), signed(tokenEndpoint)] : [signed(issuer)];
}

interface SigningKey {
  readonly key: CryptoKey;
  readonly alg: string;
  readonly kid: string | undefined;
}

async function readKey(file: string, metadata: ProviderMetadata, platform: NodeJS.Platform): Promise<SigningKey> {
  const text = readSecretFile(file, 32_768, platform);
  try {
    const object = parseObject(text);
    const [first] = Array.isArray(object?.['keys']) ? (object['keys'] as unknown[]) : [object];
    const jwk: JWK = isObject(first) ? first : await exportJWK(createPrivateKey(text));
    const { alg: _alg, use: _use, key_ops: _operations, ...material } = jwk;
    const alg = chooseAlgorithm(jwk, metadata.token_endpoint_auth_signing_alg_values_supported);
    const key = await importJWK(material as JWK, alg);
    if (key instanceof Uint8Array || key.type !== 'private') throw new TypeError('not a private key');
    return { key, alg, kid: jwk.kid };
  } catch (cause) {
    throw new KleisError('config_invalid', `${clean(file)} is not a private key that can sign.`, {
      hint: 'Give an unencrypted PEM (PKCS#8) or JWK file with an RSA, EC or Ed25519 private key.',
      cause,
    });
  }
}

/** The algorithm for a key (RFC 7518 section 3.1), among those the provider lists where it lists any. */
function chooseAlgorithm(jwk: JWK, supported: readonly string[] | undefined): string {
  const possible =
    jwk.alg !== undefined
      ? [jwk.alg]
      : jwk.kty === 'RSA'
        ? ['RS256', 'PS256', 'RS384', 'PS384', 'RS512', 'PS512']
        : jwk.kty === 'EC'
          ? [{ 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }[jwk.crv ?? ''] ?? '']
          : ['EdDSA', 'Ed25519'];
  return possible.find((alg) => supported?.includes(alg)) ?? possible[0] ?? '';
}

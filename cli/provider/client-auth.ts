import { createPrivateKey, webcrypto } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { systemCode } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Settings } from '../settings/sign-in.ts';
import { parseObject } from '../../shared/json.ts';
import type { ProviderMetadata } from './discovery.ts';

/** How this client proves who it is (OpenID Connect Core 9). */
export type ClientProof =
  | { readonly kind: 'none' }
  /** `methods`: the one to try, then the one to fall back to. */
  | { readonly kind: 'secret'; readonly secret: Secret; readonly methods: readonly SecretMethod[] }
  | { readonly kind: 'key'; readonly key: webcrypto.CryptoKey; readonly kid: string | undefined; readonly alg: string };

export type SecretMethod = 'client_secret_basic' | 'client_secret_post';

/** Throws `storage_unsafe` (the file is open to everybody), `config_invalid` (unreadable, or not what it should be). */
export async function readClientProof(
  settings: Settings,
  metadata: ProviderMetadata,
  platform: NodeJS.Platform,
): Promise<ClientProof> {
  if (settings.clientKeyFile !== undefined) return readKey(settings.clientKeyFile, metadata, platform);
  if (settings.clientSecretFile === undefined) return { kind: 'none' };
  const file = settings.clientSecretFile;
  const text = (await readSecretFile(file, 4096, platform)).replace(/\r?\n$/, '');
  if (text === '' || /\p{Cc}/u.test(text)) {
    throw new KleisError('config_invalid', `${clean(file)} is not one line with a client secret in it.`);
  }
  const supported = metadata.token_endpoint_auth_methods_supported;
  // RFC 8414 section 2: a provider that does not say takes client_secret_basic.
  const postFirst = supported?.includes('client_secret_post') === true && !supported.includes('client_secret_basic');
  const methods: SecretMethod[] = ['client_secret_basic', 'client_secret_post'];
  return { kind: 'secret', secret: new Secret(text), methods: postFirst ? methods.toReversed() : methods };
}

async function readSecretFile(file: string, limit: number, platform: NodeJS.Platform): Promise<string> {
  const name = clean(file);
  let handle;
  try {
    handle = await open(file, 'r');
    const status = await handle.stat();
    // Not a question of the owner: a secret that a cluster mounts belongs to root and is read through its group.
    if (platform !== 'win32' && (status.mode & 0o004) !== 0) {
      throw new KleisError('storage_unsafe', `${name} holds a secret and can be read by everybody.`, {
        hint: `Take that right away: chmod o= ${name}`,
      });
    }
    if (!status.isFile() || status.size > limit) {
      throw new KleisError('config_invalid', `${name} is not a file of at most ${limit} bytes.`);
    }
    return await handle.readFile('utf8');
  } catch (cause) {
    if (cause instanceof KleisError) throw cause;
    const code = systemCode(cause);
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${clean(code ?? 'unknown', 40)})`;
    throw new KleisError('config_invalid', `The file ${name} ${why}.`, { cause });
  } finally {
    await handle?.close();
  }
}

async function readKey(file: string, metadata: ProviderMetadata, platform: NodeJS.Platform): Promise<ClientProof> {
  const text = await readSecretFile(file, 32_768, platform);
  const supported = metadata.token_endpoint_auth_signing_alg_values_supported;
  try {
    const object = parseObject(text);
    const given: JWK = Array.isArray(object?.['keys']) ? ((object['keys'] as JWK[])[0] ?? {}) : (object ?? {});
    const jwk = object === undefined ? (createPrivateKey(text).export({ format: 'jwk' }) as JWK) : given;
    const alg = chooseAlgorithm(jwk, supported);
    return { kind: 'key', key: await importSigningKey(jwk, alg), kid: jwk.kid, alg };
  } catch (cause) {
    throw new KleisError('config_invalid', `${clean(file)} is not a private key that can sign.`, {
      hint: 'Give an unencrypted PEM (PKCS#8) or JWK file with an RSA, EC or Ed25519 private key.',
      cause,
    });
  }
}

/** The algorithm for a key, among those the provider lists where it lists any. */
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

/** Makes a private JWK a key that signs with one JWS algorithm (RFC 7518 section 3.1). */
export async function importSigningKey(jwk: JWK, alg: string): Promise<webcrypto.CryptoKey> {
  const { alg: _alg, use: _use, key_ops: _operations, ...material } = jwk;
  return webcrypto.subtle.importKey('jwk', material as webcrypto.JsonWebKey, algorithmOf(alg), false, ['sign']);
}

/** The same key's public half, for the proof's header. */
export async function importPublicKey(jwk: JWK, alg: string): Promise<webcrypto.CryptoKey> {
  const { kty, crv, x, y, n, e } = jwk;
  const shown = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as webcrypto.JsonWebKey;
  return webcrypto.subtle.importKey('jwk', shown, algorithmOf(alg), true, ['verify']);
}

export function algorithmOf(
  alg: string,
): webcrypto.RsaHashedImportParams | webcrypto.EcKeyImportParams | { name: string } {
  if (alg === 'EdDSA' || alg === 'Ed25519') return { name: 'Ed25519' };
  const [, family = '', bits = ''] = /^(RS|PS|ES)(256|384|512)$/.exec(alg) ?? [];
  const hash = `SHA-${bits}`;
  if (family === 'RS') return { name: 'RSASSA-PKCS1-v1_5', hash };
  if (family === 'PS') return { name: 'RSA-PSS', hash };
  if (family === 'ES') return { name: 'ECDSA', namedCurve: bits === '512' ? 'P-521' : `P-${bits}` };
  throw new Error(`unknown algorithm ${clean(alg, 20)}`);
}

import { type ClientAuth, ClientSecretBasic, ClientSecretPost, None } from 'oauth4webapi';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { ProviderMetadata } from './discovery.ts';
import { readSecretFile } from '../../shared/secret-file.ts';

/** Puts what proves who this client is into a request (OpenID Connect Core 9). */
export type ClientMethod = ClientAuth;

type ClientSettings = Pick<Settings, 'clientId' | 'clientSecretFile' | 'clientKeyFile'>;

/**
 * The ways in which this client can authenticate, the likeliest first. Throws `storage_unsafe` (the file is open to
 * everybody), `config_invalid` (unreadable, or not what it should be).
 */
export async function clientMethods(
  settings: ClientSettings,
  metadata: ProviderMetadata,
  deps: Pick<Deps, 'clock' | 'platform'>,
): Promise<ClientMethod[]> {
  const { clientSecretFile, clientKeyFile } = settings;
  if (clientKeyFile !== undefined) {
    const { signedMethods } = await import('./client-key.ts');
    return signedMethods(clientKeyFile, metadata, deps);
  }
  if (clientSecretFile === undefined) return [None()];
  const secret = readSecret(clientSecretFile, deps.platform);
  const methods = [ClientSecretBasic(secret), ClientSecretPost(secret)];
  // RFC 8414 section 2: a provider that does not say takes client_secret_basic.
  const supported = metadata.token_endpoint_auth_methods_supported;
  const postFirst = supported?.includes('client_secret_post') === true && !supported.includes('client_secret_basic');
  return postFirst ? methods.toReversed() : methods;
}

function readSecret(file: string, platform: NodeJS.Platform): string {
  const text = readSecretFile(file, 4096, platform);
  if (text === '' || /\p{Cc}/u.test(text)) {
    throw new KleisError('config_invalid', `${clean(file)} is not one line with a client secret in it.`);
  }
  return text;
}

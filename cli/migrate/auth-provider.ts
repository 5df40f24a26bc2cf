import { resolve } from 'node:path';
import type { Mapping } from '../kubeconfig/document.ts';
import { textIn, Translation, Untranslatable } from './translation.ts';

const known = new Set(
  'idp-issuer-url client-id client-secret idp-certificate-authority idp-certificate-authority-data extra-scopes id-token refresh-token'.split(
    ' ',
  ),
);

/**
 * `auth-provider: {name: oidc}`, which kubectl refreshes tokens with and never signs in (client-go,
 * plugin/pkg/client/auth/oidc). Throws `Untranslatable`, and `config_invalid` for a certificate authority.
 */
export async function translateAuthProvider(config: Mapping): Promise<Translation> {
  const result = new Translation('the auth-provider oidc');
  const issuer = textIn(config, 'idp-issuer-url');
  if (issuer === undefined) throw new Untranslatable('names no issuer');
  result.take('idp-issuer-url', 'issuerUrl', issuer);
  const client = textIn(config, 'client-id');
  if (client !== undefined) result.take('client-id', 'clientId', client);
  result.takeSecret('client-secret', textIn(config, 'client-secret') ?? '');
  const scopes = (textIn(config, 'extra-scopes') ?? '')
    .split(/[\s,]+/)
    .filter((each) => each !== '' && each !== 'openid');
  if (scopes.length > 0) result.take('extra-scopes', 'scope', scopes);
  const [file, data] = [textIn(config, 'idp-certificate-authority'), textIn(config, 'idp-certificate-authority-data')];
  await result.takeAuthorities(
    // The text wins, as in client-go.
    file === undefined || data !== undefined ? [] : [resolve(file)],
    data === undefined ? [] : [data],
    'idp-certificate-authority',
  );
  for (const key of ['id-token', 'refresh-token']) {
    if (config[key] !== undefined) result.leave(key, 'it is not taken over: you sign in once');
  }
  for (const key of Object.keys(config)) if (!known.has(key)) result.leave(key, 'it has no counterpart');
  return result;
}

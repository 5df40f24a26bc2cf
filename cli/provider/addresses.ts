import * as oidc from 'openid-client';
import type { ProviderMetadata } from './discovery.ts';

/** The authorization request as an address for a browser (RFC 6749 section 4.1.1), or the one that was pushed (RFC 9126). */
export function authorizationAddress(
  metadata: ProviderMetadata,
  clientId: string,
  parameters: Readonly<Record<string, string>>,
): URL {
  return oidc.buildAuthorizationUrl(configurationOf(metadata, clientId), { ...parameters });
}

/**
 * Where a browser ends the session at the provider (RP-Initiated Logout 1.0). Without an `id_token_hint`: the URL is
 * shown and given to a browser's command line, and a token that opens a cluster must be in neither.
 */
export function endSessionAddress(metadata: ProviderMetadata, clientId: string): URL {
  return oidc.buildEndSessionUrl(configurationOf(metadata, clientId));
}

function configurationOf(metadata: ProviderMetadata, clientId: string): oidc.Configuration {
  const configuration = new oidc.Configuration(metadata as oidc.ServerMetadata, clientId, undefined, oidc.None());
  // Discovery has made sure that this is loopback.
  // oxlint-disable-next-line typescript/no-deprecated -- deprecated to stand out, which is what is wanted
  if (metadata.issuer.startsWith('http:')) oidc.allowInsecureRequests(configuration);
  return configuration;
}

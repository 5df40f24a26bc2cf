import { parseObject } from '../../shared/json.ts';
import { KleisError } from '../../shared/errors.ts';
import type { Fetch } from '../../shared/net/http.ts';
import { neverSent } from '../../shared/net/network-errors.ts';
import { isHttpsOrLoopback } from '../../shared/net/url.ts';
import { clean } from '../../shared/text.ts';

/**
 * What Kleis uses of a provider's discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2), under
 * its own names: plain JSON, small, may be kept for a day.
 */
export interface ProviderMetadata {
  readonly issuer: string;
  readonly authorization_endpoint?: string;
  readonly token_endpoint: string;
  readonly jwks_uri?: string;
  readonly device_authorization_endpoint?: string;
  readonly pushed_authorization_request_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly end_session_endpoint?: string;
  readonly require_pushed_authorization_requests?: boolean;
  readonly authorization_response_iss_parameter_supported?: boolean;
  readonly scopes_supported?: readonly string[];
  readonly prompt_values_supported?: readonly string[];
  readonly token_endpoint_auth_methods_supported?: readonly string[];
  readonly token_endpoint_auth_signing_alg_values_supported?: readonly string[];
  readonly id_token_signing_alg_values_supported?: readonly string[];
  readonly dpop_signing_alg_values_supported?: readonly string[];
}

/** Kept as the provider writes them; `endpoint` judges one when it is used. */
const endpoints = [
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'device_authorization_endpoint',
  'pushed_authorization_request_endpoint',
  'revocation_endpoint',
  'end_session_endpoint',
] as const;
export type Endpoint = (typeof endpoints)[number];
const booleans = ['require_pushed_authorization_requests', 'authorization_response_iss_parameter_supported'] as const;
const lists = [
  'scopes_supported',
  'prompt_values_supported',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported',
  'id_token_signing_alg_values_supported',
  'dpop_signing_alg_values_supported',
] as const;

/**
 * Asks the provider about itself. Throws `provider_unavailable`, `provider_invalid` (nothing that is a provider answers
 * there) and `issuer_mismatch` (RFC 8414 section 3.3: the strings must be identical).
 */
export async function discover(fetch: Fetch, issuer: string): Promise<ProviderMetadata> {
  const url = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const response = await fetch(url, { headers: { accept: 'application/json' } }).catch((error: unknown) => {
    throw error instanceof KleisError && neverSent(error.cause) ? unreachable(error, issuer) : error;
  });
  checkStatus(response, url);
  return readMetadata(await response.text(), issuer, url);
}

/** At its first use an issuer may well be mistyped. */
function unreachable({ code, message, cause }: KleisError, issuer: string): KleisError {
  const hint = `Check that --issuer-url is spelt right (${clean(issuer)}), and the network.`;
  return new KleisError(code, message, { hint, cause });
}

function checkStatus(response: Response, url: URL): void {
  const { status } = response;
  if (response.ok) return;
  const host = clean(url.host);
  if (status >= 500 || status === 429) {
    throw new KleisError(
      'provider_unavailable',
      `The provider at ${host} is not well: it answers with HTTP ${status}.`,
    );
  }
  const location = response.headers.get('location');
  if (status >= 300 && status < 400 && location !== null) {
    const target = URL.canParse(location, url.href) ? new URL(location, url).origin : location;
    throw new KleisError('provider_invalid', `There is no provider at ${host}: it sends us on to ${clean(target)}.`);
  }
  throw new KleisError('provider_invalid', `There is no OpenID provider at ${clean(url.href)} (HTTP ${status}).`);
}

function readMetadata(text: string, issuer: string, url: URL): ProviderMetadata {
  const document = parseObject(text);
  if (document === undefined) {
    const what = /^\s*</.test(text) ? 'a web page' : 'something else';
    throw new KleisError('provider_invalid', `${clean(url.href)} is ${what}, not an OpenID provider's description.`);
  }
  const found = document['issuer'];
  if (found !== issuer) throw mismatch(issuer, found);
  const metadata: Record<string, unknown> = { issuer };
  for (const name of endpoints) {
    const value = document[name];
    if (value !== undefined && value !== null && value !== '') metadata[name] = clean(value, 2000);
  }
  if (metadata['token_endpoint'] === undefined) {
    throw new KleisError('provider_invalid', `The provider at ${clean(url.host)} names no token_endpoint.`);
  }
  endpoint(metadata as unknown as ProviderMetadata, 'token_endpoint');
  for (const name of booleans) if (document[name] === true) metadata[name] = true;
  for (const name of lists) {
    const value = document[name];
    const entries = Array.isArray(value)
      ? value.filter((entry) => typeof entry === 'string' && entry.length < 200).slice(0, 200)
      : [];
    // An empty one says as little as none.
    if (entries.length > 0) metadata[name] = entries;
  }
  return metadata as unknown as ProviderMetadata;
}

function mismatch(asked: string, found: unknown): KleisError {
  if (typeof found !== 'string') {
    return new KleisError('provider_invalid', `The provider at ${clean(asked)} does not name its issuer.`);
  }
  if (/\{tenant(id)?\}/i.test(found)) {
    // Entra ID: `common`, `organizations` and `consumers` stand for any tenant, and a token names one.
    return new KleisError('issuer_mismatch', `${clean(asked)} is not the issuer of one tenant, but of all.`, {
      hint: `Put the id of your tenant in its place: --issuer-url ${clean(found.replace(/\{tenant(id)?\}/i, 'TENANT-ID'))}`,
    });
  }
  const slash = found.replace(/\/$/, '') === asked.replace(/\/$/, '');
  return new KleisError('issuer_mismatch', `The provider at ${clean(asked)} calls itself ${clean(found)}.`, {
    hint: slash
      ? `The slash at the end matters. Use --issuer-url ${clean(found)}`
      : 'Use the issuer exactly as the provider spells it, if that is the provider you mean.',
  });
}

/**
 * Where requests of one kind go; undefined where the provider names no such address. Throws `provider_invalid` where it
 * names one that nothing may be sent to.
 */
export function endpoint(metadata: ProviderMetadata, name: Endpoint): string | undefined {
  const value = metadata[name];
  if (value === undefined || isUsable(value, metadata.issuer)) return value;
  throw new KleisError('provider_invalid', `The provider's ${name} is not an https URL: ${clean(value)}.`, {
    hint: 'Tell the administrator of the provider: behind a proxy it must know that its own address begins with https.',
  });
}

/** As `endpoint`, for what can be done without. */
export function usableEndpoint(metadata: ProviderMetadata, name: Endpoint): string | undefined {
  const value = metadata[name];
  return value !== undefined && isUsable(value, metadata.issuer) ? value : undefined;
}

function isUsable(value: string, issuer: string): boolean {
  const url = URL.parse(value);
  // Plain http only where the issuer itself is on this machine.
  return url !== null && isHttpsOrLoopback(url) && (url.protocol === 'https:' || issuer.startsWith('http:'));
}

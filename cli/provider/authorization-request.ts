import { createHash, randomBytes } from 'node:crypto';
import type { Settings } from '../settings/sign-in.ts';
import type { ProviderMetadata } from './discovery.ts';

/** What proves that an answer belongs to this sign-in; made anew for each. */
export interface Secrets {
  readonly state: string;
  /** Only where an ID token is asked for. */
  readonly nonce: string | undefined;
  /** RFC 7636. */
  readonly verifier: string;
}

type RequestSettings = Pick<Settings, 'scopes' | 'authParams' | 'audience' | 'resource'>;

function random(): string {
  return randomBytes(32).toString('base64url');
}

export function makeSecrets({ scopes }: Pick<Settings, 'scopes'>): Secrets {
  return { state: random(), nonce: scopes.includes('openid') ? random() : undefined, verifier: random() };
}

export function codeChallenge(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

/** RFC 8707 and the `audience` that some providers have instead: with the authorization and with every token request. */
export function targetParameters({
  audience,
  resource,
}: Pick<RequestSettings, 'audience' | 'resource'>): Record<string, string> {
  return { ...(audience === undefined ? {} : { audience }), ...(resource === undefined ? {} : { resource }) };
}

/**
 * The scopes to ask for. Without `offline_access` many providers give no refresh token, and the person would sign in
 * every hour; so it is asked for wherever the provider lists it, unless `access_type=online` says that none is wanted.
 * What does not list it (GitLab, Cognito) gives refresh tokens by its own rules, and Google refuses the scope whoever asks.
 */
export function scopesToAskFor(settings: RequestSettings, metadata: ProviderMetadata): readonly string[] {
  if (isGoogle(metadata)) return settings.scopes.filter((scope) => scope !== 'offline_access');
  const listed = metadata.scopes_supported?.includes('offline_access') === true;
  const wanted = settings.scopes.includes('openid') && settings.authParams['access_type'] !== 'online';
  return listed && wanted ? [...new Set([...settings.scopes, 'offline_access'])] : settings.scopes;
}

/** Those of them that a provider which lists its scopes does not list. */
export function unlistedScopes(settings: RequestSettings, metadata: ProviderMetadata): readonly string[] {
  const listed = metadata.scopes_supported;
  return listed === undefined ? [] : scopesToAskFor(settings, metadata).filter((scope) => !listed.includes(scope));
}

/** The scope parameter, of each request that may have one. */
export function scopeParameter(settings: RequestSettings, metadata: ProviderMetadata): Record<string, string> {
  const scopes = scopesToAskFor(settings, metadata);
  return scopes.length === 0 ? {} : { scope: scopes.join(' ') };
}

function isGoogle({ issuer }: ProviderMetadata): boolean {
  return new URL(issuer).hostname === 'accounts.google.com';
}

/**
 * What brings a refresh token beside the scope. Google has parameters of its own for it, and gives one at the first
 * consent only: `again` asks for another one.
 */
function offlineParameters(
  settings: RequestSettings,
  metadata: ProviderMetadata,
  again: boolean,
): Record<string, string> {
  if (!isGoogle(metadata)) return consentPrompt(settings, metadata);
  if (settings.authParams['access_type'] === 'online') return {};
  return { access_type: 'offline', ...(again && { prompt: 'consent' }) };
}

/** Why there is no refresh token in an answer, as far as it can be seen, and what to do. */
export function whyNoRefreshToken(settings: RequestSettings, metadata: ProviderMetadata): string {
  if (isGoogle(metadata)) return 'Google gives one at a consent only: the next sign-in asks for that.';
  if (scopesToAskFor(settings, metadata).includes('offline_access')) {
    return 'It was asked for the scope offline_access and has not granted it: allow refresh tokens to this client there.';
  }
  return 'It lists no scope offline_access: allow refresh tokens to this client there, or try --scope offline_access.';
}

/**
 * OpenID Connect Core 11 wants `prompt=consent` with `offline_access`, and strict providers ignore the scope without it.
 * Where it would do harm it is left out: Entra ID asks an administrator then, even for what has been agreed to; and a
 * provider that lists its prompts without `consent` does not know it. The person's own `prompt` always wins.
 */
function consentPrompt(settings: RequestSettings, metadata: ProviderMetadata): Record<string, string> {
  if (!scopesToAskFor(settings, metadata).includes('offline_access') || 'prompt' in settings.authParams) return {};
  if (metadata.prompt_values_supported?.includes('consent') === false) return {};
  const { hostname } = new URL(metadata.issuer);
  if (/(^|\.)(microsoftonline\.(com|us|cn|de)|windows\.net|partner\.microsoftonline\.cn)$/.test(hostname)) return {};
  return { prompt: 'consent' };
}

export interface AuthorizationRequest {
  readonly redirectUri: string;
  readonly secrets: Secrets;
  readonly loginHint: string | undefined;
  readonly dpopThumbprint: string | undefined;
  /** The last sign-in brought no refresh token. */
  readonly withoutRefreshToken?: boolean | undefined;
}

/** RFC 6749 4.1.1, RFC 7636, OpenID Connect Core 3.1.2.1, RFC 9449 section 10. */
export function authorizationParameters(
  settings: RequestSettings,
  metadata: ProviderMetadata,
  { redirectUri, secrets, loginHint, dpopThumbprint, withoutRefreshToken = false }: AuthorizationRequest,
): Record<string, string> {
  return {
    ...(loginHint === undefined ? {} : { login_hint: loginHint }),
    ...offlineParameters(settings, metadata, withoutRefreshToken),
    ...settings.authParams,
    ...targetParameters(settings),
    ...(dpopThumbprint === undefined ? {} : { dpop_jkt: dpopThumbprint }),
    ...(secrets.nonce === undefined ? {} : { nonce: secrets.nonce }),
    ...scopeParameter(settings, metadata),
    response_type: 'code',
    redirect_uri: redirectUri,
    state: secrets.state,
    code_challenge: codeChallenge(secrets.verifier),
    code_challenge_method: 'S256',
  };
}

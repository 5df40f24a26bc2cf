import type { JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { createFetch, type Fetch } from '../../shared/net/http.ts';
import { neverSent } from '../../shared/net/network-errors.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { netDeps } from '../surroundings/net-deps.ts';
import type { Answer } from './answer.ts';
import {
  type AuthorizationRequest,
  authorizationParameters,
  codeChallenge,
  scopeParameter,
  type Secrets,
  targetParameters,
  unlistedScopes,
} from './authorization-request.ts';
import { clientMethods } from './client-auth.ts';
import { type DeviceCode, type PollResult, readDeviceCode } from './device-code.ts';
import { discover, endpoint, type ProviderMetadata, usableEndpoint } from './discovery.ts';
import type { DpopKey } from './dpop.ts';
import { isEncrypted, readIdToken } from './id-token.ts';
import type { KeySet } from './key-set.ts';
import { type Asker, deviceRefusal, isPassing, refreshRefusal, signInRefusal } from './refusals.ts';
import { createRequests, type Requests } from './requests.ts';
import { acceptTokens, tokensIn } from './token-answer.ts';
import { type TokenSet, UnusableAnswer } from './tokens.ts';

/** Which provider, as which client, and for what. */
export type ProviderSettings = Pick<
  Settings,
  | 'issuerUrl'
  | 'clientId'
  | 'clientSecretFile'
  | 'clientKeyFile'
  | 'scopes'
  | 'audience'
  | 'resource'
  | 'authParams'
  | 'token'
  | 'dpop'
  | 'certificateAuthority'
  | 'proxy'
>;

type ProviderDeps = Pick<Deps, 'env' | 'platform' | 'clock' | 'report' | 'signal'>;

/** One OpenID provider, as one client sees it. Every method may throw `provider_unavailable` and `client_refused`. */
export interface Provider {
  /** JSON; may be kept for a day and given to `connect` again. */
  readonly metadata: ProviderMetadata;
  /** What explains a refusal that comes by another way than an answer. */
  readonly asker: Asker;
  /** A new key; undefined unless DPoP is asked for. Throws `config_invalid`. */
  dpopKey(): Promise<DpopKey | undefined>;
  /** Where a browser begins the sign-in. Throws `provider_invalid`, and what a pushed request is refused with. */
  authorizationUrl(request: AuthorizationRequest): Promise<URL>;
  /** Tokens for a code. The provider's keys are there before the code is spent. */
  redeem(code: string, redirectUri: string, secrets: Secrets, dpop: DpopKey | undefined): Promise<TokenSet>;
  /** Undefined where the provider offers no device code, or at an address that nothing may be sent to. */
  readonly deviceEndpoint: string | undefined;
  startDevice(verifier: string): Promise<DeviceCode>;
  pollDevice(deviceCode: string, verifier: string, dpop: DpopKey | undefined): Promise<PollResult>;
  /**
   * Throws `sign_in_needed` only when the provider has definitely refused, and `UnusableAnswer` when the old refresh
   * token is spent but the answer is of no use. Without a new refresh token in the answer the old one is given back.
   */
  refresh(tokens: RefreshInput): Promise<TokenSet>;
  /** RFC 6749 section 4.4: for machines. */
  clientCredentials(): Promise<TokenSet>;
  /** RFC 7009. */
  revoke(token: Secret, hint: 'refresh_token' | 'access_token'): Promise<'revoked' | 'unsupported'>;
  /** Undefined where the provider offers no logout in the browser. */
  endSessionUrl(): Promise<URL | undefined>;
}

export interface RefreshInput {
  readonly refreshToken: Secret;
  readonly dpopKey?: JWK | undefined;
  /** `sub` of the ID token that the session began with (OIDC Core 12.2: it must not change). */
  readonly idTokenSub?: string | undefined;
}

interface Connection {
  readonly settings: ProviderSettings;
  readonly deps: ProviderDeps;
  readonly metadata: ProviderMetadata;
  readonly requests: Requests;
  readonly asker: Asker;
  /** Undefined where the provider publishes none: then TLS vouches for what it says. */
  readonly keys: () => Promise<KeySet | undefined>;
}

/**
 * Makes ready to talk to the provider: its description (unless a cached one for the same issuer is given), and how this
 * client authenticates. Throws `issuer_mismatch`, `provider_invalid`, `provider_unavailable`, `storage_unsafe`,
 * `config_invalid`.
 */
export async function connect(
  settings: ProviderSettings,
  deps: ProviderDeps,
  cached?: ProviderMetadata,
): Promise<Provider> {
  const { issuerUrl, clientId, dpop } = settings;
  const fetch = await fetchFor(settings, deps);
  const metadata = cached?.issuer === issuerUrl ? cached : await discover(fetch, issuerUrl);
  const methods = await clientMethods(settings, metadata, deps);
  const requests = createRequests({ metadata, clientId, methods, fetch, deps });
  const authenticates = settings.clientSecretFile !== undefined || settings.clientKeyFile !== undefined;
  const asker = { authenticates, unlistedScopes: unlistedScopes(settings, metadata) };
  let keySet: KeySet | undefined;
  const keys = async () => {
    const url = endpoint(metadata, 'jwks_uri');
    if (url === undefined) return undefined;
    const { createKeySet } = await import('./key-set.ts');
    return (keySet ??= createKeySet(fetch, url));
  };
  const at: Connection = { settings, deps, metadata, requests, asker, keys };
  return {
    metadata,
    asker,
    deviceEndpoint: usableEndpoint(metadata, 'device_authorization_endpoint'),
    dpopKey: async () => (dpop ? dpopOf(at, undefined) : undefined),
    authorizationUrl: (request) => authorizationUrl(at, request),
    redeem: (code, redirectUri, secrets, key) => redeem(at, code, redirectUri, secrets, key),
    startDevice: (verifier) => startDevice(at, verifier),
    pollDevice: (deviceCode, verifier, key) => pollDevice(at, deviceCode, verifier, key),
    refresh: (tokens) => refresh(at, tokens),
    clientCredentials: () => clientCredentials(at),
    revoke: (token, hint) => revoke(at, token, hint),
    async endSessionUrl() {
      if (usableEndpoint(metadata, 'end_session_endpoint') === undefined) return undefined;
      const { endSessionAddress } = await import('./addresses.ts');
      return endSessionAddress(metadata, clientId);
    },
  };
}

async function fetchFor(settings: ProviderSettings, deps: ProviderDeps): Promise<Fetch> {
  const certificateAuthority = await readAuthority(settings.certificateAuthority);
  const fetch = createFetch({
    certificateAuthority,
    proxy: settings.proxy,
    ...netDeps(deps),
  });
  return async (url, init) => {
    try {
      return await fetch(url, init);
    } catch (error) {
      if (deps.signal.aborted && !(error instanceof KleisError)) throw new KleisError('interrupted', 'Interrupted.');
      throw error;
    }
  };
}

/** Errors of a pushed request that the plain one would meet too. */
const ofTheRequest = new Set(['invalid_request', 'invalid_scope', 'invalid_target', 'invalid_redirect_uri']);

async function authorizationUrl(
  { settings, metadata, requests, asker }: Connection,
  request: AuthorizationRequest,
): Promise<URL> {
  const { clientId } = settings;
  const parameters = authorizationParameters(settings, metadata, request);
  if (endpoint(metadata, 'authorization_endpoint') === undefined) {
    throw new KleisError('provider_invalid', 'The provider offers no sign-in with a browser.', {
      hint: 'Use --login device.',
    });
  }
  const { authorizationAddress } = await import('./addresses.ts');
  const required = metadata.require_pushed_authorization_requests === true;
  const find = required ? endpoint : usableEndpoint;
  if (find(metadata, 'pushed_authorization_request_endpoint') === undefined) {
    return authorizationAddress(metadata, clientId, parameters);
  }
  const answer = await requests.push(parameters);
  const requestUri = answer.json?.['request_uri'];
  if (answer.ok && typeof requestUri === 'string') {
    return authorizationAddress(metadata, clientId, { request_uri: requestUri });
  }
  // Some list the endpoint and let only some clients use it; RFC 9126 section 5 leaves the choice to the client.
  if (!required && !ofTheRequest.has(answer.error ?? '')) return authorizationAddress(metadata, clientId, parameters);
  throw signInRefusal(answer, asker);
}

async function redeem(
  at: Connection,
  code: string,
  redirectUri: string,
  secrets: Secrets,
  dpop: DpopKey | undefined,
): Promise<TokenSet> {
  const keys = await at.keys();
  await keys?.ready();
  const parameters = { code, redirect_uri: redirectUri, code_verifier: secrets.verifier };
  const answer = await requestTokens(at, 'authorization_code', parameters, dpop);
  return tokensOf(at, answer, { refused: signInRefusal, keys, dpop, nonce: secrets.nonce, required: true });
}

async function startDevice(at: Connection, verifier: string): Promise<DeviceCode> {
  const { settings, metadata, requests, asker } = at;
  await (await at.keys())?.ready();
  const answer = await requests.startDevice({
    ...settings.authParams,
    ...targetParameters(settings),
    ...scopeParameter(settings, metadata),
    code_challenge: codeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  if (!answer.ok || answer.error !== undefined) throw deviceRefusal(answer, asker);
  return readDeviceCode(answer);
}

async function pollDevice(
  at: Connection,
  deviceCode: string,
  verifier: string,
  dpop: DpopKey | undefined,
): Promise<PollResult> {
  const parameters = { device_code: deviceCode, code_verifier: verifier };
  const answer = await requestTokens(at, 'urn:ietf:params:oauth:grant-type:device_code', parameters, dpop);
  if (answer.error === 'authorization_pending') return 'pending';
  if (answer.error === 'slow_down' || answer.status === 429) return 'slow_down';
  if (answer.error === 'expired_token') return 'expired';
  if (!answer.ok && isPassing(answer)) return 'pending';
  return tokensOf(at, answer, { refused: deviceRefusal, keys: await at.keys(), dpop, required: true });
}

async function refresh(at: Connection, { refreshToken, dpopKey, idTokenSub }: RefreshInput): Promise<TokenSet> {
  const dpop = dpopKey === undefined ? undefined : await dpopOf(at, dpopKey);
  const parameters = { refresh_token: refreshToken.reveal() };
  const answer = await requestTokens(at, 'refresh_token', parameters, dpop).catch((error: unknown) => {
    throw error instanceof KleisError && neverSent(error.cause) ? unsent(error) : error;
  });
  try {
    // Without keys: a key set that cannot be had must not cost a session.
    const rest = { keys: undefined, dpop, sub: idTokenSub, oldRefreshToken: refreshToken, required: false };
    return await tokensOf(at, answer, { refused: refreshRefusal, ...rest });
  } catch (error) {
    const fresh = answer.ok && answer.json ? tokensIn(answer.json).refreshToken : undefined;
    if (fresh === undefined || !(error instanceof KleisError)) throw error;
    throw new UnusableAnswer(error.code, error.message, fresh, { hint: error.hint, cause: error });
  }
}

async function dpopOf({ metadata }: Connection, kept: JWK | undefined): Promise<DpopKey> {
  const { createDpop } = await import('./dpop.ts');
  return createDpop(metadata, kept);
}

/** Of any other network error nobody knows whether the provider has replaced the refresh token. */
function unsent(error: KleisError): KleisError {
  const hint = 'Check the network and try again; nothing was lost.';
  return new KleisError(error.code, error.message, { hint, cause: error });
}

async function clientCredentials(at: Connection): Promise<TokenSet> {
  const { scopes, dpop: wanted } = at.settings;
  const dpop = wanted ? await dpopOf(at, undefined) : undefined;
  const parameters = scopes.length > 0 ? { scope: scopes.join(' ') } : {};
  const answer = await requestTokens(at, 'client_credentials', parameters, dpop);
  return tokensOf(at, answer, { refused: signInRefusal, keys: undefined, dpop, required: true });
}

async function revoke({ metadata, requests, asker }: Connection, token: Secret, hint: string) {
  if (endpoint(metadata, 'revocation_endpoint') === undefined) return 'unsupported';
  const answer = await requests.revoke(token, hint);
  if (answer.ok && answer.error === undefined) return 'revoked';
  if (answer.error === 'unsupported_token_type') return 'unsupported';
  throw signInRefusal(answer, asker);
}

function requestTokens(
  { settings, requests }: Connection,
  grant: string,
  parameters: Record<string, string>,
  dpop: DpopKey | undefined,
): Promise<Answer> {
  return requests.token(grant, { ...parameters, ...targetParameters(settings) }, dpop);
}

interface TokenRequest {
  readonly refused: (answer: Answer, asker: Asker) => KleisError;
  /** Undefined: the signature of the ID token is not checked. */
  readonly keys: KeySet | undefined;
  readonly dpop: DpopKey | undefined;
  readonly nonce?: string | undefined;
  readonly sub?: string | undefined;
  readonly oldRefreshToken?: Secret;
  /** The token for the cluster must be in the answer. */
  readonly required: boolean;
}

/** What the token endpoint's answer is worth. */
async function tokensOf(at: Connection, answer: Answer, request: TokenRequest): Promise<TokenSet> {
  const { settings, metadata, deps, asker } = at;
  const { keys, nonce, sub, dpop, required, oldRefreshToken } = request;
  const tokens = answer.json && tokensIn(answer.json);
  const empty = tokens?.idToken === undefined && tokens?.accessToken === undefined;
  if (!answer.ok || (answer.error !== undefined && empty)) throw request.refused(answer, asker);
  // Something between us and the provider answered in its place, or it is broken: nobody has refused anything.
  if (tokens === undefined) {
    const lost = oldRefreshToken !== undefined && answer.isPage ? '; nothing was lost' : '';
    throw new KleisError('provider_unavailable', `${clean(answer.host)} does not answer with JSON.`, {
      hint: `Try again: something between this machine and the provider may have answered in its place${lost}.`,
    });
  }
  let { idToken } = tokens;
  if (idToken !== undefined && isEncrypted(idToken.reveal())) {
    if (settings.token === 'id') {
      throw new KleisError('token_unusable', 'The ID token is encrypted, and no API server reads such a token.');
    }
    idToken = undefined;
  }
  const check = { metadata, clientId: settings.clientId, nonce, sub, keys };
  const claims = idToken && (await readIdToken(idToken.reveal(), check));
  const { token, scopes } = settings;
  const expected = { answer, now: deps.clock.now(), token, scopes, required, oldRefreshToken };
  return { ...acceptTokens({ ...tokens, idToken }, claims, expected), dpopKey: dpop?.jwk };
}

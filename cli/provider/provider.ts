import { parseObject } from '../../shared/json.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import type { JWK } from 'jose';
import * as oidc from 'openid-client';
import { KleisError } from '../../shared/errors.ts';
import { createFetch, type FetchInit } from '../../shared/net/http.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { Settings } from '../settings/sign-in.ts';
import { readClientProof, type ClientProof } from './client-auth.ts';
import { discover, type ProviderMetadata } from './discovery.ts';
import { createDpop, type DpopKey } from './dpop.ts';
import { authorizationParameters, codeChallenge, targetParameters } from './authorization-request.ts';
import {
  isPassing,
  readAnswer,
  refreshRefusal,
  refusesClient,
  signInRefusal,
  withoutSecrets,
  type Answer,
} from './refusals.ts';
import type { Exchange, SignInOptions } from '../sign-in/sign-in.ts';
import { invalidTokens, keepingRefreshToken, mendTokenAnswer, readTokens } from './token-answer.ts';
import type { TokenSet } from './tokens.ts';

/** One OpenID provider, as one client sees it. Every method may throw `provider_unavailable` and `client_refused`. */
export interface Provider {
  /** JSON; may be kept for a day and given to `connect` again. */
  readonly metadata: ProviderMetadata;
  /** Signs a person in, in the way that `settings.login` says. Throws the `sign_in_…` codes and `port_in_use`. */
  signIn(options: SignInOptions): Promise<TokenSet>;
  /**
   * Throws `sign_in_needed` only when the provider has definitely refused, and `UnusableAnswer` when the old refresh
   * token is spent but the answer is of no use. Without a new refresh token in the answer the old one is given back.
   */
  refresh(tokens: RefreshInput): Promise<TokenSet>;
  /** RFC 6749 section 4.4: for machines. */
  clientCredentials(): Promise<TokenSet>;
  /** RFC 7009. */
  revoke(token: Secret, hint: 'refresh_token' | 'access_token'): Promise<'revoked' | 'unsupported'>;
  /**
   * Where a browser ends the session at the provider (RP-Initiated Logout 1.0). Without an `id_token_hint`: the URL is
   * shown and given to a browser's command line, and a token that opens a cluster must be in neither.
   */
  endSessionUrl(): URL | undefined;
}

export interface RefreshInput {
  readonly refreshToken: Secret;
  readonly dpopKey?: JWK | undefined;
  /** `sub` of the ID token that the session began with (OIDC Core 12.2: it must not change). */
  readonly idTokenSub?: string | undefined;
}

/**
 * Makes ready to talk to the provider: its description (unless a cached one for the same issuer is given), and how this
 * client authenticates. Throws `issuer_mismatch`, `provider_invalid`, `provider_unavailable`,
 * `storage_unsafe`, `config_invalid`.
 */
export async function connect(settings: Settings, deps: Deps, cached?: ProviderMetadata): Promise<Provider> {
  const fetch = createFetch({
    certificateAuthority: await readAuthority(settings.certificateAuthority),
    proxy: settings.proxy,
    env: deps.env,
    signal: deps.signal,
  });
  const metadata =
    cached?.issuer === settings.issuerUrl
      ? cached
      : await unlessInterrupted(deps, () => discover(fetch, settings.issuerUrl));
  const proof = await readClientProof(settings, metadata, deps.platform);
  const methods = clientMethods(proof, metadata);
  let method = 0;

  /** Runs `work` with a configuration that notes what was answered, and once more where the client was refused. */
  async function call<T>(work: (configuration: oidc.Configuration) => Promise<T>, verify = false): Promise<Called<T>> {
    for (let tried = 0; ; tried += 1) {
      const noted: Noted = {};
      const configuration = configure(metadata, settings.clientId, methods[method] ?? oidc.None());
      configuration[oidc.customFetch] = async (url, init) => {
        const response = await fetch(url, init as FetchInit);
        if (init.method !== 'POST') return response;
        const text = await response.text();
        noted.answer = readAnswer(url, response, withoutSecrets(text, init.body), deps.clock.now());
        const json = response.status === 200 ? mendTokenAnswer(parseObject(text)) : undefined;
        noted.json = json;
        return rebuild(response, json ? JSON.stringify(json) : text, json !== undefined);
      };
      if (verify && metadata.jwks_uri !== undefined) oidc.enableNonRepudiationChecks(configuration);
      try {
        return { value: await work(configuration), ...noted };
      } catch (error) {
        const ours = findKleisError(error);
        if (ours) throw ours;
        if (deps.signal.aborted) throw new KleisError('interrupted', 'Interrupted.');
        if (noted.answer && refusesClient(noted.answer) && tried + 1 < methods.length) {
          method = (method + 1) % methods.length;
          deps.report.debug('the provider refused this client; trying its other way to authenticate');
          continue;
        }
        return { error, ...noted };
      }
    }
  }

  async function tokenRequest(
    grant: string,
    parameters: Record<string, string>,
    request: TokenRequest,
  ): Promise<TokenSet> {
    const body = { ...parameters, ...targetParameters(settings) };
    const { dpop } = request;
    const called = await call(async (configuration) => {
      const proofs = dpop ? { DPoP: oidc.getDPoPHandle(configuration, dpop.pair) } : undefined;
      return oidc.genericGrantRequest(configuration, grant, body, proofs);
    }, request.verify);
    const { answer, json } = called;
    if (answer === undefined) throw unexpected(called.error);
    const refused =
      answer.error !== undefined && json?.['access_token'] === undefined && json?.['id_token'] === undefined;
    if (answer.status !== 200 || refused) throw request.refused(answer);
    // Something between us and the provider answered in its place, or it is broken: nobody has refused anything.
    if (json === undefined)
      throw new KleisError('provider_unavailable', `${clean(answer.host)} does not answer with JSON.`);
    const context = { answer, settings, now: deps.clock.now(), dpop, ...request.expected };
    if (called.value === undefined) {
      throw keepingRefreshToken(invalidTokens(called.error, settings.clientId), json, request.expected.oldRefreshToken);
    }
    return readTokens(json, called.value.claims(), context);
  }

  const exchange: Exchange = {
    dpopKey: async () => (settings.dpop ? createDpop(metadata, undefined) : undefined),
    async authorizationUrl(request) {
      const parameters = authorizationParameters(settings, metadata, request);
      const plain = () => oidc.buildAuthorizationUrl(configure(metadata, settings.clientId, oidc.None()), parameters);
      if (metadata.authorization_endpoint === undefined) {
        throw new KleisError('provider_invalid', 'The provider offers no sign-in with a browser.', {
          hint: 'Use --login device.',
        });
      }
      if (metadata.pushed_authorization_request_endpoint === undefined) return plain();
      const called = await call((configuration) => oidc.buildAuthorizationUrlWithPAR(configuration, parameters));
      if (called.value) return called.value;
      const { answer } = called;
      if (answer === undefined) throw unexpected(called.error);
      // Some list the endpoint and let only some clients use it; RFC 9126 section 5 leaves the choice to the client.
      if (metadata.require_pushed_authorization_requests !== true && !ofTheRequest.has(answer.error ?? ''))
        return plain();
      throw signInRefusal(answer);
    },
    redeem: (code, redirectUri, secrets, dpop) =>
      tokenRequest(
        'authorization_code',
        { code, redirect_uri: redirectUri, code_verifier: secrets.verifier },
        { refused: signInRefusal, verify: true, dpop, expected: { nonce: secrets.nonce, wanted: settings.token } },
      ),
    async startDevice(verifier, scope) {
      const parameters = {
        ...settings.authParams,
        ...targetParameters(settings),
        ...(scope === '' ? {} : { scope }),
        code_challenge: codeChallenge(verifier),
        code_challenge_method: 'S256',
      };
      const called = await call((configuration) => oidc.initiateDeviceAuthorization(configuration, parameters));
      if (called.value) return called.value;
      if (called.answer === undefined) throw unexpected(called.error);
      if (called.answer.status !== 200) throw signInRefusal(called.answer);
      throw new KleisError(
        'provider_invalid',
        `${clean(called.answer.host)} answers the device sign-in with something else.`,
      );
    },
    async pollDevice(deviceCode, verifier, dpop) {
      let soft: 'pending' | 'slow_down' | undefined;
      try {
        return await tokenRequest(
          'urn:ietf:params:oauth:grant-type:device_code',
          { device_code: deviceCode, code_verifier: verifier },
          {
            verify: true,
            dpop,
            expected: { nonce: undefined, wanted: settings.token },
            refused(answer) {
              if (answer.error === 'authorization_pending') soft = 'pending';
              else if (answer.error === 'slow_down' || answer.status === 429) soft = 'slow_down';
              else if (isPassing(answer)) soft = 'pending';
              return signInRefusal(answer);
            },
          },
        );
      } catch (error) {
        if (soft) return soft;
        throw error;
      }
    },
  };

  return {
    metadata,
    signIn: (options) =>
      unlessInterrupted(deps, async () => {
        // Listener, page, QR code and the rest: nothing that a refresh needs, and it is refreshes that must be quick.
        const { signIn } = await import('../sign-in/sign-in.ts');
        return signIn({ settings, deps, metadata, exchange }, options);
      }),
    refresh: (tokens) =>
      unlessInterrupted(deps, async () =>
        tokenRequest(
          'refresh_token',
          { refresh_token: tokens.refreshToken.reveal() },
          {
            refused: refreshRefusal,
            // TLS vouches for the token (OIDC Core 3.1.3.7, point 6): a key set that cannot be had must not cost a session.
            verify: false,
            dpop: tokens.dpopKey === undefined ? undefined : await createDpop(metadata, tokens.dpopKey),
            expected: {
              nonce: undefined,
              wanted: undefined,
              sub: tokens.idTokenSub,
              oldRefreshToken: tokens.refreshToken,
            },
          },
        ),
      ),
    clientCredentials: () =>
      unlessInterrupted(deps, async () =>
        tokenRequest('client_credentials', settings.scopes.length > 0 ? { scope: settings.scopes.join(' ') } : {}, {
          refused: signInRefusal,
          verify: false,
          dpop: await exchange.dpopKey(),
          expected: { nonce: undefined, wanted: settings.token },
        }),
      ),
    revoke: (token, hint) => unlessInterrupted(deps, () => revoke(metadata, call, token, hint)),
    endSessionUrl() {
      if (metadata.end_session_endpoint === undefined) return undefined;
      return oidc.buildEndSessionUrl(configure(metadata, settings.clientId, oidc.None()));
    },
  };
}

/** Errors of a pushed request that the plain one would meet too. */
const ofTheRequest = new Set(['invalid_request', 'invalid_scope', 'invalid_target', 'invalid_redirect_uri']);

/** The last POST's answer; `json` is that of a 200. */
interface Noted {
  answer?: Answer;
  json?: Record<string, unknown> | undefined;
}

interface Called<T> extends Noted {
  readonly value?: T;
  readonly error?: unknown;
}

interface TokenRequest {
  readonly refused: (answer: Answer) => KleisError;
  /** Check the ID token's signature with the provider's keys. */
  readonly verify: boolean;
  readonly dpop: DpopKey | undefined;
  readonly expected: {
    readonly nonce: string | undefined;
    /** The token that must be in the answer. */
    readonly wanted: 'id' | 'access' | undefined;
    readonly sub?: string | undefined;
    readonly oldRefreshToken?: Secret;
  };
}

type Call = <T>(work: (configuration: oidc.Configuration) => Promise<T>) => Promise<Called<T>>;

async function revoke(
  metadata: ProviderMetadata,
  call: Call,
  token: Secret,
  hint: string,
): Promise<'revoked' | 'unsupported'> {
  if (metadata.revocation_endpoint === undefined) return 'unsupported';
  const called = await call(async (configuration) => {
    await oidc.tokenRevocation(configuration, token.reveal(), { token_type_hint: hint });
    return true;
  });
  const { answer } = called;
  if (called.value === true) return 'revoked';
  if (answer?.error === 'unsupported_token_type') return 'unsupported';
  throw answer === undefined ? unexpected(called.error) : signInRefusal(answer);
}

function configure(metadata: ProviderMetadata, clientId: string, auth: oidc.ClientAuth): oidc.Configuration {
  // Times are checked in token-answer.ts, which knows how to say whose clock is wrong.
  const client = { [oidc.clockTolerance]: Number.MAX_SAFE_INTEGER };
  const configuration = new oidc.Configuration(metadata as oidc.ServerMetadata, clientId, client, auth);
  // shared/net/http.ts has its own bound on time.
  configuration.timeout = 0;
  // Discovery has made sure that this is loopback.
  // oxlint-disable-next-line typescript/no-deprecated -- deprecated to stand out, which is what is wanted
  if (metadata.issuer.startsWith('http:')) oidc.allowInsecureRequests(configuration);
  return configuration;
}

/** The ways in which this client can authenticate, the likeliest first. */
function clientMethods(proof: ClientProof, metadata: ProviderMetadata): oidc.ClientAuth[] {
  if (proof.kind === 'none') return [oidc.None()];
  if (proof.kind === 'secret') {
    const secret = proof.secret.reveal();
    return proof.methods.map((method) =>
      method === 'client_secret_basic' ? oidc.ClientSecretBasic(secret) : oidc.ClientSecretPost(secret),
    );
  }
  const key = proof.kid === undefined ? { key: proof.key } : { key: proof.key, kid: proof.kid };
  const signed = (audience: string | undefined) =>
    oidc.PrivateKeyJwt(key, {
      [oidc.modifyAssertion](header, payload) {
        header['alg'] = proof.alg;
        if (audience !== undefined) payload['aud'] = audience;
      },
    });
  // The issuer is the audience that cannot be misused (RFC 7523bis); some know only their token endpoint.
  const sameOrigin = new URL(metadata.token_endpoint).origin === new URL(metadata.issuer).origin;
  return sameOrigin ? [signed(undefined), signed(metadata.token_endpoint)] : [signed(undefined)];
}

function rebuild(response: Response, text: string, isJson: boolean): Response {
  const headers = new Headers(response.headers);
  if (isJson) headers.set('content-type', 'application/json');
  const empty = response.status === 204 || response.status === 205 || response.status === 304;
  return new Response(empty ? null : text, { status: response.status, headers });
}

function findKleisError(error: unknown): KleisError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof KleisError) return at;
  }
  return undefined;
}

function unexpected(error: unknown): KleisError {
  const why = error instanceof Error ? error.message : String(error);
  return new KleisError('provider_invalid', `The provider cannot be used: ${clean(why)}.`, { cause: error });
}

async function unlessInterrupted<T>(deps: Deps, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof KleisError) throw error;
    if (deps.signal.aborted) throw new KleisError('interrupted', 'Interrupted.');
    throw error;
  }
}

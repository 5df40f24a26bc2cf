import * as oidc from 'openid-client';
import { KleisError } from '../../../shared/errors.ts';
import { readAuthority } from '../../../shared/net/certificates.ts';
import { createFetch, type FetchInit } from '../../../shared/net/http.ts';
import { systemCode } from '../../../shared/read-file.ts';
import { isHttpsOrLoopback } from '../../../shared/net/url.ts';
import { Secret } from '../../../shared/secret.ts';
import { clean } from '../../../shared/text.ts';
import type { IssuerConfig, WebConfig } from '../../config/broker-config.ts';
import type { Pending } from './pending.ts';

/** The provider at which people sign in to the page, as the client of the page sees it. */
export interface Provider {
  /** Where the browser goes to sign in. Throws `issuer_unavailable`. */
  authorizationUrl(pending: Pick<Pending, 'nonce' | 'verifier'> & { readonly state: string }): Promise<URL>;
  /**
   * The ID token for what the browser came back with; only its signature is not proved yet. Throws `sign_in_refused`,
   * `sign_in_invalid`, `client_refused`, `issuer_unavailable`.
   */
  redeem(query: URLSearchParams, pending: Pending & { readonly state: string }): Promise<Secret>;
  /** Where the session at the provider ends; undefined where it offers that not, or is not known yet. Asks nobody. */
  endSessionUrl(): URL | undefined;
}

export interface ProviderDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
  /** What `clientSecretFile` holds. Throws `config_invalid`, `storage_unsafe`. */
  readonly readSecret: (file: string) => Promise<string>;
}

export interface ProviderSettings {
  readonly issuer: Pick<IssuerConfig, 'certificateAuthority' | 'signIn'> & { readonly url: string };
  readonly web: WebConfig;
  /** Addresses of ours, as they are registered with the provider. */
  readonly callback: string;
  readonly signedOut: string;
}

// oxlint-disable-next-line typescript/no-deprecated -- deprecated to stand out, which is what is wanted
const allowInsecure = oidc.allowInsecureRequests;

/** Milliseconds. The description of a provider changes with its releases; a person waits no longer than that for it. */
const freshness = 10 * 60_000;
const timeout = 10_000;
/** Of a provider that did not answer, however many people come: as long as they are told to wait. */
const restAfterFault = 2_000;
/** What the page has a use for, where the issuer's entry says nothing. */
const usualScopes = ['profile', 'email', 'groups'];

interface Known {
  readonly at: number;
  readonly metadata: oidc.ServerMetadata;
  readonly fetch: oidc.CustomFetch;
}

export function createProvider({ issuer, web, callback, signedOut }: ProviderSettings, deps: ProviderDeps): Provider {
  let known: Known | undefined;
  let asking: Promise<Known> | undefined;
  let failed: { readonly at: number; readonly error: unknown } | undefined;
  // The configuration has made sure that it is.
  const isLoopback = issuer.url.startsWith('http:');
  /** Of `clientMethods`, the one that worked. */
  let preferred = 0;

  /** One question for all who come while it is asked: nobody has signed in yet. Throws `issuer_unavailable`. */
  async function discover(): Promise<Known> {
    const now = deps.now();
    if (known !== undefined && Math.abs(now - known.at) < freshness) return known;
    if (failed !== undefined && Math.abs(now - failed.at) < restAfterFault) throw failed.error;
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function ask(): Promise<Known> {
    try {
      known = await readMetadata();
      failed = undefined;
      return known;
    } catch (error) {
      failed = { at: deps.now(), error };
      throw error;
    }
  }

  async function readMetadata(): Promise<Known> {
    const fetch = await fetchFor(issuer.certificateAuthority, deps);
    const execute = isLoopback ? [allowInsecure] : [];
    const found = await oidc
      .discovery(new URL(issuer.url), web.clientId, undefined, oidc.None(), { execute, [oidc.customFetch]: fetch })
      .catch((error: unknown) => {
        throw unavailable(error);
      });
    return { at: deps.now(), metadata: found.serverMetadata(), fetch };
  }

  function configure({ metadata, fetch }: Known, method: oidc.ClientAuth): oidc.Configuration {
    const configuration = new oidc.Configuration(metadata, web.clientId, undefined, method);
    configuration[oidc.customFetch] = fetch;
    if (isLoopback) allowInsecure(configuration);
    return configuration;
  }

  return {
    async authorizationUrl({ nonce, verifier, state }) {
      const found = await discover();
      if (!isUsable(found.metadata.authorization_endpoint)) {
        throw new KleisError('issuer_unavailable', 'The provider offers no sign-in with a browser.', {
          hint: tellAdmin,
        });
      }
      return oidc.buildAuthorizationUrl(configure(found, oidc.None()), {
        redirect_uri: callback,
        scope: scopesOf(issuer, found.metadata).join(' '),
        state,
        nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      });
    },

    async redeem(query, { nonce, verifier, state }) {
      const found = await discover();
      const methods = await clientMethods(web, found.metadata, deps.readSecret);
      const url = new URL(callback);
      url.search = query.toString();
      for (let left = methods.length; ; left -= 1) {
        const configuration = configure(found, methods[preferred % methods.length]!);
        try {
          const tokens = await oidc.authorizationCodeGrant(configuration, url, {
            pkceCodeVerifier: verifier,
            expectedState: state,
            expectedNonce: nonce,
            idTokenExpected: true,
          });
          return new Secret(tokens.id_token!);
        } catch (error) {
          // Before it looks at the code a provider looks at the client: the code is as good as before.
          if (left <= 1 || !refusesClient(error)) throw explain(error);
          preferred += 1;
        }
      }
    },

    endSessionUrl() {
      if (known === undefined || !isUsable(known.metadata.end_session_endpoint)) return undefined;
      return oidc.buildEndSessionUrl(configure(known, oidc.None()), { post_logout_redirect_uri: signedOut });
    },
  };
}

async function fetchFor(
  authority: string | undefined,
  { env, now }: Pick<ProviderDeps, 'env' | 'now'>,
): Promise<oidc.CustomFetch> {
  const fetch = createFetch({ certificateAuthority: await readAuthority(authority), env, now, timeout });
  return async (url, { method, headers, body, redirect }) =>
    fetch(url, { method, headers, body: body as FetchInit['body'], ...(redirect === 'manual' && { redirect }) });
}

/** The likeliest first. RFC 8414 section 2: a provider that does not say takes client_secret_basic. */
async function clientMethods(
  { clientSecretFile }: WebConfig,
  metadata: oidc.ServerMetadata,
  readSecret: ProviderDeps['readSecret'],
): Promise<readonly oidc.ClientAuth[]> {
  if (clientSecretFile === undefined) return [oidc.None()];
  const secret = await readSecret(clientSecretFile);
  const methods = [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)];
  const supported = metadata.token_endpoint_auth_methods_supported;
  return supported !== undefined && !supported.includes('client_secret_basic') ? methods.toReversed() : methods;
}

/** No refresh token is asked for: the page would have no use for one. */
function scopesOf(
  { signIn }: ProviderSettings['issuer'],
  { scopes_supported: supported }: oidc.ServerMetadata,
): string[] {
  const wanted = signIn?.scopes ?? usualScopes.filter((scope) => supported?.includes(scope));
  return ['openid', ...wanted.filter((scope) => scope !== 'openid' && scope !== 'offline_access')];
}

function isUsable(address: string | undefined): boolean {
  const url = address === undefined ? null : URL.parse(address);
  return url !== null && isHttpsOrLoopback(url);
}

const tellAdmin = 'Tell the administrator of the broker, with the id of the request.';

function refusesClient(error: unknown): boolean {
  const found = causesOf(error).find(
    (each) => each instanceof oidc.ResponseBodyError || each instanceof oidc.WWWAuthenticateChallengeError,
  );
  return found instanceof oidc.ResponseBodyError
    ? found.error === 'invalid_client' || found.error === 'unauthorized_client'
    : found?.status === 401;
}

/** What ended a sign-in, for who tried it. What a provider says of it is shown to nobody but them. */
function explain(error: unknown): KleisError {
  const causes = causesOf(error);
  const detail = detailOf(causes);
  const refusal = causes.find((each) => each instanceof oidc.AuthorizationResponseError);
  if (refusal !== undefined) {
    const why = clean(refusal.error_description ?? refusal.error, 300).replace(/\.$/, '');
    return new KleisError('sign_in_refused', `The provider refused the sign-in: ${why}.`, { detail, cause: error });
  }
  if (refusesClient(error)) {
    return new KleisError('client_refused', 'The provider refuses the client of this page.', {
      hint: tellAdmin,
      detail,
      cause: error,
    });
  }
  const answer = causes.find((each) => each instanceof oidc.ResponseBodyError);
  if (answer === undefined && causes.some(isOfNetwork)) return unavailable(error);
  return new KleisError('sign_in_invalid', 'The answer of the provider cannot be used.', {
    hint: 'Begin the sign-in anew; if it keeps happening, tell the administrator of the broker.',
    detail,
    cause: error,
  });
}

function unavailable(error: unknown): KleisError {
  return new KleisError('issuer_unavailable', 'The provider of your sign-in does not answer as it should.', {
    hint: 'Try again in a moment; if it stays so, tell the administrator of the broker.',
    detail: detailOf(causesOf(error)),
    cause: error,
  });
}

function isOfNetwork(error: unknown): boolean {
  if (error instanceof KleisError) return error.code === 'provider_unavailable' || error.code === 'provider_invalid';
  return error instanceof oidc.ClientError && error.code === 'OAUTH_RESPONSE_IS_NOT_CONFORM';
}

/** openid-client puts what our own client throws behind errors of its own. */
function causesOf(error: unknown): readonly unknown[] {
  const found: unknown[] = [];
  for (let each = error; each instanceof Error && found.length < 8; each = each.cause) found.push(each);
  return found;
}

/** For the log: codes, and of our own client its message. */
function detailOf(causes: readonly unknown[]): string {
  return clean(causes.map(describe).join('; '), 400);
}

function describe(cause: unknown): string {
  if (cause instanceof KleisError) return cause.message;
  if (cause instanceof oidc.ResponseBodyError) return `${cause.error} ${cause.error_description ?? ''}`;
  return systemCode(cause) ?? (cause instanceof Error ? cause.message : '');
}

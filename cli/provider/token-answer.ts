import { KleisError, type ErrorCode, type ErrorDetails } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { DpopKey } from './dpop.ts';
import { describeSkew, type Answer } from './refusals.ts';
import { UnusableAnswer, type TokenSet } from './tokens.ts';

const year = 366 * 86_400_000;
/** The API server itself forgives five minutes for `nbf` and none for `exp`; beyond them a token is of no use. */
const forgivenFuture = 5 * 60_000;
/** Clocks of two machines that are kept right are never this far apart, and a Date header has whole seconds. */
const noticeableSkew = 30_000;

interface Expected {
  readonly answer: Answer;
  readonly settings: Settings;
  readonly now: number;
  readonly dpop: DpopKey | undefined;
  readonly nonce: string | undefined;
  readonly wanted: 'id' | 'access' | undefined;
  readonly sub?: string | undefined;
  readonly oldRefreshToken?: Secret;
}

/** Claims of an ID token that the library has checked (`iss`, `aud`, `azp`, types, signature where asked). */
type Claims = Readonly<Record<string, unknown>> | undefined;

/**
 * Makes the successful answer of the token endpoint what RFC 6749 section 5.1 says, where real providers do not:
 * `null` or empty members, `expires_in` as text or nonsense, no `token_type`, an ID token without an access token.
 */
export function mendTokenAnswer(json: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  if (json === undefined) return undefined;
  const mended = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null && value !== ''));
  if ('expires_in' in mended) {
    const seconds = Number(mended['expires_in']);
    if (Number.isFinite(seconds) && seconds > 0) mended['expires_in'] = seconds;
    else delete mended['expires_in'];
  }
  if (typeof mended['scope'] !== 'string') delete mended['scope'];
  // The start of a device sign-in is read here too: an older draft's name for the address, and numbers as text.
  mended['verification_uri'] ??= mended['verification_url'];
  if ('interval' in mended && !(Number(mended['interval']) > 0)) delete mended['interval'];
  else if ('interval' in mended) mended['interval'] = Number(mended['interval']);
  if ('access_token' in mended || 'id_token' in mended) {
    mended['access_token'] ??= noAccessToken;
    mended['token_type'] ??= 'Bearer';
  }
  return mended;
}

const noAccessToken = 'none';

/**
 * The answer as a `TokenSet`. Throws `clock_skewed`, `sign_in_invalid`, `token_unusable`; as `UnusableAnswer` where that
 * would lose a refresh token.
 */
export function readTokens(json: Record<string, unknown>, claims: Claims, expected: Expected): TokenSet {
  const { now, answer, settings, dpop } = expected;
  const fresh = secretOf(json['refresh_token']);
  const fail = (code: ErrorCode, message: string, details: ErrorDetails = {}): never => {
    throw keepingRefreshToken(new KleisError(code, message, details), json, expected.oldRefreshToken);
  };
  let idToken = secretOf(json['id_token']);
  if (claims !== undefined) {
    if (expected.nonce !== undefined && claims['nonce'] !== expected.nonce) {
      fail('sign_in_invalid', 'The ID token was not made for this sign-in (its nonce is another).');
    }
    if (expected.sub !== undefined && clean(claims['sub'], 255) !== expected.sub) {
      fail('sign_in_invalid', 'The provider renewed the session with the ID token of somebody else.');
    }
    const time = checkTimes(claims, now, answer);
    if (time?.kind === 'skewed') fail('clock_skewed', time.message);
    if (time?.kind === 'stale') {
      // Some hand out the first ID token again and again: that is as good as none.
      if (expected.oldRefreshToken === undefined) fail('token_unusable', time.message);
      idToken = undefined;
    }
  }
  const accessToken = json['access_token'] === noAccessToken ? undefined : secretOf(json['access_token']);
  if (expected.wanted === 'id' && idToken === undefined) {
    fail('token_unusable', 'The provider issued no ID token.', {
      hint: settings.scopes.includes('openid')
        ? 'Use --token access, if the cluster takes access tokens.'
        : 'Ask for it: --scope openid',
    });
  }
  if (settings.token === 'access') {
    if (expected.wanted === 'access' && accessToken === undefined)
      fail('token_unusable', 'The provider issued no access token.');
    if (String(json['token_type']).toLowerCase() === 'dpop') {
      fail('token_unusable', 'The access token is bound to a key (DPoP), and no API server can check that.', {
        hint: 'Use --token id, or leave --dpop out.',
      });
    }
  }
  if (!isPlain(idToken) || !isPlain(accessToken))
    fail('token_unusable', 'The provider issued a token with blanks or control characters in it.');
  const seconds = json['expires_in'];
  const exp = idToken === undefined ? undefined : claims?.['exp'];
  return {
    idToken,
    accessToken,
    refreshToken: fresh ?? expected.oldRefreshToken,
    idTokenExpiresAt: typeof exp === 'number' ? Math.min(exp * 1000, now + 10 * year) : undefined,
    accessTokenExpiresAt: typeof seconds === 'number' ? now + Math.min(seconds * 1000, year) : undefined,
    issuedAt: now,
    dpopKey: dpop?.jwk,
    subject: claims === undefined ? undefined : subjectOf(claims),
  };
}

/** What is wrong with the answer to a refresh, together with the refresh token that has replaced the `old` one. */
export function keepingRefreshToken(
  error: KleisError,
  json: Record<string, unknown>,
  old: Secret | undefined,
): KleisError {
  const fresh = secretOf(json['refresh_token']);
  if (old === undefined || fresh === undefined) return error;
  return new UnusableAnswer(error.code, error.message, fresh, { hint: error.hint, cause: error });
}

function checkTimes(
  claims: Readonly<Record<string, unknown>>,
  now: number,
  { clockAhead }: Answer,
): { kind: 'skewed' | 'stale'; message: string } | undefined {
  const time = (name: string) => (typeof claims[name] === 'number' ? claims[name] * 1000 : undefined);
  const skew = clockAhead === undefined || Math.abs(clockAhead) < noticeableSkew ? undefined : describeSkew(clockAhead);
  const exp = time('exp');
  if (exp !== undefined && exp <= now) {
    const message = 'The ID token had already expired when it came.';
    // Stale only where both clocks are seen to agree.
    const agree = clockAhead !== undefined && clockAhead < noticeableSkew;
    return agree
      ? { kind: 'stale', message }
      : { kind: 'skewed', message: `${message} ${skew ?? 'The clock of this machine may be wrong.'}` };
  }
  const from = Math.max(time('iat') ?? 0, time('nbf') ?? 0);
  if (from > now + forgivenFuture) {
    return { kind: 'skewed', message: `The ID token is from the future. ${skew ?? describeSkew(now - from)}` };
  }
  return undefined;
}

function subjectOf(claims: Readonly<Record<string, unknown>>): NonNullable<TokenSet['subject']> {
  const name = ['email', 'preferred_username', 'name']
    .map((claim) => claims[claim])
    .find((value) => typeof value === 'string' && value !== '');
  return { sub: clean(claims['sub'], 255), name: name === undefined ? undefined : clean(name, 100) };
}

function secretOf(value: unknown): Secret | undefined {
  return typeof value === 'string' && value.trim() !== '' ? new Secret(value.trim()) : undefined;
}

/** What fits into a header and one line of JSON; a token is nothing else (RFC 6750 section 2.1). */
function isPlain(token: Secret | undefined): boolean {
  return token === undefined || /^[\x21-\x7e]+$/.test(token.reveal());
}

/** A 200 whose tokens the library does not accept: says which of its checks failed, never what was in the token. */
export function invalidTokens(error: unknown, clientId: string): KleisError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const { claim, reason } = innerCause(error);
  if (code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED') {
    const names: Record<string, string> = {
      aud: `another client than ${clean(clientId)}`,
      azp: 'another client',
      iss: 'another issuer',
    };
    return new KleisError(
      'sign_in_invalid',
      `The ID token is not for us: it names ${names[claim ?? ''] ?? `another ${clean(claim, 20)}`}.`,
      { cause: error },
    );
  }
  if (code === 'OAUTH_KEY_SELECTION_FAILED') {
    return new KleisError('sign_in_invalid', 'The ID token is signed with a key that the provider does not publish.', {
      cause: error,
    });
  }
  const why = reason ?? (error instanceof Error ? error.message : 'unknown');
  return new KleisError('sign_in_invalid', `The provider's answer fails a check: ${clean(why, 120)}.`, {
    cause: error,
  });
}

function innerCause(error: unknown): { claim: string | undefined; reason: string | undefined } {
  let claim: string | undefined;
  let reason: string | undefined;
  for (let at = error; typeof at === 'object' && at !== null; at = (at as { cause?: unknown }).cause) {
    if ('claim' in at && typeof at.claim === 'string') claim = at.claim;
    if (at instanceof Error && at.message !== '') reason = at.message;
  }
  return { claim, reason };
}

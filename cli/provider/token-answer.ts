import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { asText, clean } from '../../shared/text.ts';
import type { Answer } from './answer.ts';
import type { Claims } from './id-token.ts';
import { describeSkew } from './refusals.ts';
import type { TokenSet } from './tokens.ts';

const year = 366 * 86_400_000;
/** The API server itself forgives five minutes for `nbf` and none for `exp`; beyond them a token is of no use. */
const forgivenFuture = 5 * 60_000;
/** Clocks of two machines that are kept right are never this far apart, and a Date header has whole seconds. */
const noticeableSkew = 30_000;

interface Expected {
  readonly answer: Answer;
  readonly now: number;
  /** What the cluster gets. */
  readonly token: 'id' | 'access';
  readonly scopes: readonly string[];
  /** The answer must have that token in it: a sign-in's, not a refresh's. */
  readonly required: boolean;
  readonly oldRefreshToken: Secret | undefined;
}

/** The members of a successful answer that are used (RFC 6749 section 5.1), each judged for itself, as real providers need. */
export interface Tokens {
  readonly idToken: Secret | undefined;
  readonly accessToken: Secret | undefined;
  readonly refreshToken: Secret | undefined;
  /** Bound to a key (RFC 9449). */
  readonly bound: boolean;
  /** Seconds; of the access token. */
  readonly expiresIn: number | undefined;
}

export function tokensIn(json: NonNullable<Answer['json']>): Tokens {
  return {
    idToken: secretOf(json['id_token']),
    accessToken: secretOf(json['access_token']),
    refreshToken: secretOf(json['refresh_token']),
    bound: asText(json['token_type']).toLowerCase() === 'dpop',
    expiresIn: positive(json['expires_in']),
  };
}

/** The tokens as a `TokenSet`. Throws `clock_skewed`, `token_unusable`. */
export function acceptTokens(tokens: Tokens, claims: Claims | undefined, expected: Expected): TokenSet {
  const { now, answer, token, required, oldRefreshToken } = expected;
  let { idToken } = tokens;
  const { accessToken, expiresIn } = tokens;
  const time = claims && checkTimes(claims, now, answer);
  if (time?.kind === 'skewed') throw new KleisError('clock_skewed', time.message);
  if (time?.kind === 'stale') {
    // Some hand out the first ID token again and again: that is as good as none.
    if (oldRefreshToken === undefined) throw new KleisError('token_unusable', time.message);
    idToken = undefined;
  }
  if (required && token === 'id' && idToken === undefined) {
    throw new KleisError('token_unusable', 'The provider issued no ID token.', {
      hint: expected.scopes.includes('openid')
        ? 'Use --token access, if the cluster takes access tokens.'
        : 'Ask for it: --scope openid',
    });
  }
  if (token === 'access') {
    if (required && accessToken === undefined)
      throw new KleisError('token_unusable', 'The provider issued no access token.');
    if (tokens.bound) {
      throw new KleisError(
        'token_unusable',
        'The access token is bound to a key (DPoP), and no API server can check that.',
        {
          hint: 'Use --token id, or leave --dpop out.',
        },
      );
    }
  }
  if (!isPlain(idToken) || !isPlain(accessToken))
    throw new KleisError('token_unusable', 'The provider issued a token with blanks or control characters in it.');
  const exp = idToken && claims && timeOf(claims['exp']);
  return {
    idToken,
    accessToken,
    refreshToken: tokens.refreshToken ?? oldRefreshToken,
    idTokenExpiresAt: exp === undefined ? undefined : Math.min(exp, now + 10 * year),
    accessTokenExpiresAt: expiresIn === undefined ? undefined : now + Math.min(expiresIn * 1000, year),
    issuedAt: now,
    dpopKey: undefined,
    subject: claims && subjectOf(claims),
  };
}

function checkTimes(
  claims: Claims,
  now: number,
  { clockAhead }: Answer,
): { kind: 'skewed' | 'stale'; message: string } | undefined {
  const skew = clockAhead === undefined || Math.abs(clockAhead) < noticeableSkew ? undefined : describeSkew(clockAhead);
  const exp = timeOf(claims['exp']);
  if (exp === undefined) return { kind: 'stale', message: 'The ID token does not say when it ends (it has no exp).' };
  if (exp <= now) {
    const message = 'The ID token had already expired when it came.';
    // Stale only where both clocks are seen to agree.
    const agree = clockAhead !== undefined && clockAhead < noticeableSkew;
    return agree
      ? { kind: 'stale', message }
      : { kind: 'skewed', message: `${message} ${skew ?? 'The clock of this machine may be wrong.'}` };
  }
  const from = Math.max(timeOf(claims['iat']) ?? 0, timeOf(claims['nbf']) ?? 0);
  if (from > now + forgivenFuture) {
    return { kind: 'skewed', message: `The ID token is from the future. ${skew ?? describeSkew(now - from)}` };
  }
  return undefined;
}

/** A NumericDate (RFC 7519 section 2) in milliseconds; the API server reads one in quotes too. */
function timeOf(value: unknown): number | undefined {
  const seconds = positive(value);
  return seconds === undefined ? undefined : seconds * 1000;
}

function positive(value: unknown): number | undefined {
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : NaN;
  return Number.isFinite(number) && number > 0 ? number : undefined;
}

function subjectOf(claims: Claims): NonNullable<TokenSet['subject']> {
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

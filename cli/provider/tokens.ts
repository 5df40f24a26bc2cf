import type { JWK } from 'jose';
import { KleisError, type ErrorCode, type ErrorDetails } from '../../shared/errors.ts';
import type { Secret } from '../../shared/secret.ts';

/** What a provider issued: RFC 6749 section 5.1 and OpenID Connect Core 3.1.3.3. Times in milliseconds since the epoch. */
export interface TokenSet {
  readonly idToken: Secret | undefined;
  readonly accessToken: Secret | undefined;
  readonly refreshToken: Secret | undefined;
  /** `exp` of the ID token. */
  readonly idTokenExpiresAt: number | undefined;
  /** From `expires_in`; unknown if the provider does not say. */
  readonly accessTokenExpiresAt: number | undefined;
  /** When the answer arrived. */
  readonly issuedAt: number;
  /** The private key that DPoP binds the refresh token to (RFC 9449 section 5). */
  readonly dpopKey: JWK | undefined;
  /** `sub` and a name for people (`email`, `preferred_username` or `name`), already cleaned. */
  readonly subject: { readonly sub: string; readonly name: string | undefined } | undefined;
}

/** What to call the person whose tokens these are. */
export function nameOf(subject: TokenSet['subject']): string | undefined {
  return subject?.name ?? subject?.sub;
}

/** The same for sentences. */
export function whoIs(subject: TokenSet['subject']): string {
  return nameOf(subject) ?? 'someone without a name';
}

/**
 * The answer to a refresh cannot be used (a clock that is off, for one), but the provider has already replaced the
 * refresh token: whoever keeps the session must keep this one, or the person has to sign in again for nothing.
 */
export class UnusableAnswer extends KleisError {
  readonly refreshToken: Secret;

  constructor(code: ErrorCode, message: string, refreshToken: Secret, details: ErrorDetails = {}) {
    super(code, message, details);
    this.refreshToken = refreshToken;
  }
}

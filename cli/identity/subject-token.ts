import { formatTime } from '../../shared/duration.ts';
import { type Claims, decodeUnverified, JwtFault, tokenHash, claimOf } from '../../shared/jwt.ts';
import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';

/** A token that says who this job or machine is. Whoever gets it verifies it; here it is only read. */
export interface SubjectToken {
  readonly token: Secret;
  /** SHA-256 of the token, in hex. */
  readonly hash: string;
  readonly issuer: string | undefined;
  /** Never empty. */
  readonly audiences: readonly string[];
  /** Milliseconds; now if the token does not say. */
  readonly issuedAt: number;
  /** Milliseconds. */
  readonly expiresAt: number;
}

// As much as a broker allows at most (design 3.3): what ended longer ago, nobody takes.
const leeway = 60_000;

/**
 * Checks that a text from the surroundings is a signed JWT that says for whom it is and until when, and has not ended. It
 * leaves the machine only then: a variable or a file named by mistake may hold any other secret, and what is for
 * everybody and for ever (a Secret's service account token) is worth more than whoever gets it should have.
 *
 * @param where begins the sentences of errors: `The token in KLEIS_ID_TOKEN`
 * @throws KleisError `subject_malformed`, `subject_expired`
 */
export function readSubject(text: unknown, where: string, now: number): SubjectToken {
  const token = typeof text === 'string' ? text.trim() : text;
  let claims: Claims;
  try {
    ({ claims } = decodeUnverified(token));
  } catch (error) {
    if (!(error instanceof JwtFault)) throw error;
    throw new KleisError('subject_malformed', `${where} cannot be used. ${error.message}`, {
      hint: 'Give the ID token exactly as its platform made it; see docs/ci/README.md.',
    });
  }
  const expiresAt = time(claims, 'exp');
  const audience = claimOf(claims, 'aud');
  const audiences = (Array.isArray(audience) ? audience : [audience]).filter(
    (item) => typeof item === 'string' && item !== '',
  );
  if (expiresAt === undefined || audiences.length === 0) {
    const missing = [expiresAt === undefined ? 'until when (exp)' : '', audiences.length === 0 ? 'for whom (aud)' : ''];
    const what = missing.filter((each) => each !== '').join(' nor ');
    throw new KleisError('subject_malformed', `${where} does not say ${what} it is, so it goes nowhere.`, {
      hint: 'Use an ID token of a platform, or in Kubernetes a projected serviceAccountToken; see docs/ci/README.md.',
    });
  }
  if (expiresAt + leeway <= now) {
    const ended = formatTime(expiresAt);
    throw new KleisError('subject_expired', `${where} ended at ${ended}, so nobody takes it any more.`, {
      hint: 'Get a new token from the platform; if it is new, set the clock of this machine.',
    });
  }
  const issuer = claimOf(claims, 'iss');
  return {
    token: new Secret(String(token)),
    hash: tokenHash(String(token)),
    issuer: typeof issuer === 'string' ? issuer : undefined,
    audiences,
    issuedAt: Math.min(time(claims, 'iat') ?? now, now),
    expiresAt,
  };
}

/** @throws KleisError `subject_audience` */
export function requireAudience(subject: SubjectToken, audience: string, where: string, hint: string): void {
  if (subject.audiences.includes(audience)) return;
  const has = subject.audiences.map((item) => clean(item)).join(', ');
  throw new KleisError('subject_audience', `${where} is meant for ${has}, not for ${clean(audience)}.`, { hint });
}

/** NumericDate of RFC 7519 section 2, in milliseconds. */
function time(claims: Claims, name: string): number | undefined {
  const value = claimOf(claims, name);
  return typeof value === 'number' && value >= 0 && value < 1e11 ? value * 1000 : undefined;
}

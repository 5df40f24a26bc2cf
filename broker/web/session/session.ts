import { randomBytes, timingSafeEqual } from 'node:crypto';
import { KleisError } from '../../../shared/errors.ts';
import { isObject } from '../../../shared/json.ts';
import { claimOf, type Claims } from '../../../shared/jwt.ts';
import { clean } from '../../../shared/text.ts';
import type { IssuerConfig } from '../../config/broker-config.ts';
import type { Subject } from '../../issuers/issuers.ts';
import { tenantOf } from '../../issuers/token.ts';
import { isAdmin } from '../../policy/admins.ts';
import type { Services } from '../../service/services.ts';
import { clearCookie, type CookieName, setCookie } from './cookies.ts';
import type { Seal } from './seal.ts';

/** Somebody who has signed in to the page. */
export interface Session {
  /** As the provider vouched for them at the sign-in. No token of theirs is kept. */
  readonly subject: Subject;
  readonly admin: boolean;
  /** How the page calls them: one line. */
  readonly name: string;
  /** What a form of this session brings back. */
  readonly csrf: string;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/** What is sealed; short names, since a browser sends it with each request. */
interface Sealed {
  readonly c: Claims;
  /** SHA-256 (hex) of the ID token, for the audit. */
  readonly h: string;
  /** Milliseconds since the epoch. */
  readonly b: number;
  readonly e: number;
  readonly x: string;
}

const names: readonly CookieName[] = ['__Host-kleis-session', '__Host-kleis-session-2', '__Host-kleis-session-3'];
/** Browsers take 4096 bytes with the name and the attributes. */
const partLength = 3800;

/** They bind the token to what it came with, and say nothing of the person. */
const ofTheToken = new Set(['at_hash', 'c_hash', 's_hash', 'nonce', 'sid']);

/** The cookies of a new session for that long (milliseconds). Throws `claims_too_large`. */
export async function startSession(
  subject: Subject,
  { seal, now, length }: { readonly seal: Seal; readonly now: number; readonly length: number },
): Promise<string[]> {
  const claims = Object.fromEntries(Object.entries(subject.claims).filter(([name]) => !ofTheToken.has(name)));
  const csrf = randomBytes(16).toString('base64url');
  const sealed: Sealed = { c: claims, h: subject.tokenHash, b: now, e: now + length, x: csrf };
  const text = await seal.seal('session', sealed);
  if (text.length > names.length * partLength) {
    throw tooLarge(`${text.length} characters of ${names.length * partLength}`);
  }
  return names.map((name, index) => {
    const part = text.slice(index * partLength, (index + 1) * partLength);
    return part === '' ? clearCookie(name) : setCookie(name, part, length / 1000);
  });
}

export function tooLarge(detail: string): KleisError {
  const message = 'What the provider says of you is more than a session of this page can hold.';
  return new KleisError('claims_too_large', message, { detail });
}

export function endSession(): string[] {
  return names.map(clearCookie);
}

/** Undefined for everybody who has none that holds now: forged, cut, ended, of a key that is not there any more. */
export async function openSession(
  cookies: ReadonlyMap<string, string>,
  seal: Seal,
  issuer: IssuerConfig,
  { loaded, clock }: Pick<Services, 'loaded' | 'clock'>,
): Promise<Session | undefined> {
  const parts = names.map((name) => cookies.get(name) ?? '');
  if (parts[0] === '') return undefined;
  const sealed = await seal.open('session', parts.join(''));
  if (!isSealed(sealed)) return undefined;
  const now = clock.now();
  // One that began later than now was made while a clock was wrong.
  // How long one lasts is judged by the configuration in force, like all else.
  const endsAt = Math.min(sealed.e, sealed.b + loaded.config.web!.session);
  if (now >= endsAt || sealed.b > now + issuer.leeway) return undefined;
  const subject: Subject = {
    issuer: issuer.name,
    claims: sealed.c,
    tokenHash: sealed.h,
    // It is no token: nothing could be exchanged for it.
    replayKey: '',
    expiresAt: endsAt,
    tenant: tenantOf(sealed.c, issuer.tenantClaim),
    singleUse: issuer.singleUse,
  };
  return {
    subject,
    admin: isAdmin(subject, loaded.config.admins),
    name: nameOf(sealed.c),
    csrf: sealed.x,
    endsAt,
  };
}

/** Whether a form was made for this session. */
export function isOfSession({ csrf }: Session, sent: string | undefined): boolean {
  const [ours, theirs] = [csrf, sent ?? ''].map((text) => Buffer.from(text));
  return ours!.length === theirs!.length && timingSafeEqual(ours!, theirs!);
}

function isSealed(value: unknown): value is Sealed {
  if (!isObject(value)) return false;
  const { c, h, b, e, x } = value;
  return (
    isObject(c) && typeof h === 'string' && typeof b === 'number' && typeof e === 'number' && typeof x === 'string'
  );
}

/** As people know one another, if the provider says it. */
function nameOf(claims: Claims): string {
  for (const name of ['name', 'preferred_username', 'email', 'sub']) {
    const value = claimOf(claims, name);
    const text = typeof value === 'string' ? clean(value, 200) : '';
    if (text !== '') return text;
  }
  return '';
}

import { clean } from '../../shared/text.ts';
import type { Subject } from '../issuers/issuers.ts';

type Someone = Pick<Subject, 'issuer' | 'claims'>;

/** How a lease names who has its token: issuer and `sub`, the latter as far as it has one. */
export function holderOf({ issuer, claims: { sub } }: Someone): string {
  return typeof sub === 'string' ? `${issuer} ${sub}` : issuer;
}

/** As much of it as a lease keeps, and fit for people. */
export function shownHolder(holder: string): string {
  return clean(holder, 120) || 'unknown';
}

/** What the leases of somebody have as their holder; undefined where others may have the same: it was cut, or never whole. */
export function ownHolder(subject: Someone): string | undefined {
  const holder = holderOf(subject);
  return holder !== subject.issuer && shownHolder(holder) === holder ? holder : undefined;
}

/** Whether it is theirs for certain. */
export function isHeldBy({ holder }: { readonly holder: string }, subject: Someone): boolean {
  return holder === ownHolder(subject);
}

/** Its name in the configuration. */
export function issuerOf(holder: string): string {
  const blank = holder.indexOf(' ');
  return blank === -1 ? holder : holder.slice(0, blank);
}

/** What the token said in `sub`; of one without it the issuer. */
export function subjectOf(holder: string): string {
  return holder.slice(holder.indexOf(' ') + 1);
}

/**
 * Whether it is that subject, or is named by more than it after a colon: `repo:acme/web` is also
 * `repo:acme/web:ref:refs/heads/main`. What was cut off leaves a yes open: who ends leases must not miss one.
 */
export function isOfSubject(holder: string, subject: string): boolean {
  const wanted = clean(subject, 2048);
  const own = subjectOf(holder);
  if (own === wanted || own.startsWith(`${wanted}:`)) return true;
  return own.endsWith('…') && wanted.startsWith(own.slice(0, -1));
}

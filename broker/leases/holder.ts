import { clean, shorten } from '../../shared/text.ts';
import type { Subject } from '../issuers/issuers.ts';

type Someone = Pick<Subject, 'issuer' | 'claims'>;

/** How a lease names who has its token: issuer and `sub`, the latter as far as it has one. */
export function holderOf({ issuer, claims: { sub } }: Someone): string {
  return typeof sub === 'string' ? `${issuer} ${sub}` : issuer;
}

const most = 120;
/** What ends with it may be somebody else's too. */
const notWhole = '…';

/** As much of it as a lease keeps, and fit for people. Where that is not all of it, letter for letter, it ends with "…". */
export function shownHolder(holder: string): string {
  if (holder === '') return 'unknown';
  if (clean(holder, most) === holder) return holder;
  const subject = clean(subjectOf(holder), most);
  const marked = subject.endsWith(notWhole) ? subject : `${subject}${notWhole}`;
  return shorten(`${clean(issuerOf(holder), most)} ${marked}`, most);
}

/** What the leases of somebody have as their holder; undefined where others may have the same: it is not whole, or names nobody. */
export function ownHolder(subject: Someone): string | undefined {
  const holder = holderOf(subject);
  const isOwn = holder !== subject.issuer && shownHolder(holder) === holder && !holder.endsWith(notWhole);
  return isOwn ? holder : undefined;
}

/** Tells of each of many leases whether it is theirs for certain. */
export function heldBy(subject: Someone): (lease: { readonly holder: string }) => boolean {
  const own = ownHolder(subject);
  return ({ holder }) => holder === own;
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
  // Blanks at the end of a subject are as invisible here as they are in what was wanted.
  const own = subjectOf(holder).trim();
  if (own === wanted || own.startsWith(`${wanted}:`)) return true;
  return own.endsWith(notWhole) && wanted.startsWith(own.slice(0, -1));
}

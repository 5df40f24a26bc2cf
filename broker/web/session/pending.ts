import { createHash, randomBytes } from 'node:crypto';
import { isObject } from '../../../shared/json.ts';
import { type CookieName, setCookie } from './cookies.ts';
import type { Seal } from './seal.ts';

/** A sign-in that has begun: what the way back must bring, kept in the `state` that the provider hands back. */
export interface Pending {
  readonly nonce: string;
  /** RFC 7636. */
  readonly verifier: string;
  /** An address of ours. */
  readonly back: string;
}

interface Sealed {
  readonly n: string;
  readonly v: string;
  readonly r: string;
  /** Milliseconds since the epoch. */
  readonly e: number;
  /** SHA-256 of what the browser holds. */
  readonly w: string;
}

const name: CookieName = '__Host-kleis-browser';
/** Milliseconds that somebody may take at the provider. */
const patience = 15 * 60_000;

/**
 * A `state` that is of use in this browser alone, and the cookie that makes it so: several tabs share the cookie, each has
 * a state of its own, and no replica needs to remember it.
 */
export async function beginSignIn(
  back: string,
  cookies: ReadonlyMap<string, string>,
  { seal, now }: { readonly seal: Seal; readonly now: number },
): Promise<Pending & { readonly state: string; readonly cookie: string }> {
  const known = cookies.get(name) ?? '';
  const browser = /^[\w-]{43}$/.test(known) ? known : random();
  const pending: Pending = { nonce: random(), verifier: random(), back };
  const sealed: Sealed = { n: pending.nonce, v: pending.verifier, r: back, e: now + patience, w: hashOf(browser) };
  return {
    ...pending,
    state: await seal.seal('sign-in', sealed),
    cookie: setCookie(name, browser, patience / 1000),
  };
}

/** Undefined unless this browser began it, and not too long ago. */
export async function openPending(
  state: string | undefined,
  cookies: ReadonlyMap<string, string>,
  { seal, now }: { readonly seal: Seal; readonly now: number },
): Promise<Pending | undefined> {
  const sealed = state === undefined ? undefined : await seal.open('sign-in', state);
  if (!isObject(sealed)) return undefined;
  const { n, v, r, e, w } = sealed as Partial<Sealed>;
  const browser = cookies.get(name);
  if (browser === undefined || w !== hashOf(browser) || e === undefined || now >= e) return undefined;
  return n === undefined || v === undefined || r === undefined ? undefined : { nonce: n, verifier: v, back: r };
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

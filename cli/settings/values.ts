import { resolve } from 'node:path';
import { parseDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { isLoopback } from '../../shared/net/proxy.ts';
import { clean } from '../../shared/text.ts';

// How a flag's text becomes a value; each throws `usage`, naming the flag.

const maxText = 2048;

export function usage(message: string, hint?: string): KleisError {
  return new KleisError('usage', message, hint === undefined ? {} : { hint });
}

/** A line: neither empty nor long, without what could rewrite a terminal. */
export function text(flag: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value === '' || value.length > maxText || clean(value, maxText) !== value) {
    throw usage(`${flag} is empty, longer than ${maxText} characters or holds control characters.`);
  }
  return value;
}

/** Absolute, since a session outlives the folder that a command was typed in. */
export function file(flag: string, value: string | undefined): string | undefined {
  const path = text(flag, value);
  return path === undefined ? undefined : resolve(path);
}

export function oneOf<T extends string>(flag: string, allowed: readonly T[], value: string | undefined): T | undefined {
  const found = allowed.find((choice) => choice === value);
  if (value !== undefined && found === undefined) {
    throw usage(`${flag} ${clean(value, 40)} is not one of ${allowed.join(', ')}.`);
  }
  return found;
}

/** Milliseconds, from `least` to `hours`. */
export function duration(flag: string, value: string | undefined, least: number, hours: number): number | undefined {
  if (value === undefined) return undefined;
  const milliseconds = parseDuration(value);
  if (milliseconds === undefined || milliseconds < least || milliseconds > hours * 3_600_000) {
    throw usage(`${flag} ${clean(value, 40)} is not a duration such as 90s or 15m of at most ${hours} h.`);
  }
  return milliseconds;
}

/** https, or http on loopback; as `URL` spells it, without a slash at its end. */
export function serverUrl(flag: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const url = URL.parse(value);
  const refuse = (why: string) => usage(`${flag} ${clean(value)} cannot be used: ${why}.`);
  if (url === null) throw refuse('it is not a URL');
  if (url.username !== '' || url.password !== '') throw refuse('it holds a user name or password');
  if (url.search !== '' || url.hash !== '') throw refuse('it has a query or a fragment');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw refuse('it is neither https nor http on loopback');
  }
  return url.href.replace(/\/+$/, '');
}

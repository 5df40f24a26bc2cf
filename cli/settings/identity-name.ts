import { resolve } from 'node:path';
import { Fault } from './values.ts';

/** Those who get a token by a sign-in at a provider. */
const signIn = ['sso', 'client-credentials'] as const;
/** Those whose token the platform has ready, or makes; `auto` finds out which. */
const ambient = ['github', 'gitlab', 'circleci', 'buildkite', 'kubernetes', 'auto'] as const;
const names = [...signIn, ...ambient] as const;

export type SignInIdentity = (typeof signIn)[number];

export function isSignInIdentity(value: string | undefined): value is SignInIdentity | undefined {
  return value === undefined || (signIn as readonly string[]).includes(value);
}

/** One of the names, `file:PATH` (made absolute) or `env:NAME`. */
function parse(value: unknown): string | Fault {
  const [, kind, rest = ''] = /^(file|env):(.*)$/s.exec(String(value)) ?? [];
  if (kind === 'file') {
    return /^[^\p{Cc}]{1,2048}$/u.test(rest) ? `file:${resolve(rest)}` : new Fault('names no file');
  }
  if (kind === 'env') {
    // The launcher uses small letters, and single ones, for itself.
    if (/^[A-Z_][A-Z0-9_]{1,127}$/.test(rest)) return `env:${rest}`;
    return new Fault('names no variable in capital letters, as env:KLEIS_ID_TOKEN does');
  }
  const found = names.find((name) => name === value);
  return found ?? new Fault(`is none of ${names.join(', ')}, file:PATH and env:NAME`);
}

/** What `--identity` takes. */
export const identity = { names, parse } as const;

import { win32 } from 'node:path';
import { isObject } from '../../shared/json.ts';
import { asText } from '../../shared/text.ts';
import { type Mapping, textOf } from './document.ts';
import { type KleisExec, readExec } from './entry.ts';

/** A program that kubectl asks for a credential. */
export interface Plugin {
  /** Its name, without the folder it is in. */
  readonly program: string;
  readonly args: readonly string[];
  /** As it stands in the entry. */
  readonly env: readonly unknown[];
}

/** How a user entry signs in. */
export type Method =
  | { readonly kind: 'kleis'; readonly exec: KleisExec }
  | { readonly kind: 'plugin'; readonly plugin: Plugin }
  | { readonly kind: 'auth-provider'; readonly name: string; readonly config: Mapping }
  | { readonly kind: 'client certificate' | 'token' | 'token file' | 'password' | 'nothing' };

/** Several of one entry come in the order in which they are said here; a plugin hides the rest. */
export function methodOf(user: Mapping): Method {
  const kleis = readExec(user);
  if (kleis !== undefined) return { kind: 'kleis', exec: kleis };
  const { exec, 'auth-provider': provider } = user;
  if (isObject(exec)) {
    const { command, args, env } = exec;
    const program = win32.basename(textOf(command)).replace(/\.(exe|cmd|js)$/i, '');
    return {
      kind: 'plugin',
      plugin: { program, args: Array.isArray(args) ? args.map(asText) : [], env: Array.isArray(env) ? env : [] },
    };
  }
  if (isObject(provider)) {
    const { name, config } = provider;
    return { kind: 'auth-provider', name: textOf(name), config: isObject(config) ? config : {} };
  }
  const has = (...keys: readonly string[]) => keys.some((key) => (user[key] ?? '') !== '');
  if (has('tokenFile')) return { kind: 'token file' };
  if (has('token')) return { kind: 'token' };
  if (has('username', 'password')) return { kind: 'password' };
  return { kind: has('client-certificate', 'client-certificate-data') ? 'client certificate' : 'nothing' };
}

/** In a few words, for people; without what is secret. */
export function pluginName({ program, args }: Plugin): string {
  return program === 'kubectl' && args[0] !== undefined ? `kubectl ${args[0]}` : program;
}

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { KleisError } from '../../shared/errors.ts';
import { systemCode } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import type { Env, Platform } from './platform.ts';
import { readSubject, type SubjectToken } from './subject-token.ts';

// Tokens that lie ready, in a variable or in a file, before Kleis is started.

const maxBytes = 16_384;

/** `env:NAME` */
export function variable(name: string): Platform {
  return {
    ...elsewhere,
    name: `env:${name}`,
    title: `the variable ${name}`,
    getToken: async (_, { env, now }) => fromVariable(env, name, now(), `Put an ID token into ${name}.`),
  };
}

/** `file:PATH` */
export function file(path: string): Platform {
  return {
    ...elsewhere,
    name: `file:${path}`,
    title: `the file ${path}`,
    getToken: async (_, { now }) => fromFile(path, now(), 'Put an ID token there, and nothing else.'),
  };
}

const elsewhere = {
  isHere: () => false,
  job: [],
  asks: false,
  issuer: () => undefined,
  hint: (audience: string) => `Get one for the audience ${clean(audience)}.`,
} as const;

/** @throws KleisError `identity_missing`, and what `readSubject` throws */
export function fromVariable(env: Env, name: string, now: number, hint: string): SubjectToken {
  const text = env[name] ?? '';
  if (text === '') throw new KleisError('identity_missing', `There is no token in the variable ${name}.`, { hint });
  return readSubject(text, `The token in the variable ${name}`, now);
}

/**
 * Read anew each time, since whoever keeps such a file replaces it. Its rights are its maker's business: a pod's are 0644.
 *
 * @throws KleisError `identity_missing`, and what `readSubject` throws
 */
export async function fromFile(path: string, now: number, hint: string): Promise<SubjectToken> {
  const name = clean(path, 400);
  let handle;
  try {
    // A pipe that nobody writes to would be waited for.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if (!(await handle.stat()).isFile()) {
      throw new KleisError('identity_missing', `${name} is not a file.`, { hint });
    }
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) {
      throw new KleisError('subject_malformed', `The file ${name} is larger than any token.`, { hint });
    }
    return readSubject(buffer.toString('latin1', 0, bytesRead), `The token in the file ${name}`, now);
  } catch (cause) {
    if (cause instanceof KleisError) throw cause;
    const code = systemCode(cause);
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${clean(code ?? 'unknown', 40)})`;
    throw new KleisError('identity_missing', `The file ${name} with the token ${why}.`, { hint, cause });
  } finally {
    await handle?.close();
  }
}

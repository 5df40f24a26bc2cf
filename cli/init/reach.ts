import { resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { readCertificates } from '../../shared/net/certificates.ts';
import { isUnknownAuthority } from '../../shared/net/network-errors.ts';
import { ask, tell, tellFault } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { within } from '../surroundings/within.ts';

/** Asks a server whether it is what it is taken for. `authority` is PEM; then nothing else is trusted. */
export type Connect<T> = (address: string, authority: string | undefined) => Promise<T>;

/** A server that answered. */
export interface Reached<T> {
  readonly address: string;
  readonly authority: string | undefined;
  readonly found: T;
}

/** A server that nobody vouches for who is trusted here. */
export interface Untrusted {
  readonly address: string;
  readonly untrusted: KleisError;
}

/** For the check of a question. */
export type Reach<T> = (address: string) => Promise<Reached<T> | Untrusted>;

/** What somebody typed, with the scheme that goes without saying. */
export function withScheme(answer: string): string {
  return answer === '' || answer.includes('://') ? answer : `https://${answer}`;
}

/**
 * Asks for a server until one answers; for its authority too, where nobody vouches for it who is trusted here. Throws as
 * `ask`.
 *
 * @param question asks for the address, whose check is what it is given; what is no server passes through
 */
export async function askServer<T, Other>(
  question: (reach: Reach<T>) => Promise<Reached<T> | Untrusted | Other>,
  connect: Connect<T>,
  deps: Deps,
): Promise<Reached<T> | Other> {
  let known: string | undefined;
  const connected = async (address: string, authority: string | undefined): Promise<Reached<T>> => {
    const found = await within(new URL(address).host, connect(address, authority), deps);
    return { address, authority, found };
  };
  const reach: Reach<T> = async (address) => {
    try {
      return await connected(address, undefined);
    } catch (error) {
      if (!(error instanceof KleisError && isUnknownAuthority(error))) throw error;
      return known === undefined ? { address, untrusted: error } : connected(address, known);
    }
  };
  const answer = await question(reach);
  if (!isUntrusted(answer)) return answer;
  tell(answer.untrusted.message, deps);
  const outcome = await ask(
    {
      text: 'The file with the certificate of its authority (PEM)',
      check: async (file) => {
        if (file === '') throw new KleisError('usage', 'Without it nobody knows who answers there.');
        known = await readCertificates(resolve(file));
        return connected(answer.address, known).catch((error: unknown) => {
          // The file was right then, and the address is not.
          if (error instanceof KleisError && !isUnknownAuthority(error)) return error;
          throw error;
        });
      },
    },
    deps,
  );
  if (!(outcome instanceof KleisError)) return outcome;
  deps.signal.throwIfAborted();
  tellFault(outcome, deps);
  const again = await question(reach);
  if (!isUntrusted(again)) return again;
  throw again.untrusted;
}

function isUntrusted(answer: unknown): answer is Untrusted {
  return typeof answer === 'object' && answer !== null && 'untrusted' in answer;
}

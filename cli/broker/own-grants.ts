import { KleisError } from '../../shared/errors.ts';
import { nearest } from '../../shared/nearest.ts';
import { BrokerRefusal } from '../../shared/broker-client.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerAddress } from './connection.ts';
import { readDirectory } from './directory.ts';

/** What to do about a grant that is not among those of the caller: which are, and which was meant. */
export function hintOfGrants(grant: string, mine: readonly string[]): string {
  if (mine.length === 0) return 'It has none at all for you: ask its administrator.';
  const near = nearest(grant, mine);
  const list = mine.slice(0, 20).map((name) => clean(name, 100));
  const more = mine.length > 20 ? `, and ${mine.length - 20} more` : '';
  return `Yours are: ${list.join(', ')}${more}.${near === undefined ? '' : ` Did you mean ${clean(near, 100)}?`}`;
}

/**
 * A denial of a grant that the broker says nothing more about, with what it tells this very caller of their own grants.
 * Any other error, and one that the broker tells nothing about, stays as it is.
 */
export async function withOwnGrants(
  error: unknown,
  { broker, token, grant }: { readonly broker: BrokerAddress; readonly token: Secret; readonly grant: string },
): Promise<unknown> {
  if (!(error instanceof BrokerRefusal) || error.code !== 'grant_denied' || error.failed.length > 0) return error;
  try {
    const mine = (await readDirectory(broker, token)).grants.map(({ name }) => name);
    // It is theirs by now, or was denied for a reason of its own.
    if (mine.includes(grant)) return error;
    return new KleisError(error.code, error.message, { hint: hintOfGrants(grant, mine), cause: error });
  } catch {
    return error;
  }
}

import { createHash } from 'node:crypto';
import type { Keyring } from './keyring.ts';
import type { KeyringSet } from './file-format.ts';

/*
 * A value that may be larger than what a keyring takes for one item is kept as a set of items. A set is written under an
 * id that nothing has used before, and counts from the moment at which the session file names it: a set that is written
 * in part is never read.
 */

/** How many characters an item takes: Windows has 2,560 bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE), others much more. */
export function chunkSize(platform: NodeJS.Platform): number {
  // 1,200 fits in UTF-16 too. Elsewhere few items are better: macOS may ask for the password once for each of them.
  return platform === 'win32' ? 1_200 : 32_768;
}

/** What `writeSet` will write, so that it can be noted beforehand. */
export function planSet(id: string, value: string, size: number): KeyringSet {
  return { id, chunks: Math.ceil(value.length / size), digest: digestOf(value) };
}

export async function writeSet(
  keyring: Keyring,
  account: string,
  set: KeyringSet,
  value: string,
  size: number,
): Promise<void> {
  for (let index = 0; index < set.chunks; index++) {
    await keyring.set(`${account}.${set.id}#${index}`, value.slice(index * size, (index + 1) * size));
  }
}

/** Undefined if a part is missing or another: a value is read whole or not at all. */
export async function readSet(keyring: Keyring, account: string, set: KeyringSet): Promise<string | undefined> {
  let value = '';
  for (let index = 0; index < set.chunks; index++) {
    const chunk = await keyring.get(`${account}.${set.id}#${index}`);
    if (chunk === undefined) return undefined;
    value += chunk;
  }
  return digestOf(value) === set.digest ? value : undefined;
}

/** Removes what is there of a set of at most so many chunks. */
export async function removeSet(keyring: Keyring, account: string, id: string, chunks: number): Promise<void> {
  for (let index = 0; index < chunks; index++) await keyring.remove(`${account}.${id}#${index}`);
}

function digestOf(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}

import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { Draft, syncFolder } from './draft.ts';
import { checkFolder, checkRights, makePrivateFolder, unsafe } from './private-folder.ts';
import { systemCode } from '../../shared/read-file.ts';
import { storageError } from './storage-error.ts';

/** Sessions and credentials are a few KiB; whatever is larger was not written by us. */
export const maxBytes = 1024 * 1024;

/** Not followed, and not waited for: a link or a pipe in the place of a file must neither redirect nor hang us. */
export const readFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Reads a file that only its owner may touch; undefined if there is none.
 *
 * @throws KleisError `storage_unsafe` if the file or its folder is a link, is another user's, or is open to others;
 *   `storage_corrupt` if it is too large to be ours; `storage_unavailable` if it cannot be read
 */
export async function readPrivate(path: string): Promise<string | undefined> {
  if (!checkFolder(dirname(path))) return undefined;
  let file: number | undefined;
  try {
    file = openSync(path, readFlags);
    const stat = fstatSync(file);
    if (!stat.isFile()) throw unsafe(path, 'is not a regular file', 'Remove it.');
    checkRights(path, stat);
    if (stat.size > maxBytes) {
      throw new KleisError('storage_corrupt', `${clean(path, 400)} is too large to be written by Kleis.`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'ELOOP' || systemCode(error) === 'EMLINK')
      throw unsafe(path, 'is a symbolic link', 'Remove it.');
    throw storageError(error, 'read', path);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * Replaces a file as a whole: whoever reads, and whatever breaks, sees the old text or the new. On return it is on disk.
 *
 * @throws KleisError `storage_unavailable` with the plain reason (the old file is untouched), `storage_unsafe` for a
 *   folder that others can enter
 */
export async function writePrivate(path: string, text: string): Promise<void> {
  await (await reservePrivate(dirname(path), 0)).commit(path, text);
}

/** Room on disk, taken before something is done that cannot be undone. */
export interface Reservation {
  /**
   * Writes the text into the room and makes it the file `path` of that folder. Ends the reservation, also when it fails.
   * With `exclusive` it gives way to a file that is there already, however close together: false then.
   */
  commit(path: string, text: string, options?: { readonly exclusive: boolean }): Promise<boolean>;
  /** Gives the room back; after `commit` it does nothing. */
  release(): Promise<void>;
}

/**
 * Proves that a text of that many bytes can be written to a file of the folder, by really writing as many
 * (docs/decisions/0022).
 *
 * @throws KleisError as `writePrivate`
 */
export async function reservePrivate(folder: string, bytes: number): Promise<Reservation> {
  let draft: Draft | undefined;
  try {
    makePrivateFolder(folder);
    draft = new Draft(folder);
    if (bytes > 0) await draft.reserve(bytes);
  } catch (error) {
    draft?.discard();
    throw storageError(error, 'write', folder);
  }
  const room = draft;
  return {
    async commit(path, text, options) {
      try {
        room.write(text);
        room.sync();
        return options?.exclusive === true ? place(room, path) : replace(room, path);
      } catch (error) {
        throw storageError(error, 'write', path);
      } finally {
        room.discard();
        syncFolder(folder);
      }
    },
    release: async () => room.discard(),
  };
}

/** Removes a file for good; false if there was none. */
export async function removePrivate(path: string): Promise<boolean> {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false;
    throw storageError(error, 'remove', path);
  }
  syncFolder(dirname(path));
  return true;
}

function place(draft: Draft, path: string): boolean {
  const outcome = draft.link(path);
  if (outcome !== 'unsupported') return outcome === 'linked';
  // There the claim alone keeps writers apart; what a crash leaves must be whole all the same.
  return lstatSync(path, { throwIfNoEntry: false }) === undefined && replace(draft, path);
}

function replace(draft: Draft, path: string): true {
  draft.replace(path);
  return true;
}

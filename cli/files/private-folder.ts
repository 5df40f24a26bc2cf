import { type Stats, accessSync, constants, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { thisProcess } from '../surroundings/process.ts';
import { removeFile, temporarySuffix } from './draft.ts';
import { systemCode } from '../../shared/read-file.ts';
import { storageError } from './storage-error.ts';

/** The place belongs to somebody else, so Kleis keeps nothing there. */
export class ForeignOwner extends KleisError {}

/**
 * False if there is no such folder.
 *
 * @throws KleisError `storage_unsafe` if it is a link, is another user's (`ForeignOwner`), or is open to others;
 *   `storage_unavailable` if it is no folder or cannot be looked at
 */
export function checkFolder(folder: string): boolean {
  const stat = find(folder);
  if (stat === undefined) return false;
  checkKind(folder, stat);
  checkRights(folder, stat);
  return true;
}

/**
 * A folder that only its owner can enter, with what is missing above it.
 *
 * @throws KleisError as `checkFolder`
 */
export function makePrivateFolder(folder: string): void {
  if (checkFolder(folder)) return;
  // `sudo -E` keeps HOME of another person: a folder of root's in it would lock that person out.
  const above = nearest(dirname(folder));
  if (above.stat.uid !== 0) checkOwner(above.path, above.stat);
  try {
    makeFolders(folder);
  } catch (error) {
    throw storageError(error, 'write', folder);
  }
  checkFolder(folder);
}

/**
 * As `mkdir -p`, one level at a time: Node's own (`recursive`) never ends where the system says ENOENT below a folder
 * that is there (seen with 20.20 and `/proc/x`). Throws the file system's errors.
 */
export function makeFolders(folder: string, mode = 0o700): void {
  const missing: string[] = [];
  for (let at = folder; find(at) === undefined; at = dirname(at)) missing.unshift(at);
  for (const each of missing) {
    try {
      mkdirSync(each, { mode });
    } catch (error) {
      // Another process may be making the same ones.
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }
}

/** @throws KleisError `storage_unavailable` if the system says beforehand that no file can be made in the folder */
export function checkWritable(folder: string): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw storageError(error, 'write', folder);
  }
}

/** Names in a private folder, sorted, without unfinished writes; none if there is no such folder. */
export function listPrivate(folder: string): string[] {
  if (!checkFolder(folder)) return [];
  try {
    return readdirSync(folder)
      .filter((name) => !name.endsWith(temporarySuffix))
      .toSorted();
  } catch (error) {
    throw storageError(error, 'read', folder);
  }
}

/**
 * Removes what processes that were killed in mid-write left behind: such files hold tokens. Only those older than
 * `age` milliseconds, since a younger one may be a write, or a reservation, that is under way.
 */
export function sweepTemporary(folder: string, now: number, age = 600_000): void {
  for (const name of namesIn(folder).filter((each) => each.startsWith('.') && each.endsWith(temporarySuffix))) {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    // Not mtime, which may have been set to the future.
    if (stat?.isFile() === true && now - stat.ctimeMs > age) removeFile(path);
  }
}

/** None where the folder cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @throws KleisError `storage_unsafe`, `storage_unavailable` for what is no folder of this user, whatever its mode */
export function checkKind(folder: string, stat: Stats): void {
  if (stat.isSymbolicLink()) {
    throw unsafe(
      folder,
      'is a symbolic link',
      'Replace it by a real folder, or name the folder that it leads to in KLEIS_STATE_DIR or KLEIS_CACHE_DIR.',
    );
  }
  if (!stat.isDirectory()) {
    throw new KleisError('storage_unavailable', `${clean(folder, 400)} is not a folder.`, { hint: 'Remove it.' });
  }
  checkOwner(folder, stat);
}

/** True for what is of this user, and of nobody else's use. */
export function isPrivate(stat: Pick<Stats, 'uid' | 'mode'>): boolean {
  const { uid } = thisProcess;
  return uid === undefined || (stat.uid === uid && (stat.mode & 0o077) === 0);
}

/** Of this user, or of the person who runs this as root with sudo. */
export function isOurs({ uid }: Pick<Stats, 'uid'>, env: Readonly<Record<string, string | undefined>>): boolean {
  const me = thisProcess.uid;
  return me === undefined || uid === me || (me === 0 && String(uid) === env['SUDO_UID']);
}

/** @throws KleisError `storage_unsafe` */
export function checkRights(path: string, stat: Pick<Stats, 'uid' | 'mode'>): void {
  checkOwner(path, stat);
  if (isPrivate(stat)) return;
  const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
  throw unsafe(
    path,
    `can be used by others (its mode is ${mode})`,
    `Whoever could read it may have its tokens: run \`chmod go= ${clean(path, 400)}\`, and \`kleis logout\` if this machine has other users.`,
  );
}

function checkOwner(path: string, { uid }: Pick<Stats, 'uid'>): void {
  const me = thisProcess.uid;
  if (me === undefined || uid === me) return;
  throw new ForeignOwner(
    'storage_unsafe',
    `${clean(path, 400)} belongs to another user (id ${uid}; this process runs as ${me}).`,
    { hint: 'Run Kleis as that user, or point KLEIS_STATE_DIR and KLEIS_CACHE_DIR to folders of your own.' },
  );
}

export function unsafe(path: string, why: string, hint: string): KleisError {
  return new KleisError('storage_unsafe', `${clean(path, 400)} ${why}.`, { hint });
}

function find(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw storageError(error, 'read', path);
  }
}

function nearest(path: string): { readonly path: string; readonly stat: Stats } {
  const stat = find(path);
  if (stat !== undefined) return { path, stat };
  if (dirname(path) === path) throw storageError(new Error('there is no root'), 'read', path);
  return nearest(dirname(path));
}

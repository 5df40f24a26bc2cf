import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KleisError } from '../../shared/errors.ts';
import { storageError, systemCode } from './storage-error.ts';
import { clean } from '../../shared/text.ts';

/** Sessions and credentials are a few KiB; whatever is larger was not written by us. */
export const maxBytes = 1024 * 1024;

// Windows keeps others out by the ACLs of the profile folder; the mode bits that Node shows there say nothing.
const onWindows = process.platform === 'win32';

/**
 * Reads a file that only its owner may touch; undefined if there is none.
 *
 * @throws KleisError `storage_unsafe` if the file or its folder is a link, is another user's, or is open to others;
 *   `storage_corrupt` if it is too large to be ours; `storage_unavailable` if it cannot be read
 */
export async function readPrivate(path: string): Promise<string | undefined> {
  if (!(await checkFolder(dirname(path)))) return undefined;
  let handle: FileHandle;
  try {
    // Not followed, and not waited for: a link or a pipe in the place of the file must neither redirect nor hang us.
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'ELOOP' || systemCode(error) === 'EMLINK')
      throw unsafe(path, 'is a symbolic link', 'Remove it.');
    throw storageError(error, 'read', path);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw unsafe(path, 'is not a regular file', 'Remove it.');
    checkOwner(path, stat);
    if (stat.size > maxBytes) {
      throw new KleisError('storage_corrupt', `${clean(path, 400)} is too large to be written by Kleis.`);
    }
    return await handle.readFile('utf8');
  } catch (error) {
    throw storageError(error, 'read', path);
  } finally {
    await handle.close();
  }
}

export interface WriteOptions {
  /** Set before the file gets its name: whoever sees the file sees this time. */
  readonly mtime?: Date;
  /** Give way to a file that is there already, whoever made it and however close together. */
  readonly exclusive?: boolean;
}

/**
 * Replaces a file as a whole: whoever reads, and whatever breaks, sees the old text or the new. On return it is on disk.
 * False only with `exclusive`: there was a file.
 *
 * @throws KleisError `storage_unavailable` with the plain reason (the old file is untouched), `storage_unsafe` for a
 *   folder that others can enter
 */
export async function writePrivate(path: string, text: string, options: WriteOptions = {}): Promise<boolean> {
  const room = await reservePrivate(dirname(path), 0);
  return room.commit(path, text, options);
}

/** Room on disk, taken before something is done that cannot be undone. */
export interface Reservation {
  /** Writes the text into the room and makes it the file `path` of that folder. Ends the reservation, also when it fails. */
  commit(path: string, text: string, options?: WriteOptions): Promise<boolean>;
  /** Gives the room back; after `commit` it does nothing. */
  release(): Promise<void>;
}

/**
 * Proves that a text of that many bytes can be written to a file of the folder, by really writing as many.
 *
 * @throws KleisError as `writePrivate`
 */
export async function reservePrivate(folder: string, bytes: number): Promise<Reservation> {
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}${temporarySuffix}`);
  let handle: FileHandle | undefined;
  const discard = async () => {
    if (handle === undefined) return;
    await handle.close().catch(() => undefined);
    handle = undefined;
    await unlink(temporary).catch(() => undefined);
  };
  try {
    await makePrivateFolder(folder);
    handle = await open(temporary, 'wx', 0o600);
    if (bytes > 0) {
      // Random, so that a file system that compresses or skips zeros takes the room all the same.
      await handle.writeFile(randomBytes(bytes));
      await handle.sync();
    }
  } catch (error) {
    await discard();
    throw storageError(error, 'write', folder);
  }
  return {
    async commit(path, text, options = {}) {
      if (handle === undefined) throw new Error('the reservation has ended');
      try {
        const data = Buffer.from(text);
        for (let at = 0; at < data.length;) at += (await handle.write(data, at, data.length - at, at)).bytesWritten;
        // What is left of the room goes after the text is in: cutting first would give blocks away to others.
        await handle.truncate(data.length);
        if (options.mtime !== undefined) await handle.utimes(options.mtime, options.mtime);
        await handle.sync();
        const placed = options.exclusive === true ? await place(temporary, path) : await replace(temporary, path);
        await discard();
        await syncFolder(folder);
        return placed;
      } catch (error) {
        await discard();
        throw storageError(error, 'write', path);
      }
    },
    release: discard,
  };
}

/** Removes a file for good; false if there was none. */
export async function removePrivate(path: string): Promise<boolean> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false;
    throw storageError(error, 'remove', path);
  }
  await syncFolder(dirname(path));
  return true;
}

/** Names in a private folder, sorted, without unfinished writes; none if there is no such folder. */
export async function listPrivate(folder: string): Promise<string[]> {
  if (!(await checkFolder(folder))) return [];
  try {
    return (await readdir(folder)).filter((name) => !name.endsWith(temporarySuffix)).toSorted();
  } catch (error) {
    throw storageError(error, 'read', folder);
  }
}

const temporarySuffix = '.tmp';

/**
 * Removes what processes that were killed in mid-write left behind: such files hold tokens. Only those older than
 * `age` milliseconds, since a younger one may be a write, or a reservation, that is under way.
 */
export async function sweepTemporary(folder: string, age = 600_000): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((each) => each.startsWith('.') && each.endsWith(temporarySuffix))) {
    const path = join(folder, name);
    // Not mtime, which `WriteOptions` may have set to the future; by the clock that the file system goes by.
    const stat = await lstat(path).catch(() => undefined);
    if (stat?.isFile() === true && Date.now() - stat.ctimeMs > age) await unlink(path).catch(() => undefined);
  }
}

/** False if there is no such folder. */
async function checkFolder(folder: string): Promise<boolean> {
  let stat;
  try {
    stat = await lstat(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw storageError(error, 'read', folder);
  }
  if (stat.isSymbolicLink())
    throw unsafe(
      folder,
      'is a symbolic link',
      'Replace it by a real folder, or name the folder that it leads to in KLEIS_STATE_DIR or KLEIS_CACHE_DIR.',
    );
  if (!stat.isDirectory())
    throw new KleisError('storage_unavailable', `${clean(folder, 400)} is not a folder.`, { hint: 'Remove it.' });
  checkOwner(folder, stat);
  return true;
}

/**
 * A folder that only its owner can enter, with what is missing above it.
 *
 * @throws KleisError `storage_unavailable`, `storage_unsafe`
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  if (await checkFolder(folder)) return;
  // `sudo -E` hands on the home of someone else: a folder of ours in it would lock that person out.
  const above = await nearest(dirname(folder));
  if (!onWindows && above.uid !== 0) checkUser(above.path, above.uid);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(await plainError(error, above.path, folder), 'write', folder);
  }
  await checkFolder(folder);
}

/** With `recursive` Node says ENOENT where the system said EROFS (seen with 20.20). */
async function plainError(error: unknown, above: string, folder: string): Promise<unknown> {
  if (systemCode(error) !== 'ENOENT') return error;
  const [missing = ''] = relative(above, folder).split(sep);
  return mkdir(join(above, missing), { mode: 0o700 }).then(
    () => error,
    (plain: unknown) => plain,
  );
}

async function nearest(path: string): Promise<{ readonly path: string; readonly uid: number }> {
  try {
    return { path, uid: (await lstat(path)).uid };
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return nearest(dirname(path));
  }
}

function checkOwner(path: string, stat: { readonly uid: number; readonly mode: number }): void {
  if (onWindows) return;
  checkUser(path, stat.uid);
  if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw unsafe(
      path,
      `can be used by others (its mode is ${mode})`,
      `Whoever could read it may have its tokens: run \`chmod go= ${clean(path, 400)}\`, and \`kleis logout\` if this machine has other users.`,
    );
  }
}

function checkUser(path: string, uid: number): void {
  const me = process.geteuid?.();
  if (uid === me) return;
  throw unsafe(
    path,
    `belongs to another user (id ${uid}; this process runs as ${me})`,
    'Run Kleis as that user, or point KLEIS_STATE_DIR and KLEIS_CACHE_DIR to folders of your own.',
  );
}

async function replace(from: string, to: string): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename(from, to);
      return true;
    } catch (error) {
      // On Windows a virus scanner or an indexer that has the file open makes this fail for a moment.
      const passing = onWindows && ['EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error) ?? '');
      if (!passing || attempt === 20) throw error;
      await delay(25);
    }
  }
}

/** Unlike a rename, a hard link never replaces, so that of several at once exactly one succeeds (link(2), EEXIST). */
async function place(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    // FAT, some network file systems and Android know no hard links: there the claim alone keeps writers apart.
    if (
      await lstat(to).then(
        () => true,
        () => false,
      )
    )
      return false;
    return replace(from, to);
  }
}

// The new name is only as durable as the folder that holds it. Where folders cannot be synced (Windows, some network
// file systems) the system offers no more.
async function syncFolder(folder: string): Promise<void> {
  if (onWindows) return;
  const handle = await open(folder, constants.O_RDONLY).catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

function unsafe(path: string, why: string, hint: string): KleisError {
  return new KleisError('storage_unsafe', `${clean(path, 400)} ${why}.`, { hint });
}

import { existsSync, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { Draft, syncFolder } from '../files/draft.ts';
import { storageError } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';

const suffix = '.kleis-tmp';

/**
 * Where a path leads through links, also if there is nothing yet at their end: a link to a kubeconfig is to stay one.
 *
 * @throws KleisError `kubeconfig_invalid` if links lead in a circle
 */
export async function followLinks(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links < 40; links++) {
    const entry = await lstat(at).catch(() => undefined);
    if (entry?.isSymbolicLink() !== true) return at;
    at = resolve(dirname(at), await readlink(at));
  }
  throw new KleisError('kubeconfig_invalid', `${clean(path, 400)} is a link that leads nowhere.`);
}

/**
 * Replaces a kubeconfig as a whole, with the mode and owner that it has (0600 if it is new): whoever reads, and whatever
 * breaks, sees the old text or the new. To be called with the lock held.
 *
 * @param path without links
 * @throws KleisError `storage_unavailable`; the old file is untouched then
 */
export async function replaceKubeconfig(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  let draft: Draft | undefined;
  try {
    const old = await checkReplaceable(path);
    await sweep(path);
    draft = new Draft(folder, { before: `.${basename(path)}.`, after: suffix });
    draft.write(text);
    if (old !== undefined) {
      // With sudo, the file of the person is to stay theirs.
      draft.takeAfter(old, (mine) => {
        // A group that may do nothing does not matter: on macOS a new file has that of its folder.
        if (mine.uid === old.uid && (old.mode & 0o070) === 0) return;
        throw unsuitable(path, 'belongs to another user or group, which it would not after a change');
      });
    }
    draft.sync();
    draft.replace(path);
  } catch (error) {
    if (error instanceof KleisError) throw error;
    throw unsuitable(path, storageError(error, 'write', path).message, error);
  } finally {
    draft?.discard();
  }
  syncFolder(folder);
}

/**
 * What stands there, if that may be replaced; undefined if nothing does. Throws `storage_unavailable`.
 *
 * @param path without links
 */
export async function checkReplaceable(path: string): Promise<Stats | undefined> {
  const old = await stat(path).catch(() => undefined);
  if (old === undefined) return undefined;
  if (!old.isFile()) throw unsuitable(path, 'is not a regular file');
  try {
    // A rename asks nobody for the right to write that its owner took away.
    await (await open(path, 'r+')).close();
  } catch (error) {
    throw unsuitable(path, storageError(error, 'write', path).message, error);
  }
  return old;
}

/**
 * Keeps what a kubeconfig held, beside it and for its owner alone; never in the place of an older backup. To be called
 * with the lock held. Throws `storage_unavailable`.
 *
 * @param now milliseconds since the epoch
 * @returns the path of the backup
 */
export function backUp(path: string, text: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  let draft: Draft | undefined;
  try {
    draft = new Draft(dirname(path), { before: `.${basename(path)}.`, after: suffix });
    draft.write(text);
    draft.sync();
    for (let nth = 1; ; nth += 1) {
      const backup = `${path}.kleis-backup-${stamp}${nth === 1 ? '' : `-${nth}`}`;
      const outcome = existsSync(backup) ? 'exists' : draft.link(backup);
      if (outcome === 'exists') continue;
      // The lock keeps others away where there are no hard links.
      if (outcome === 'unsupported') draft.replace(backup);
      syncFolder(dirname(path));
      return backup;
    }
  } catch (error) {
    throw unsuitable(path, storageError(error, 'write', `${path}.kleis-backup-${stamp}`).message, error);
  } finally {
    draft?.discard();
  }
}

/** What was killed in mid-write left a copy of the kubeconfig; whoever holds the lock knows that nobody is writing it. */
async function sweep(path: string): Promise<void> {
  const names = await readdir(dirname(path));
  const start = `.${basename(path)}.`;
  // Exactly ours: `.config.` also begins what a writer of `config.old` has beside it, under another lock.
  const stale = names.filter(
    (name) => name.startsWith(start) && /^[0-9a-f]{12,16}\.kleis-tmp$/.test(name.slice(start.length)),
  );
  for (const name of stale) await unlink(join(dirname(path), name)).catch(() => undefined);
}

function unsuitable(path: string, why: string, cause?: unknown): KleisError {
  return new KleisError('storage_unavailable', cause === undefined ? `${clean(path, 400)} ${why}.` : why, {
    hint: 'Nothing was changed. Write to a kubeconfig of your own with --kubeconfig FILE.',
    cause,
  });
}

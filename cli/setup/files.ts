import { lstatSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Deps } from '../surroundings/deps.ts';
import { thisProcess } from '../surroundings/process.ts';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { Draft, syncFolder } from '../files/draft.ts';
import { isOurs, makeFolders, unsafe } from '../files/private-folder.ts';
import { storageError } from '../files/storage-error.ts';

/** Which of the names are taken in that folder, by whatever it is. Throws `storage_unavailable`. */
export function takenIn(folder: string, names: readonly string[]): string[] {
  try {
    return names.filter((name) => lstatSync(join(folder, name), { throwIfNoEntry: false }) !== undefined);
  } catch (error) {
    throw storageError(error, 'read', folder);
  }
}

/**
 * Throws `storage_unsafe` for a folder where others could put files of theirs in the place of these, which an admin then
 * installs at the API server.
 */
function checkFolder(folder: string, env: Deps['env']): void {
  const hint = 'Name a folder of your own with --output-dir.';
  const stat = statSync(folder);
  if (!isOurs(stat, env) && stat.uid !== 0) throw unsafe(folder, `belongs to another user (id ${stat.uid})`, hint);
  for (let at = realpathSync(folder), above = ''; at !== above; above = at, at = dirname(at)) {
    // Where everybody may write, the sticky bit keeps files for their owners.
    if ((statSync(at).mode & 0o1002) === 0o002) throw unsafe(at, 'can be written by others', hint);
  }
}

/**
 * Writes each file whole, or not at all; the folder is made if need be. Gives their paths. What appeared meanwhile is
 * replaced only with `replace`.
 *
 * @throws KleisError `storage_unavailable`, `storage_unsafe`, and `usage` for what is there and is not to be replaced
 */
export function writeFiles(
  folder: string,
  files: Readonly<Record<string, string>>,
  { replace, env }: { readonly replace: boolean; readonly env: Deps['env'] },
): string[] {
  try {
    makeFolders(folder);
    if (thisProcess.uid !== undefined) checkFolder(folder, env);
  } catch (error) {
    if (error instanceof KleisError) throw error;
    throw storageError(error, 'write', folder);
  }
  const taken = replace ? [] : takenIn(folder, Object.keys(files));
  if (taken.length > 0) throw alreadyThere(folder, taken);
  return Object.entries(files).map(([name, text]) => {
    const path = join(folder, name);
    writeOne(folder, path, text, replace);
    return path;
  });
}

function writeOne(folder: string, path: string, text: string, replace: boolean): void {
  let draft: Draft | undefined;
  try {
    draft = new Draft(folder);
    draft.write(text);
    draft.sync();
    const outcome = replace ? 'unsupported' : draft.link(path);
    if (outcome === 'exists') throw alreadyThere(folder, [path]);
    if (outcome === 'unsupported') {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && !replace) throw alreadyThere(folder, [path]);
      if (stat?.isDirectory() === true) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
      draft.replace(path);
    }
  } catch (error) {
    throw storageError(error, 'write', path);
  } finally {
    draft?.discard();
    syncFolder(folder);
  }
}

export function alreadyThere(folder: string, names: readonly string[]): KleisError {
  const list = names.map((name) => clean(name, 400)).join(', ');
  return new KleisError('usage', `There is something of that name in ${clean(folder, 400)} already: ${list}.`, {
    hint: 'Give another --output-dir, or --force to replace it. Nothing was written over.',
  });
}

import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { Draft, syncFolder } from '../files/draft.ts';
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
 * Writes each file whole, or not at all; the folder is made if need be. Gives their paths. What appeared meanwhile is
 * replaced only with `replace`.
 *
 * @throws KleisError `storage_unavailable`, and `usage` for what is there and is not to be replaced
 */
export function writeFiles(
  folder: string,
  files: Readonly<Record<string, string>>,
  { replace }: { readonly replace: boolean },
): string[] {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
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

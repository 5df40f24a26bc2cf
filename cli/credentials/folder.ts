import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
} from 'node:fs';
import { basename, join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { removeFile, replaceFile } from '../files/draft.ts';
import { maxBytes, readFlags } from '../files/private-files.ts';
import {
  checkKind,
  checkRights,
  checkWritable,
  isPrivate,
  makePrivateFolder,
  namesIn,
} from '../files/private-folder.ts';
import { storageError } from '../files/storage-error.ts';
import type { Deps } from '../surroundings/deps.ts';

const day = 24 * 3_600_000;
// So that a folder full of strange files does not hold kubectl up.
const maxSwept = 1000;

export interface StoredText {
  readonly text: string;
  /** Milliseconds. */
  readonly mtime: number;
}

/**
 * A folder of small things that can be lost: credentials, marks, failures. So nothing here throws, and nothing waits for
 * the disk: what a crash cuts off does not pass for a credential.
 */
export interface CredentialFolder {
  /** Its path, once it is known to be ours alone; made if need be. Undefined if none of the candidates can be used. */
  usable(): string | undefined;
  /** What was wrong with the candidates before it, in sentences. */
  passedOver(): readonly string[];
  /** A file that is ours alone. */
  read(name: string): StoredText | undefined;
  /** Replaces a file as a whole, its mtime included (milliseconds). False, and with `report` a word, if that failed. */
  write(name: string, text: string, mtime?: number, options?: { readonly report: boolean }): boolean;
  append(name: string, text: string): void;
  remove(name: string): void;
  list(): string[];
  /** Removes what has been of no use for a day, and unfinished writes of killed processes. */
  sweep(): void;
}

export interface FolderOptions {
  /** Tried in this order, as the launcher does: the first that can be used is the folder. */
  readonly candidates: readonly string[];
  /** What others could enter: is it emptied and closed to them, or passed over? */
  readonly openToOthers: 'empty' | 'pass over';
}

export function openFolder(
  { candidates, openToOthers }: FolderOptions,
  { clock, env, report }: Pick<Deps, 'clock' | 'env' | 'report'>,
): CredentialFolder {
  const passedOver: string[] = [];
  let chosen: { readonly path: string | undefined } | undefined;

  function usable(): string | undefined {
    chosen ??= { path: candidates.find(isUsable) };
    return chosen.path;
  }

  function isUsable(path: string): boolean {
    try {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) make(path);
      else {
        checkKind(path, stat);
        if (openToOthers === 'empty' && !isPrivate(stat)) close(path, stat);
        else checkRights(path, stat);
      }
      checkWritable(path);
      return true;
    } catch (error) {
      passedOver.push(storageError(error, 'write', path).message);
      return false;
    }
  }

  function make(path: string): void {
    const runtime = env['XDG_RUNTIME_DIR'] ?? '';
    // The folder of a login session is made by the system.
    if (path === join(runtime, basename(path)) && !existsSync(runtime)) {
      throw new KleisError('storage_unavailable', `XDG_RUNTIME_DIR is ${clean(runtime, 400)}, which does not exist.`);
    }
    makePrivateFolder(path);
  }

  // Whatever is in it may be another's work, and the launcher would run it.
  function close(path: string, stat: Stats): void {
    chmodSync(path, 0o700);
    for (const name of namesIn(path)) removeFile(join(path, name));
    const mode = (stat.mode & 0o777).toString(8);
    report.warn(`${clean(path, 400)} could be used by others (mode ${mode}): it has been emptied and closed to them.`);
  }

  return {
    usable,
    passedOver: () => passedOver,

    read(name) {
      const path = usable();
      if (path === undefined) return undefined;
      let file: number | undefined;
      try {
        file = openSync(join(path, name), readFlags);
        const stat = fstatSync(file);
        if (!stat.isFile() || !isPrivate(stat) || stat.size > maxBytes) return undefined;
        return { text: readFileSync(file, 'utf8'), mtime: Math.round(stat.mtimeMs) };
      } catch {
        return undefined;
      } finally {
        if (file !== undefined) closeSync(file);
      }
    },

    write(name, text, mtime, options) {
      const path = usable();
      if (path === undefined) return false;
      try {
        replaceFile(join(path, name), text, mtime);
        return true;
      } catch (error) {
        const { message } = storageError(error, 'write', join(path, name));
        if (options?.report === true) report.warn(`The credential is not kept, so the next call is slow. ${message}`);
        else report.debug(message);
        return false;
      }
    },

    append(name, text) {
      const path = usable();
      if (path === undefined) return;
      try {
        appendFileSync(join(path, name), text, { mode: 0o600 });
      } catch (error) {
        report.debug(storageError(error, 'write', join(path, name)).message);
      }
    },

    remove(name) {
      const path = usable();
      if (path !== undefined) removeFile(join(path, name));
    },

    list() {
      const path = usable();
      return path === undefined ? [] : namesIn(path);
    },

    sweep() {
      const path = usable();
      const now = clock.now();
      for (const name of this.list().slice(0, maxSwept)) {
        if (path === undefined || name.startsWith('asked-')) continue;
        const stat = lstatSync(join(path, name), { throwIfNoEntry: false });
        if (stat === undefined || !stat.isFile()) continue;
        // mtime is often set, to the future or to long ago; ctime is when that was done.
        const age = now - (name.endsWith('.tmp') ? stat.ctimeMs : Math.max(stat.mtimeMs, stat.ctimeMs));
        if (age > (name.endsWith('.tmp') ? day / 24 : day)) removeFile(join(path, name));
      }
    },
  };
}

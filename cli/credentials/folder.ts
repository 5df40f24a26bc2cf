import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  type Stats,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { KleisError } from '../../shared/errors.ts';
import { storageError } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

const maxBytes = 1024 * 1024;
const day = 24 * 3_600_000;
// So that a folder full of strange files does not hold kubectl up.
const maxSwept = 1000;

export interface StoredText {
  readonly text: string;
  /** Milliseconds. */
  readonly mtime: number;
}

/**
 * The folder of credentials. Unlike a session, what is in it can be lost, so nothing here throws, and nothing waits for
 * the disk: what a crash cuts off does not pass for a credential.
 */
export interface CredentialFolder {
  /** Its path, once it is known to be ours alone; made if need be. Undefined if it is not to be used. */
  usable(): string | undefined;
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

export function openFolder(
  dir: string | undefined,
  deps: Pick<Deps, 'clock' | 'platform' | 'report'>,
): CredentialFolder {
  const { clock, platform, report } = deps;
  // The profile folder's ACLs keep others out there; the mode that Node shows says nothing.
  const uid = platform === 'win32' ? undefined : process.geteuid?.();
  let checked: { readonly path: string | undefined } | undefined;

  const isOurs = (stat: Stats) => uid === undefined || (stat.uid === uid && (stat.mode & 0o077) === 0);

  function usable(): string | undefined {
    checked ??= { path: dir === undefined ? undefined : check(dir) };
    return checked.path;
  }

  function check(path: string): string | undefined {
    try {
      let stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) {
        // `sudo -E` hands on a folder of the caller's: a subfolder of root's would lock the caller out of it.
        const above = nearest(dirname(path));
        if (uid !== undefined && above.uid !== uid && above.uid !== 0) return undefined;
        mkdirSync(path, { recursive: true, mode: 0o700 });
        stat = lstatSync(path);
      }
      const why = stat.isSymbolicLink() ? 'is a symbolic link' : stat.isDirectory() ? undefined : 'is not a folder';
      const foreign = uid !== undefined && stat.uid !== uid ? 'belongs to another user' : undefined;
      if (why !== undefined || foreign !== undefined) {
        report.warn(`No credential is kept: ${clean(path, 400)} ${why ?? foreign}.`);
        return undefined;
      }
      if (!isOurs(stat)) repair(path, stat);
      return path;
    } catch (error) {
      report.debug(`No credential is kept: ${storageError(error, 'write', path).message}`);
      return undefined;
    }
  }

  // Whatever is in it may be another's work, and the launcher would run it.
  function repair(path: string, stat: Stats): void {
    chmodSync(path, 0o700);
    for (const name of readdirSync(path)) unlink(join(path, name));
    const mode = (stat.mode & 0o777).toString(8);
    report.warn(`${clean(path, 400)} could be used by others (mode ${mode}): it has been emptied and closed to them.`);
  }

  return {
    usable,

    read(name) {
      const path = usable();
      if (path === undefined) return undefined;
      let file: number | undefined;
      try {
        // Not followed, and not waited for: neither a link nor a pipe was put there by us.
        const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
        file = openSync(join(path, name), flags);
        const stat = fstatSync(file);
        if (!stat.isFile() || !isOurs(stat) || stat.size > maxBytes) return undefined;
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
      const temporary = join(path, `.${name}.${randomBytes(6).toString('hex')}.tmp`);
      try {
        writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 });
        if (mtime !== undefined) utimesSync(temporary, mtime / 1000, mtime / 1000);
        renameSync(temporary, join(path, name));
        return true;
      } catch (error) {
        unlink(temporary);
        const { message }: KleisError = storageError(error, 'write', join(path, name));
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
      if (path !== undefined) unlink(join(path, name));
    },

    list() {
      const path = usable();
      try {
        return path === undefined ? [] : readdirSync(path);
      } catch {
        return [];
      }
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
        if (age > (name.endsWith('.tmp') ? day / 24 : day)) unlink(join(path, name));
      }
    },
  };
}

function nearest(path: string): Stats {
  return lstatSync(path, { throwIfNoEntry: false }) ?? nearest(dirname(path));
}

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already, or a folder, which is none of ours.
  }
}

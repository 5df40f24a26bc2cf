import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { thisProcess } from '../surroundings/process.ts';
import { systemCode } from '../../shared/read-file.ts';

const sync = promisify(fsync);

/** What unfinished files end with, so that those of killed processes can be swept. */
export const temporarySuffix = '.tmp';

const ofOurs = { before: '.', after: temporarySuffix };

/**
 * A file that is made whole before it gets its name: whoever reads, and whatever breaks, sees the old file or the new
 * one. Every file that Kleis writes is made here; only the file system's own errors are thrown.
 */
export class Draft {
  readonly #path: string;
  #file: number | undefined;

  /** In the folder where it is to stand, which must be there. Its mode is 0600. `mark` tells whose drafts it is of. */
  constructor(folder: string, mark: { readonly before: string; readonly after: string } = ofOurs) {
    this.#path = join(folder, `${mark.before}${randomBytes(8).toString('hex')}${mark.after}`);
    this.#file = openSync(this.#path, 'wx', 0o600);
  }

  /** Takes that many bytes on the disk, so that a text of that length can be written whatever others write meanwhile. */
  async reserve(bytes: number): Promise<void> {
    // Random, so that a file system that compresses or skips zeros takes the room all the same.
    this.#write(randomBytes(bytes));
    // Others may run while the disk is at it.
    await sync(this.#descriptor());
  }

  write(text: string): void {
    const data = Buffer.from(text);
    this.#write(data);
    // What is left of the room goes after the text is in: cutting first would give blocks away to others.
    ftruncateSync(this.#descriptor(), data.length);
  }

  /** @param mtime milliseconds since the epoch: whoever sees the file sees this time */
  setTime(mtime: number): void {
    futimesSync(this.#descriptor(), mtime / 1000, mtime / 1000);
  }

  /** Gives it the owner, group and mode of the file that it replaces; `refused` is told where the system keeps the owner. */
  takeAfter(old: Pick<Stats, 'uid' | 'gid' | 'mode'>, refused: (mine: Stats) => void): void {
    const file = this.#descriptor();
    const mine = fstatSync(file);
    try {
      if (mine.uid !== old.uid || mine.gid !== old.gid) fchownSync(file, old.uid, old.gid);
    } catch {
      refused(mine);
    }
    fchmodSync(file, old.mode & 0o7777);
  }

  sync(): void {
    fsyncSync(this.#descriptor());
  }

  /** Makes it the file of that path, in the place of whatever file is there. */
  replace(path: string): void {
    for (let attempt = 1; ; attempt += 1) {
      try {
        renameSync(this.#path, path);
        this.#close();
        return;
      } catch (error) {
        // On Windows a virus scanner or an indexer that has the file open makes this fail for a moment.
        const passing =
          thisProcess.platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error) ?? '');
        if (!passing || attempt === 20) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25);
      }
    }
  }

  /**
   * Makes it the file of that path unless there is one. A hard link never replaces, so that of several at once exactly
   * one succeeds (link(2), EEXIST).
   *
   * @returns `unsupported` where the file system knows no hard links: FAT, some network file systems, Android
   */
  link(path: string): 'linked' | 'exists' | 'unsupported' {
    try {
      linkSync(this.#path, path);
      return 'linked';
    } catch (error) {
      const code = systemCode(error) ?? '';
      if (code === 'EEXIST') return 'exists';
      if (['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'].includes(code)) return 'unsupported';
      throw error;
    }
  }

  /** For the end, however it ended: what has no name of its own yet is removed. */
  discard(): void {
    if (this.#file === undefined) return;
    this.#close();
    removeFile(this.#path);
  }

  #write(data: Buffer): void {
    const file = this.#descriptor();
    for (let at = 0; at < data.length;) at += writeSync(file, data, at, data.length - at, at);
  }

  #descriptor(): number {
    if (this.#file === undefined) throw new Error('the draft has been placed or discarded');
    return this.#file;
  }

  #close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** Replaces a file whose loss in a crash does not matter. Throws the file system's errors. */
export function replaceFile(path: string, text: string, mtime?: number): void {
  const draft = new Draft(dirname(path));
  try {
    draft.write(text);
    if (mtime !== undefined) draft.setTime(mtime);
    draft.replace(path);
  } finally {
    draft.discard();
  }
}

/**
 * The new name is only as durable as the folder that holds it. Where folders cannot be synced (Windows, some network file
 * systems) the system offers no more.
 */
export function syncFolder(folder: string): void {
  if (thisProcess.platform === 'win32') return;
  let file: number | undefined;
  try {
    file = openSync(folder, constants.O_RDONLY);
    fsyncSync(file);
  } catch {
    // As said.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Does nothing where the file is gone already, or where a folder stands in its place. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // As said.
  }
}

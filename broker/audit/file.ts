import { constants, lstatSync, type Stats, statSync } from 'node:fs';
import { lstat, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Sink, SinkError } from './sink.ts';

// Log rotation moves the file away, compresses what it finds in it, and removes it. So a line is not there to stay when
// a file holds it, but when the file at the path holds it after the sync: whatever moves it later takes the line along.

/**
 * Milliseconds for which a path may be empty, or not be ours to open, before that counts. Between logrotate's rename and
 * its new file lie some system calls. To make the file ourselves meanwhile would be wrong: logrotate would move ours
 * aside to a name that the next one overwrites.
 */
const rotation = { time: 1000, look: 10 };
/**
 * A write returns when the disk has it, not when the kernel has: a token must not survive a power cut that its event did
 * not. One call for both is half the work of a write and an fdatasync.
 */
const common = constants.O_RDWR | constants.O_APPEND | constants.O_DSYNC;
/** Files that one batch is written to until one of them stays where it is. */
const maxMoves = 20;

interface OpenFile {
  readonly handle: FileHandle;
  readonly ino: number;
  readonly dev: number;
  /** Bytes that it has by what was read and written here. */
  size: number;
}

/** What a file at the path must be. */
interface Expected {
  readonly path: string;
  /** It was a link when the broker started; one that becomes a link later may lead to anybody's file. */
  readonly linked: boolean;
  /** User ids: root's, that of the first file, and ours once we made one. */
  readonly owners: Set<number>;
}

/** Appends to a regular file, which is made readable by its owner alone. Throws what `open` throws. */
export async function openFile(path: string): Promise<Sink> {
  const before = await lstat(path).catch(() => undefined);
  const linked = before?.isSymbolicLink() ?? false;
  const expected: Expected = { path, linked, owners: new Set([0]) };
  const first = await (linked ? stat(path) : lstat(path)).catch(() => undefined);
  if (first !== undefined) expected.owners.add(first.uid);

  let file = first === undefined ? await createFile(expected) : await openExisting(expected);
  let stale = false;
  /** Bytes that this file has of lines that are not all written. */
  let taken = 0;
  let truncations = 0;

  async function follow(): Promise<void> {
    const next = await openMoved(expected, () => stale);
    await file.handle.close().catch(() => undefined);
    file = next;
    stale = false;
    // The whole lines: what the old file has of them may be gone with it.
    taken = 0;
  }

  async function append(lines: Uint8Array): Promise<void> {
    try {
      while (taken < lines.length) {
        const { bytesWritten } = await file.handle.write(lines, taken, lines.length - taken, null);
        taken += bytesWritten;
        file.size += bytesWritten;
      }
    } catch (error) {
      // The kernel may have dropped what it could not write.
      if ((error as NodeJS.ErrnoException).code === 'EIO') taken = 0;
      throw error;
    }
  }

  /**
   * What the path names, if it is this file still. At once where the disk has just answered: by way of a thread it takes ten
   * times as long, for which everybody waits. One that failed may not answer again, and only a thread may wait for it.
   */
  async function lookAtPath(isWell: boolean): Promise<Stats | undefined> {
    const there = isWell ? statusOf(path, linked) : await (linked ? stat(path) : lstat(path)).catch(() => undefined);
    return there !== undefined && there.ino === file.ino && there.dev === file.dev ? there : undefined;
  }

  /** `copytruncate`: between its copy and its cut lines are lost, and nobody can say which. */
  function wasTruncated({ size }: Stats): boolean {
    const cut = size < file.size;
    file.size = size;
    if (cut) truncations += 1;
    return cut;
  }

  return {
    async write(lines) {
      try {
        for (let moves = 0; moves < maxMoves; moves += 1) {
          if (stale) await follow();
          const failure = await append(lines).then(
            () => undefined,
            (error: unknown) => error as Error,
          );
          // After the sync: whoever moves the file from here on takes these lines along.
          const there = await lookAtPath(failure === undefined);
          if (there === undefined) await follow();
          else if (failure !== undefined) throw failure;
          else if (wasTruncated(there)) taken = 0;
          else if (!stale) {
            taken = 0;
            return;
          }
        }
        throw new Error('the file is moved away faster than it can be written');
      } catch (error) {
        throw new SinkError(error);
      }
    },
    reopen: () => void (stale = true),
    get truncations() {
      return truncations;
    },
    close: async () => file.handle.close(),
  };
}

function statusOf(path: string, linked: boolean): Stats | undefined {
  try {
    return (linked ? statSync : lstatSync)(path);
  } catch {
    return undefined;
  }
}

/** What is at the path now. Waits for a rotation to end, unless `hurried` says that it is over. */
async function openMoved(expected: Expected, hurried: () => boolean): Promise<OpenFile> {
  const deadline = performance.now() + rotation.time;
  for (;;) {
    try {
      return await openExisting(expected);
    } catch (error) {
      const over = hurried() || performance.now() >= deadline;
      if (over && (error as NodeJS.ErrnoException).code === 'ENOENT') return createFile(expected);
      if (over) throw error;
    }
    await sleep(rotation.look);
  }
}

async function createFile(expected: Expected): Promise<OpenFile> {
  const flags = common | constants.O_CREAT | (expected.linked ? 0 : constants.O_EXCL);
  let handle: FileHandle;
  try {
    handle = await open(expected.path, flags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return openExisting(expected);
    throw error;
  }
  return prepare(handle, expected.path, ({ uid }) => void expected.owners.add(uid));
}

async function openExisting({ path, linked, owners }: Expected): Promise<OpenFile> {
  // O_NONBLOCK: a pipe that somebody put there is refused below, and must not hold a thread until then.
  const flags = common | constants.O_NONBLOCK | (linked ? 0 : constants.O_NOFOLLOW);
  const handle = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ELOOP' ? new Error('the file has become a link', { cause: error }) : error;
  });
  return prepare(handle, path, (stats) => {
    if (!stats.isFile()) throw new Error('the file has become something else than a file');
    if (!owners.has(stats.uid)) throw new Error("the file has become somebody else's");
  });
}

async function prepare(handle: FileHandle, path: string, check: (stats: Stats) => void): Promise<OpenFile> {
  try {
    const stats = await handle.stat();
    check(stats);
    let { size } = stats;
    if (size > 0) {
      // A power cut may have left half a line; what follows must not become its other half.
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
      if (buffer[0] !== 0x0a) size += (await handle.write('\n')).bytesWritten;
    }
    await syncFolder(dirname(path));
    return { handle, ino: stats.ino, dev: stats.dev, size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** So that the file's name outlives a power cut as its lines do. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    // Some file systems cannot, and say EINVAL.
    await handle?.sync().catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EIO') throw error;
    });
  } finally {
    await handle?.close();
  }
}

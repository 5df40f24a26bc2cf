import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where lines go. */
export interface Sink {
  /**
   * Resolves when these whole lines are there to stay; without any, when some could be written. What a failed call was
   * given comes again at the head of the next one: how much of it was taken is for the sink to remember. Throws `SinkError`.
   */
  write(lines: Uint8Array): Promise<void>;
  /** Opens the path anew at the next write. */
  reopen(): void;
  /** How often somebody cut the file short, so that lines may be gone that were written. */
  readonly truncations: number;
  close(): Promise<void>;
}

export class SinkError extends Error {
  override readonly name = 'SinkError';

  constructor(cause: unknown) {
    super('the audit cannot be written', { cause });
  }
}

/** How often a pipe that is full is tried again. */
const retryEvery = 20;

/** Writes to what is no regular file, a named pipe for instance. Nothing is synced. Throws what `open` throws. */
export async function openPipe(path: string): Promise<Sink> {
  let pipe = await openForWriting(path);
  let stale = false;
  let taken = 0;

  async function follow(): Promise<void> {
    const there = await stat(path).catch(() => undefined);
    if (!stale && there !== undefined && there.ino === pipe.ino && there.dev === pipe.dev) return;
    const next = await openForWriting(path);
    await pipe.handle.close().catch(() => undefined);
    pipe = next;
    stale = false;
    taken = 0;
  }

  return {
    async write(lines) {
      try {
        await follow();
        while (taken < lines.length) taken += await writeSome(pipe.handle, lines.subarray(taken));
        taken = 0;
      } catch (error) {
        // Whoever reads next has not seen the beginning.
        if ((error as NodeJS.ErrnoException).code === 'EPIPE') taken = 0;
        throw new SinkError(error);
      }
    },
    reopen: () => void (stale = true),
    truncations: 0,
    close: async () => pipe.handle.close(),
  };
}

interface Pipe {
  readonly handle: FileHandle;
  readonly ino: number;
  readonly dev: number;
}

async function openForWriting(path: string): Promise<Pipe> {
  // A pipe that nobody reads would hold a thread in open() or write(), and with it the end of the process.
  const handle = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
  try {
    const { ino, dev } = await handle.stat();
    return { handle, ino, dev };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Gives how much was taken: nothing if the reader is behind, after a moment. */
async function writeSome(handle: FileHandle, bytes: Uint8Array): Promise<number> {
  try {
    return (await handle.write(bytes, 0, bytes.length, null)).bytesWritten;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    await sleep(retryEvery);
    return 0;
  }
}

/** Standard output, for whoever collects the logs of containers. */
export function streamSink(stream: NodeJS.WritableStream): Sink {
  // Without a listener a reader that went away would end the process.
  stream.on('error', () => undefined);
  return {
    write: async (lines) =>
      new Promise((resolve, reject) => {
        stream.write(lines, (error) => {
          if (error) reject(new SinkError(error));
          else resolve();
        });
      }),
    reopen: () => undefined,
    truncations: 0,
    close: async () => undefined,
  };
}

import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where lines go. */
export interface Sink {
  /** Resolves when they are there to stay. Throws `SinkError`. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** `written` bytes of it are there all the same; nobody knows how many if it is undefined. */
export class SinkError extends Error {
  override readonly name = 'SinkError';
  readonly written: number;

  constructor(cause: unknown, written: number) {
    super('the audit cannot be written', { cause });
    this.written = written;
  }
}

/** How often it is looked whether somebody has moved the file away, as log rotation does. */
const lookEvery = 1000;
/** How often a pipe that is full is tried again. */
const retryEvery = 20;

/** Appends to a file, which is made readable by its owner alone. Throws what `open` throws. */
export async function openFile(path: string, now: () => number): Promise<Sink> {
  let file = await openForAppend(path);
  let looked = now();

  async function followRotation(): Promise<void> {
    if (now() - looked < lookEvery && now() >= looked) return;
    const there = await stat(path).catch(() => undefined);
    if (there === undefined || there.ino !== file.ino || there.dev !== file.dev) {
      // Not into the old one if this fails: it may be one that somebody has deleted.
      const next = await openForAppend(path);
      await file.handle.close().catch(() => undefined);
      file = next;
    }
    looked = now();
  }

  return {
    async write(bytes) {
      let written = 0;
      try {
        await followRotation();
        while (written < bytes.length) {
          written += await writeSome(file.handle, bytes.subarray(written));
        }
        // Not only out of the process: a token must not survive a power cut that its event did not.
        if (file.regular) await file.handle.datasync();
      } catch (error) {
        throw new SinkError(error, written);
      }
    },
    close: async () => file.handle.close(),
  };
}

/** Gives how much was taken: 0 of a pipe whose reader is behind, after a moment. */
async function writeSome(handle: FileHandle, bytes: Uint8Array): Promise<number> {
  try {
    return (await handle.write(bytes, 0, bytes.length, null)).bytesWritten;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    await sleep(retryEvery);
    return 0;
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly ino: number;
  readonly dev: number;
  readonly regular: boolean;
}

async function openForAppend(path: string): Promise<OpenFile> {
  const regular = (await stat(path).catch(() => undefined))?.isFile() ?? true;
  // A pipe that nobody reads would hold a thread in open() or write(), and with it the end of the process.
  const pipe = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
  const handle = await open(path, regular ? 'a+' : pipe, 0o600);
  try {
    const { ino, dev, size } = await handle.stat();
    if (regular && size > 0) {
      // A power cut may have left half a line; what follows must not become its other half.
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
      if (buffer[0] !== 0x0a) await handle.write('\n');
    }
    return { handle, ino, dev, regular };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Standard output, for whoever collects the logs of containers. */
export function streamSink(stream: NodeJS.WritableStream): Sink {
  // Without a listener a reader that went away would end the process.
  stream.on('error', () => undefined);
  return {
    write: async (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => {
          if (error) reject(new SinkError(error, 0));
          else resolve();
        });
      }),
    close: async () => undefined,
  };
}

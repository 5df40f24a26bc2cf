import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';

/** Lines of one file that follow on one another. */
export interface Lines {
  readonly texts: readonly string[];
  /** Of the first of them, in its file; the first is 1. */
  readonly number: number;
}

export interface Source {
  readonly name: string;
  /** It can be read again from its beginning: a regular file. */
  readonly repeatable: boolean;
  /** It goes on where the last reading ended, over rotations of the file. */
  readonly followed: boolean;
  /** Up to the end that it has now. Lines that are too long are cut to one character more than allowed. Throws what reading throws. */
  read(): AsyncGenerator<Lines>;
  close(): Promise<void>;
}

export interface SourceOptions {
  /** What `-` means. */
  readonly stdin?: Readable;
  /** Characters; longer lines are not kept in memory. */
  readonly maxLine: number;
  /** Files that are not compressed are to be followed. */
  readonly follow?: boolean;
  /** Somebody cut a followed file short. */
  readonly onTruncated?: (file: string) => void;
}

const chunkSize = 64 * 1024;

/** A file, compressed or not, a pipe, or `-`. It stays the same file when it is renamed meanwhile. Throws what `open` throws. */
export async function openSource(name: string, options: SourceOptions): Promise<Source> {
  const { stdin, maxLine, follow = false, onTruncated } = options;
  if (name === '-' && stdin !== undefined) return streamed(name, () => stdin, maxLine);
  const handle = await open(name, 'r');
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) return streamed(name, () => chunksOf(handle, false), maxLine, handle);
    if (follow && !(await isCompressed(handle))) return tail(name, handle, maxLine, onTruncated ?? (() => undefined));
    return {
      name,
      repeatable: true,
      followed: false,
      read: () => linesOf(unpacked(chunksOf(handle, true)), maxLine),
      close: async () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** What passes by once. */
function streamed(name: string, chunks: () => AsyncIterable<Buffer>, maxLine: number, handle?: FileHandle): Source {
  return {
    name,
    repeatable: false,
    followed: false,
    read: () => linesOf(unpacked(chunks()), maxLine),
    close: async () => handle?.close(),
  };
}

/** `tail -F`: moved away, replaced, cut short. */
function tail(name: string, first: FileHandle, maxLine: number, onTruncated: (file: string) => void): Source {
  let handle = first;
  let position = 0;
  let number = 1;
  let splitter = createSplitter(maxLine);
  const begin = (): string[] => {
    const rest = splitter.end();
    splitter = createSplitter(maxLine);
    position = 0;
    return rest;
  };

  async function* read(): AsyncGenerator<Lines> {
    let moved = false;
    for (;;) {
      const buffer = Buffer.allocUnsafe(chunkSize);
      const { bytesRead } = await handle.read(buffer, 0, chunkSize, position);
      if (bytesRead > 0) {
        position += bytesRead;
        const texts = splitter.push(buffer.subarray(0, bytesRead));
        yield { texts, number };
        number += texts.length;
        continue;
      }
      const there = await stat(name).catch(() => undefined);
      // Between a rename and the new file lie some moments.
      if (there === undefined) return;
      const own = await handle.stat();
      if (there.ino !== own.ino || there.dev !== own.dev) {
        // Once more: what was written to it until it was moved.
        if (moved) {
          const next = await openFile(name);
          if (next === undefined) return;
          await handle.close();
          handle = next;
          yield { texts: begin(), number };
          number = 1;
        }
        moved = !moved;
      } else if (there.size < position) {
        onTruncated(name);
        yield { texts: begin(), number };
        number = 1;
      } else return;
    }
  }
  return { name, repeatable: true, followed: true, read, close: async () => handle.close() };
}

/** Undefined if no file is there: whoever may write in the folder must not make us wait for a pipe, or read a device. */
async function openFile(name: string): Promise<FileHandle | undefined> {
  const handle = await open(name, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(() => undefined);
  if (handle === undefined || (await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

async function isCompressed(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && isGzip(buffer);
}

/** RFC 1952 section 2.3.1. */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

async function* chunksOf(handle: FileHandle, regular: boolean): AsyncGenerator<Buffer> {
  let position = 0;
  for (;;) {
    const buffer = Buffer.allocUnsafe(chunkSize);
    const { bytesRead } = await handle.read(buffer, 0, chunkSize, regular ? position : null);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* unpacked(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const reading = chunks[Symbol.asyncIterator]();
  const { value: head, done = false } = (await reading.next()) as IteratorResult<Buffer, undefined>;
  if (done || head === undefined) return;
  const all = (async function* whole() {
    yield head;
    yield* { [Symbol.asyncIterator]: () => reading };
  })();
  if (!isGzip(head)) return yield* all;
  const gunzip = createGunzip();
  const piping = pipeline(Readable.from(all), gunzip);
  // Reading throws the same.
  piping.catch(() => undefined);
  yield* gunzip as AsyncIterable<Buffer>;
}

async function* linesOf(chunks: AsyncIterable<Buffer>, maxLine: number): AsyncGenerator<Lines> {
  const splitter = createSplitter(maxLine);
  let number = 1;
  for await (const chunk of chunks) {
    const texts = splitter.push(chunk);
    yield { texts, number };
    number += texts.length;
  }
  yield { texts: splitter.end(), number };
}

/** Bytes become lines; of a line that is too long only the beginning is kept. */
function createSplitter(maxLine: number) {
  const decoder = new StringDecoder('utf8');
  let parts: string[] = [];
  let length = 0;
  const keep = (text: string): void => {
    if (text === '' || length > maxLine) return;
    const kept = text.slice(0, maxLine + 1 - length);
    parts.push(kept);
    length += kept.length;
  };
  const take = (): string => {
    const line = parts.length === 1 ? parts[0]! : parts.join('');
    parts = [];
    length = 0;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  };
  return {
    push(chunk: Buffer): string[] {
      const text = decoder.write(chunk);
      const lines: string[] = [];
      let from = 0;
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
        keep(text.slice(from, end));
        lines.push(take());
        from = end + 1;
      }
      keep(text.slice(from));
      return lines;
    },
    /** What came after the last line feed. */
    end(): string[] {
      keep(decoder.end());
      return length === 0 ? [] : [take()];
    },
  };
}

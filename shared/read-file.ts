import fs from 'node:fs';
import { promisify } from 'node:util';
import { type ErrorCode, KleisError } from './errors.ts';
import { clean } from './text.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'your disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this user has no right to it',
  ENOENT: 'it does not exist',
  EPERM: 'the system does not permit it (the file or folder may be immutable)',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'there is a folder in its place',
  ELOOP: 'there is a symbolic link in its place',
  ENAMETOOLONG: 'the path is too long',
  ENXIO: 'nobody reads the pipe',
  EIO: 'the device reports an error',
  ESTALE: 'the network file system has lost it',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
};

/** `ENOENT` and its like; undefined for an error that is not the system's. */
export function systemCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What the file system says, in plain words. */
export function systemReason(error: unknown): string {
  const code = systemCode(error);
  return reasons[code ?? ''] ?? clean(code ?? (error instanceof Error ? error.message : error));
}

const maxBytes = 1024 * 1024;

// Not node:fs/promises, for which Node loads its readline too: 4 ms of every token.
const [open, read, close] = [promisify(fs.open), promisify(fs.read), promisify(fs.close)];
const stat = promisify(fs.stat);

/**
 * The text of a small file (1 MiB unless told), or of a pipe, without a byte order mark. Throws `code`: the message names
 * the file and quotes nothing of it.
 */
export async function readTextFile(
  path: string,
  { code = 'config_invalid', limit = maxBytes }: { readonly code?: ErrorCode; readonly limit?: number } = {},
): Promise<string> {
  let text: string;
  try {
    text = await readBounded(path, limit);
  } catch (cause) {
    throw new KleisError(code, `${clean(path, 400)} cannot be read: ${systemReason(cause)}.`, { cause });
  }
  return text.replace(/^\uFEFF/, '');
}

async function readBounded(path: string, limit: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let size = 0; ;) {
      const buffer = Buffer.allocUnsafe(65_536);
      const { bytesRead } = await read(file, buffer, 0, buffer.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks).toString('utf8');
      size += bytesRead;
      if (size > limit) throw new Error(`it is larger than ${sizeText(limit)}`);
      chunks.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await close(file);
  }
}

const sizeText = (bytes: number) => (bytes >= maxBytes ? `${bytes / maxBytes} MiB` : `${bytes / 1024} KiB`);

/**
 * Another text once the file is another one. What is mounted from a cluster changes its link and so the file's inode; an
 * editor changes time or size. Throws as `stat` does.
 */
export async function fileMark(path: string): Promise<string> {
  const { ino, mtimeMs, size, mode } = await stat(path);
  return `${ino} ${mtimeMs} ${size} ${mode}`;
}

import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'your disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this user has no right to it',
  ENOENT: 'a folder on the way has been removed',
  EPERM: 'the system does not permit it (the file or folder may be immutable)',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'there is a folder in its place',
  ELOOP: 'there is a symbolic link in its place',
  ENAMETOOLONG: 'the path is too long',
  EIO: 'the device reports an error',
  ESTALE: 'the network file system has lost it',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
};

/** What the file system says, in plain words. Our own errors pass through. */
export function storageError(error: unknown, action: 'read' | 'write' | 'remove', path: string): KleisError {
  if (error instanceof KleisError) return error;
  const reason = reasons[systemCode(error) ?? ''] ?? clean(systemCode(error) ?? error);
  return new KleisError('storage_unavailable', `Cannot ${action} ${clean(path, 400)}: ${reason}.`, { cause: error });
}

/** `ENOENT` and its like; undefined for an error that is not the system's. */
export function systemCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

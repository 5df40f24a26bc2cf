import { KleisError } from '../../shared/errors.ts';
import { systemCode, systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';

/** What the file system says, in plain words. Our own errors pass through. */
export function storageError(error: unknown, action: 'read' | 'write' | 'remove', path: string): KleisError {
  if (error instanceof KleisError) return error;
  const folderIsGone = action !== 'read' && systemCode(error) === 'ENOENT';
  const reason = folderIsGone ? 'a folder on the way has been removed' : systemReason(error);
  return new KleisError('storage_unavailable', `Cannot ${action} ${clean(path, 400)}: ${reason}.`, { cause: error });
}

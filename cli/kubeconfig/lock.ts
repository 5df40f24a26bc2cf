import { open, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { systemCode } from '../../shared/read-file.ts';
import { makeFolders } from '../files/private-folder.ts';
import { storageError } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

/** kubectl gives up at once; it holds its lock for milliseconds, though, so that waiting is worth it. */
const patience = 5000;
const pause = 25;

/**
 * Does the work while nobody else who keeps to client-go's lock file (`FILE.lock`, made with O_EXCL; `lockFile` in
 * tools/clientcmd/loader.go) changes these kubeconfigs. Like client-go it never takes a lock from anybody.
 *
 * @throws KleisError `claim_held` naming the file that stays locked; `storage_unavailable` if none can be made
 */
export async function withLocks<T>(
  paths: readonly string[],
  deps: Pick<Deps, 'clock' | 'signal'>,
  work: () => Promise<T>,
): Promise<T> {
  // One order for everybody, so that no two wait for each other.
  const locks = [...new Set(paths)].toSorted().map((path) => `${path}.lock`);
  const deadline = deps.clock.now() + patience;
  const held: string[] = [];
  try {
    for (const lock of locks) {
      while (!(await take(lock))) {
        if (deps.clock.now() >= deadline) throw await stillHeld(lock, deps.clock.now());
        await deps.clock.sleep(pause + Math.random() * pause, deps.signal);
      }
      held.push(lock);
    }
    return await work();
  } finally {
    for (const lock of held.toReversed()) await unlink(lock).catch(() => undefined);
  }
}

async function take(lock: string): Promise<boolean> {
  try {
    makeFolders(dirname(lock));
    const handle = await open(lock, 'wx', 0o600);
    await handle.close();
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw new KleisError('storage_unavailable', storageError(error, 'write', lock).message, {
      hint: 'Nothing was changed. Write to a kubeconfig of your own with --kubeconfig FILE.',
      cause: error,
    });
  }
}

async function stillHeld(lock: string, now: number): Promise<KleisError> {
  const since = await stat(lock).catch(() => undefined);
  const age = since === undefined ? '' : `, made ${formatDuration(now - since.mtimeMs)} ago`;
  return new KleisError(
    'claim_held',
    `The kubeconfig is locked: ${clean(lock, 400)} exists${age}. kubectl and others make it while they write.`,
    { hint: `If no kubectl or kleis is writing, remove ${clean(lock, 400)} and try again. Nothing was changed.` },
  );
}

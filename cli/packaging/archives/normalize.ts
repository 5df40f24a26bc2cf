import { chmod, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { epoch } from '../release/epoch.ts';

/** Rights and times that do not depend on who makes it. @param programs what can be run, by its path in the folder */
export async function normalize(folder: string, programs: readonly string[]): Promise<void> {
  const runnable = new Set(programs.map((path) => join(folder, path)));
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    await chmod(path, entry.isDirectory() || runnable.has(path) ? 0o755 : 0o644);
    await utimes(path, epoch(), epoch());
  }
  await chmod(folder, 0o755);
  await utimes(folder, epoch(), epoch());
}

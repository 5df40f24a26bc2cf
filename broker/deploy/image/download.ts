import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Of } from '../../../cli/packaging/release/sha256.ts';

/** Where what was downloaded is kept between builds. */
const folder = 'node_modules/.cache/kleis-image';

/** The path of a file of that name, which `fetch` writes unless it is there. Throws when it is not what was pinned. */
export function kept(name: string, sha256: string, fetch: (into: string) => void): string {
  const path = join(folder, name);
  if (!existsSync(path) || !fits(path, sha256)) {
    mkdirSync(folder, { recursive: true });
    const part = `${path}.${process.pid}`;
    try {
      fetch(part);
      if (!fits(part, sha256)) throw new Error(`${name} is not what was pinned: its sum is another one.`);
      renameSync(part, path);
    } finally {
      rmSync(part, { force: true });
    }
  }
  return path;
}

/** Whether a file is the one of that SHA-256. */
export function fits(path: string, sha256: string): boolean {
  return sha256Of(path) === sha256;
}

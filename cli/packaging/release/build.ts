import { execFileSync } from 'node:child_process';

/** Builds `dist` in that folder, with a code cache for this Node and for `other`, that of images and executables. */
export function buildDist(folder: string, other: string | undefined): void {
  const nodes = other === undefined ? [] : [other];
  execFileSync(process.execPath, ['build.mjs', ...nodes], { cwd: folder, stdio: ['ignore', 2, 2] });
}

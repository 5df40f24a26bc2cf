import { execFileSync } from 'node:child_process';
import { nodeForCache } from '../../../broker/deploy/image/node.ts';

/** Builds `dist` in that folder, with a code cache for this Node and for the one of images and executables. */
export function buildDist(folder: string): void {
  const others = [nodeForCache() ?? []].flat();
  execFileSync(process.execPath, ['build.mjs', ...others], { cwd: folder, stdio: ['ignore', 2, 2] });
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { thisProcess } from './process.ts';

/**
 * Whether there is nothing beside this program that kubectl could run for a credential: krew puts a standalone executable on
 * PATH as `kubectl-kleis`, and nothing else.
 */
export function hasNoLauncher(platform: string): boolean {
  const { standalone } = thisProcess;
  if (standalone === undefined) return false;
  const names = platform === 'win32' ? ['kleis-get-token.cmd', 'kleis-get-token.exe'] : ['kleis-credential'];
  return names.every((name) => !existsSync(join(standalone, name)));
}

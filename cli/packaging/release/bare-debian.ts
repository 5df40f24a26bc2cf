import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool } from '../../../test/support/tools.ts';
import { runInChroot } from './chroot.ts';

/** What this machine lacks to make one for programs of Linux on x64. */
export function lacksDebian(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Linux on x64';
  if (process.getuid?.() !== 0) return 'chroot needs root';
  if (findTool('mmdebstrap') === undefined) return 'mmdebstrap';
  return codename() === undefined ? 'Debian' : undefined;
}

/** A folder to change root into, with what every Debian has and nothing else: there is no Node. */
export function makeDebian(root: string): void {
  // From where this machine has its own packages.
  const list = '/etc/apt/sources.list.d';
  const sources = [
    '/etc/apt/sources.list',
    ...(existsSync(list) ? readdirSync(list).map((each) => join(list, each)) : []),
  ].filter((path) => /\.(?:list|sources)$/.test(path) && existsSync(path) && readFileSync(path, 'utf8').trim() !== '');
  const args = ['--quiet', '--variant=apt', codename() ?? '', root, ...sources];
  execFileSync('mmdebstrap', args, { stdio: 'pipe' });
  if (runInChroot(root, ['/bin/sh', '-c', 'command -v node || true']) !== '') throw new Error('that Debian has a Node');
}

/** The release of Debian that this machine is. */
function codename(): string | undefined {
  const file = '/etc/os-release';
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return /^ID=debian$/m.test(text) ? /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] : undefined;
}

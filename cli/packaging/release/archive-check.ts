import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { findTool } from '../../../test/support/tools.ts';
import { archiveName } from '../archives/make.ts';
import { runInChroot } from './chroot.ts';
import type { Check } from './part.ts';
import { done, inTemporary } from './temporary.ts';

const name = archiveName({ os: 'linux', arch: 'x64', node: undefined });

/** The archive for Linux on x64, where there is what every Debian has, and nothing else. */
export const bareDebianCheck: Check = {
  says: 'unpacked on a bare Debian, where there is no Node, every program starts',
  lacks() {
    if (process.platform !== 'linux' || process.arch !== 'x64') return 'Linux on x64';
    if (process.getuid?.() !== 0) return 'chroot needs root';
    if (findTool('mmdebstrap') === undefined) return 'mmdebstrap';
    return codename() === undefined ? 'Debian' : undefined;
  },
  run: (folder) => done(() => inTemporary('debian', (work) => checkOnDebian(folder, join(work, 'root')))),
};

/** The release of Debian that this machine is. */
function codename(): string | undefined {
  const file = '/etc/os-release';
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return /^ID=debian$/m.test(text) ? /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] : undefined;
}

function checkOnDebian(folder: string, root: string): void {
  // From where this machine has its own packages.
  const list = '/etc/apt/sources.list.d';
  const sources = [
    '/etc/apt/sources.list',
    ...(existsSync(list) ? readdirSync(list).map((each) => join(list, each)) : []),
  ].filter((path) => /\.(?:list|sources)$/.test(path) && existsSync(path) && readFileSync(path, 'utf8').trim() !== '');
  const args = ['--quiet', '--variant=apt', codename() ?? '', root, ...sources];
  execFileSync('mmdebstrap', args, { stdio: 'pipe' });
  if (runInChroot(root, ['/bin/sh', '-c', 'command -v node || true']) !== '') throw new Error('that Debian has a Node');
  execFileSync('tar', ['--extract', '--file', join(folder, `${name}.tar.gz`), '--directory', join(root, 'opt')]);
  const own = readdirSync(join(root, 'opt', name));
  for (const program of ['kleis', 'kleis-broker', 'kleis-get-token', 'kubectl-kleis']) {
    if (!own.includes(program)) throw new Error(`${program} is missing: there are ${own.join(', ')}`);
    const said = runInChroot(root, [`/opt/${name}/${program}`, '--version']);
    if (said !== `${packageJson.version}\n`) throw new Error(`${program} --version says ${said}`);
  }
  const schema = runInChroot(root, [`/opt/${name}/kleis-broker`, 'schema']);
  if (!schema.includes('"$schema"')) throw new Error(`kleis-broker schema says ${schema.slice(0, 200)}`);
}

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { archiveName } from './make.ts';
import { lacksDebian, makeDebian } from '../release/bare-debian.ts';
import { runInChroot } from '../release/chroot.ts';
import type { Check } from '../release/part.ts';
import { done, inTemporary } from '../release/temporary.ts';

const name = archiveName({ os: 'linux', arch: 'x64', node: undefined });

/** The archive for Linux on x64, where there is what every Debian has, and nothing else. */
export const bareDebianCheck: Check = {
  says: 'unpacked on a bare Debian, where there is no Node, every program starts',
  lacks: lacksDebian,
  run: (folder) => done(() => inTemporary('debian', (work) => checkOnDebian(folder, join(work, 'root')))),
};

function checkOnDebian(folder: string, root: string): void {
  makeDebian(root);
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

import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporary } from '../../../cli/packaging/release/temporary.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Bundle, type ContainerOptions, createContainer, unpack } from './container.ts';
import { archiveName, makeImages, spdxName } from './make.ts';
import type { Target } from './target.ts';
import { faultsOf } from './spdx-rules.ts';
import type { SpdxDocument } from './spdx.ts';
import { user } from './system.ts';
import { pathsBelow } from './tree.ts';

/** What this machine lacks to run an image; undefined if nothing. */
export function lacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  const missing = ['skopeo', 'umoci', 'runc'].filter((name) => spawnSync(name, ['--version']).error !== undefined);
  return missing.length === 0 ? undefined : missing.join(', ');
}

/** The bytes of an image depend on nothing but the commit and what is pinned. */
export async function checkReproducible(folder: string): Promise<void> {
  await inTemporary('image', async (again) => {
    const names = await makeImages(again);
    const differing = names.filter((name) => !readFileSync(join(folder, name)).equals(readFileSync(join(again, name))));
    if (differing.length > 0) throw new Error(`${differing.join(', ')}: a second build has made others.`);
  });
}

/** Looks at each file of the image and runs it as a cluster would. */
export async function checkImage(folder: string, target: Target): Promise<void> {
  await inTemporary('image', async (work) => {
    const bundle = unpack(join(folder, archiveName(target)), packageJson.version, work);
    const faults = [...faultsOfFiles(join(bundle.folder, 'rootfs'), target), ...(await faultsOfRuns(bundle, work, target))];
    if (faults.length > 0) throw new Error(faults.join('\n'));
  });
}

export async function checkSpdx(folder: string, target: Target): Promise<void> {
  const faults = faultsOf(JSON.parse(readFileSync(join(folder, spdxName(target)), 'utf8')) as SpdxDocument);
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

/** What must not be in an image: a way to more rights, what its user can change, a shell or a tool in the broker's. */
export function faultsOfFiles(rootfs: string, target: Target): string[] {
  const mayWrite = target === 'ci' ? ['tmp', 'home/nonroot'] : [];
  const programs = ['usr/local/bin/node', 'usr/local/lib/kleis/kleis-broker.js'];
  return pathsBelow(rootfs).flatMap((path) => {
    const { mode, uid, gid } = lstatSync(join(rootfs, path));
    if ((mode & 0o170000) === 0o120000 || mayWrite.includes(path)) return [];
    const isProgram = (mode & 0o170000) === 0o100000 && (mode & 0o111) !== 0;
    const isLibrary = /^usr\/lib\/.+\.so[.\d]*$/.test(path);
    return [
      ...((mode & 0o6000) === 0 ? [] : [`${path} has more rights than who runs it.`]),
      ...(uid === 0 && gid === 0 && (mode & 0o022) === 0 ? [] : [`${path} can be written by another than root.`]),
      ...(target === 'ci' || !isProgram || isLibrary || programs.includes(path) ? [] : [`${path} is a program more.`]),
      ...(/\/(?:man|npm|corepack|include)(?:\/|$)/.test(path) ? [`${path} need not be there.`] : []),
    ];
  });
}

async function faultsOfRuns(bundle: Bundle, work: string, target: Target): Promise<string[]> {
  const version = packageJson.version;
  const says = (options: ContainerOptions, wanted: RegExp): string[] => {
    const { status, output } = runOnce(bundle, work, options);
    return status === 0 && wanted.test(output) ? [] : [`${JSON.stringify(options)}: ended with ${status}: ${output}`];
  };
  const self = `process.stdout.write([process.getuid(), process.pid, require('fs').readFileSync('/proc/self/status')].join(' '))`;
  const common = says({ command: ['node', '-e', self] }, new RegExp(`^${user} 1 .*\\nCapBnd:\\s+0+\\n.*\\nNoNewPrivs:\\s+1\\n`, 's'));
  if (target === 'broker') {
    const { status } = runOnce(bundle, work, { command: ['sh', '-c', 'true'] });
    return [
      ...common,
      ...says({ args: ['--version'] }, new RegExp(`^${version}\\n$`)),
      ...says({ command: ['kleis-broker', 'schema'] }, /"publicUrl"/),
      ...(status === 0 ? ['It has a shell.'] : []),
    ];
  }
  const script = 'set -e; kleis --version; kleis-broker --version; kubectl version --client; kubectl kleis --version; echo x | grep x | base64';
  return [...common, ...says({ command: ['sh', '-c', script] }, new RegExp(`^${version}\\n${version}\\n.*v1\\..*\\n${version}\\n`, 's'))];
}

function runOnce(bundle: Bundle, work: string, options: ContainerOptions): { status: number | null; output: string } {
  const containers = join(work, 'containers');
  mkdirSync(containers, { recursive: true });
  const container = createContainer(bundle, containers, options);
  const [program, ...args] = container.run;
  try {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
    return { status, output: stdout + stderr };
  } finally {
    container.remove();
  }
}

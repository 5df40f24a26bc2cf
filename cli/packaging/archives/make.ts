import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import packageJson from '../../../package.json' with { type: 'json' };
import { buildForExecutables, canMake } from '../standalone/make.ts';
import { type Target, targets } from '../standalone/targets.ts';
import { layOut } from './layout.ts';
import { epoch, normalize } from './normalize.ts';

const run = promisify(execFile);

/** The name of an archive, without its ending. */
export const archiveName = ({ os, arch }: Target): string => `kleis-${packageJson.version}-${os}-${arch}`;

export const archiveFile = (target: Target): string =>
  `${archiveName(target)}.${target.os === 'win32' ? 'zip' : 'tar.gz'}`;

/** Of krew, which unpacks no links: the executable alone, as it is `kubectl-kleis`. */
export const krewFile = ({ os, arch }: Target): string => `kubectl-kleis-${packageJson.version}-${os}-${arch}.tar.gz`;

const krewHolds = ['LICENSE', 'NODE-LICENSE.txt', 'THIRD-PARTY-LICENSES.txt', 'kleis', 'lib/keytar.node'];

/** Writes the archives of every system that they can be made for here, the same bytes each time. Returns their names. */
export async function makeArchives(into: string): Promise<string[]> {
  const work = await mkdtemp(join(tmpdir(), 'kleis-archives-'));
  try {
    const dist = await buildForExecutables(work);
    const waiting = targets.filter((each) => canMake(each));
    const made = new Map<Target, string[]>();
    // Each keeps one processor busy.
    const worker = async (): Promise<void> => {
      for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
        made.set(target, await makeFor(target, dist, join(work, archiveName(target)), into));
      }
    };
    await Promise.all([worker(), worker()]);
    return targets.flatMap((target) => made.get(target) ?? []);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function makeFor(target: Target, dist: string, folder: string, into: string): Promise<string[]> {
  await mkdir(folder);
  await layOut(target, dist, folder);
  await normalize(folder, ['kleis', 'kleis.exe', 'kleis-credential']);
  const made = [archiveFile(target)];
  await pack(folder, resolve(into, archiveFile(target)), [basename(folder)]);
  if (target.os !== 'win32') {
    const holds = krewHolds.map((name) => join(basename(folder), name));
    await pack(folder, resolve(into, krewFile(target)), holds);
    made.push(krewFile(target));
  }
  return made;
}

/** Those entries of the folder's parent. */
async function pack(folder: string, file: string, entries: readonly string[]): Promise<void> {
  const cwd = dirname(folder);
  if (file.endsWith('.zip')) {
    const env = { ...process.env, TZ: 'UTC' };
    const { stdout } = await run('find', [...entries, '-type', 'f'], { cwd });
    await run('zip', ['-X', '-q', file, ...stdout.trim().split('\n').toSorted()], { cwd, env });
    return;
  }
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', `--mtime=@${epoch()}`, '--format=ustar'];
  const packed = file.slice(0, -'.gz'.length);
  // That of macOS sorts nothing; this is its name where both are.
  await run(process.platform === 'darwin' ? 'gtar' : 'tar', ['-cf', packed, ...owner, ...entries], { cwd });
  await run('gzip', ['--no-name', '--force', packed]);
}

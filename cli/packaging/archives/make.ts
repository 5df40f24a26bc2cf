import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import packageJson from '../../../package.json' with { type: 'json' };
import { canMake } from '../standalone/make.ts';
import { type Target, targets } from '../standalone/targets.ts';
import { layOut } from './layout.ts';
import { packTar } from '../release/tar.ts';
import { inTemporary } from '../release/temporary.ts';
import { normalize } from './normalize.ts';

const run = promisify(execFile);

/** The name of an archive, without its ending. */
export const archiveName = ({ os, arch }: Target): string => `kleis-${packageJson.version}-${os}-${arch}`;

export const archiveFile = (target: Target): string =>
  `${archiveName(target)}.${target.os === 'win32' ? 'zip' : 'tar.gz'}`;

/** Of krew, which unpacks no links: the executable alone, as it is `kubectl-kleis`. */
export const krewFile = ({ os, arch }: Target): string => `kubectl-kleis-${packageJson.version}-${os}-${arch}.tar.gz`;

const krewHolds = ['LICENSE', 'NODE-LICENSE.txt', 'THIRD-PARTY-LICENSES.txt', 'kleis', 'lib/keytar.node'];

/**
 * Writes the archives of every system that they can be made for here, the same bytes each time, from what
 * `node build.mjs NODE` left in `dist`. Returns their names.
 */
export async function makeArchives(into: string): Promise<string[]> {
  return inTemporary('archives', async (work) => {
    const waiting = targets.filter((each) => canMake(each));
    const made = new Map<Target, string[]>();
    // Each keeps one processor busy.
    const worker = async (): Promise<void> => {
      for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
        made.set(target, await makeFor(target, join(work, archiveName(target)), into));
      }
    };
    await Promise.all([worker(), worker()]);
    return targets.flatMap((target) => made.get(target) ?? []);
  });
}

async function makeFor(target: Target, folder: string, into: string): Promise<string[]> {
  await mkdir(folder);
  await layOut(target, 'dist', folder);
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
  await packTar(file, cwd, entries);
}

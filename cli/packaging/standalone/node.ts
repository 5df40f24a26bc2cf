import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { NodePackage } from './targets.ts';

const run = promisify(execFile);

/** Where what was fetched once stays: outside of what is built. */
const kept = 'node_modules/.cache/kleis-nodes';

/** The folder of that package, fetched by npm if it is not here yet. Throws if it is not what is pinned. */
export async function fetchNode({ name, version, integrity }: NodePackage): Promise<string> {
  const folder = join(kept, `${name}-${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(kept, { recursive: true });
  const work = await mkdtemp(join(kept, 'new-'));
  try {
    const { stdout } = await run('npm', ['pack', `${name}@${version}`, '--json', '--pack-destination', work], {
      maxBuffer: 2 ** 26,
    });
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
    const archive = join(work, filename);
    const found = `sha512-${createHash('sha512')
      .update(await readFile(archive))
      .digest('base64')}`;
    if (found !== integrity) throw new Error(`${name} ${version} is ${found}, and not ${integrity}.`);
    await run('tar', ['-xzf', archive, '-C', work, '--exclude', 'package/include', '--exclude', 'package/share']);
    await rename(join(work, 'package'), folder).catch((error: unknown) => {
      // Somebody else was quicker.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

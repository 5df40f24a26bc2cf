import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nodeForCache } from '../../../broker/deploy/image/node.ts';
import { buildDist } from './build.ts';
import { inTemporary } from './temporary.ts';

/**
 * Builds in another folder, with these packages and esbuild alone, and compares with `dist`: nothing in a program comes
 * from elsewhere, and whoever builds the same commit with the same Node gets the same bytes.
 */
export async function checkRebuilt(packages: readonly string[]): Promise<void> {
  const node = await nodeForCache();
  inTemporary('rebuild', (copy) => {
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      encoding: 'utf8',
    });
    const sources = listed
      .split('\0')
      .filter((name) => /^(?:cli|broker|shared|docs)\/|^[\w.-]+$/.test(name) && existsSync(name));
    for (const name of [...sources, ...packages, 'node_modules/esbuild', 'node_modules/@esbuild']) {
      cpSync(name, join(copy, name), { recursive: true });
    }
    buildDist(copy, node);
    const [here, there] = [filesOf('dist'), filesOf(join(copy, 'dist'))];
    const differing = [...new Set([...here, ...there])].filter(
      (name) =>
        !here.includes(name) ||
        !there.includes(name) ||
        !readFileSync(join('dist', name)).equals(readFileSync(join(copy, 'dist', name))),
    );
    if (differing.length > 0) throw new Error(`${differing.length} files differ: ${differing.slice(0, 8).join(', ')}`);
  });
}

/** Without what a release is made into, and what names folders of this machine. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name !== 'metafile.json' && !name.startsWith('release') && statSync(join(folder, name)).isFile(),
  );
}

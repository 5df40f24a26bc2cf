import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

/**
 * Makes one JavaScript file of a TypeScript module (path from the root of the repository) and all that it imports, for a
 * test that needs it in a process of its own: Node 20 does not run TypeScript. Removed at the end of the test file.
 */
export async function bundle(entry: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-bundle-'));
  folders.push(folder);
  // keytar stays outside of the bundle and is looked for from where the bundle is.
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  const outfile = join(folder, `${basename(entry, '.ts')}.mjs`);
  await build({
    entryPoints: [resolve(entry)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    external: ['keytar'],
    logLevel: 'warning',
  });
  return outfile;
}

import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll } from 'vitest';
import { buildProgram } from './build-program.ts';

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

/** The program of a module, for a test that needs it in a process of its own. Removed at the end of the test file. */
export async function bundle(entry: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-bundle-'));
  folders.push(folder);
  // keytar stays outside of the bundle and is looked for from where the bundle is.
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  const outfile = join(folder, `${basename(entry, '.ts')}.mjs`);
  await buildProgram(entry, outfile);
  return outfile;
}

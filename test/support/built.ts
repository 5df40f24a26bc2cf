import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { buildBrowser } from './build-program.ts';

export interface Built {
  /** The folder with what `npm pack` packs: `kleis.js`, `kleis-credential` … */
  readonly dist: string;
  /** The program that plays a person and their browser: `browser-program.ts`. */
  readonly browser: string;
}

/**
 * The programs, built once in a run by whichever test file asks first, into a folder of the run: a `dist` that
 * somebody uses is left alone.
 */
export async function built(): Promise<Built> {
  const folder = inject('packageFolder');
  const result = { dist: join(folder, 'dist'), browser: join(folder, 'browser.mjs') };
  const outcome = join(folder, 'outcome');
  if (await claim(join(folder, 'claim'))) {
    const failure = await make(folder, result.browser).then(
      () => '',
      (error: unknown) => String(error),
    );
    await writeFile(outcome, failure);
  }
  const deadline = Date.now() + 60_000;
  while (!existsSync(outcome)) {
    if (Date.now() > deadline) throw new Error('the build does not end');
    await sleep(20);
  }
  const failure = await readFile(outcome, 'utf8');
  if (failure !== '') throw new Error(`the programs cannot be built: ${failure}`);
  return result;
}

async function claim(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch {
    return false;
  }
}

async function make(folder: string, browser: string): Promise<void> {
  for (const name of ['cli', 'broker', 'shared', 'node_modules', 'package.json', 'manual.ts']) {
    await symlink(resolve(name), join(folder, name));
  }
  await promisify(execFile)(process.execPath, [resolve('build.mjs')], { cwd: folder });
  await buildBrowser(browser);
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { DemoFailure } from './commands.ts';

/** Builds the programs in the working folder; where there is nothing to build them from, they are there. */
export async function buildPrograms(interrupted: AbortSignal): Promise<void> {
  if (!existsSync('build.mjs')) return;
  try {
    await promisify(execFile)(process.execPath, ['build.mjs'], { signal: interrupted });
  } catch (error) {
    interrupted.throwIfAborted();
    throw new DemoFailure(`the programs cannot be built: ${String(error)}`);
  }
}

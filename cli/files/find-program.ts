import { accessSync, constants, statSync } from 'node:fs';
import { posix, win32 } from 'node:path';
import type { Deps } from '../surroundings/deps.ts';

/** Only in absolute folders of PATH: `.` and its like would run what a checkout brought along. */
export function findProgram(name: string, { env, platform }: Pick<Deps, 'env' | 'platform'>): string | undefined {
  const path = platform === 'win32' ? win32 : posix;
  const names = platform === 'win32' && !name.includes('.') ? [`${name}.exe`, `${name}.cmd`] : [name];
  const folders = (env['PATH'] ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return folders.flatMap((folder) => names.map((each) => path.join(folder, each))).find(isProgram);
}

export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

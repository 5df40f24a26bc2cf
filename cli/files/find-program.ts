import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Deps } from '../surroundings/deps.ts';

/** Only in absolute folders of PATH: `.` and its like would run what a checkout brought along. */
export function findProgram(name: string, { env, platform }: Pick<Deps, 'env' | 'platform'>): string | undefined {
  const names = platform === 'win32' && !name.includes('.') ? [`${name}.exe`, `${name}.cmd`] : [name];
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  return folders.flatMap((folder) => names.map((each) => join(folder, each))).find(isProgram);
}

export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../release/part.ts';
import { debianCheck } from './check.ts';
import { debFiles, makeDebs } from './make.ts';

/** A package for Debian, Ubuntu and what comes from them. */
export const debPart: Part = {
  name: 'deb',
  make: makeDebs,
  checks: [{ says: 'is the same, to the byte, when it is made again', run: checkAgain }, debianCheck],
};

async function checkAgain(folder: string): Promise<void> {
  const files = debFiles(folder);
  const before = files.map((name) => readFileSync(join(folder, name)));
  await makeDebs(folder);
  const other = files.filter((name, index) => !readFileSync(join(folder, name)).equals(before[index]!));
  if (other.length > 0) throw new Error(`${other.join(', ')} is another one now`);
}

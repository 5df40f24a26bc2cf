import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from './part.ts';
import { sha256Of } from './sha256.ts';
import { done } from './temporary.ts';

const sumsName = 'SHA256SUMS';

/** One file that vouches for all others: it is what is signed. */
export const sumsPart: Part = {
  name: 'sums',
  make: (into) => Promise.resolve([makeSums(into)]),
  checks: [{ says: 'sha256sum agrees, and it names every file', run: (folder) => done(() => checkSums(folder)) }],
};

const filesIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name !== sumsName && statSync(join(folder, name)).isFile())
    .toSorted();

function makeSums(into: string): string {
  const lines = filesIn(into).map((name) => `${sha256Of(join(into, name))}  ${name}\n`);
  writeFileSync(join(into, sumsName), lines.join(''));
  return sumsName;
}

function checkSums(folder: string): void {
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', sumsName], { cwd: folder, stdio: 'pipe' });
  const named: readonly string[] = readFileSync(join(folder, sumsName), 'utf8').match(/(?<= {2}).+$/gm) ?? [];
  const missing = filesIn(folder).filter((name) => !named.includes(name));
  if (missing.length > 0) throw new Error(`It does not name ${missing.join(', ')}`);
}

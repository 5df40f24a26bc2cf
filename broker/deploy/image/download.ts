import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where what was downloaded is kept between builds. */
const folder = 'node_modules/.cache/kleis-image';

/** What a file must be; `integrity` as npm writes it. */
type Sum = { readonly sha256: string } | { readonly integrity: string };

/** The path of a file of that name, which `fetch` writes unless it is there. Throws when it is not what was pinned. */
export function kept(name: string, sum: Sum, fetch: (into: string) => void): string {
  const path = join(folder, name);
  if (!existsSync(path) || !fits(path, sum)) {
    mkdirSync(folder, { recursive: true });
    const part = `${path}.${process.pid}`;
    try {
      fetch(part);
      if (!fits(part, sum)) throw new Error(`${name} is not what was pinned: its sum is another one.`);
      renameSync(part, path);
    } finally {
      rmSync(part, { force: true });
    }
  }
  return path;
}

export function fits(path: string, sum: Sum): boolean {
  const bytes = readFileSync(path);
  return 'sha256' in sum
    ? createHash('sha256').update(bytes).digest('hex') === sum.sha256
    : `sha512-${createHash('sha512').update(bytes).digest('base64')}` === sum.integrity;
}

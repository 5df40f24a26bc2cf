/** `lay-out.ts TARGET FOLDER`: writes what `dist/` brings into an image below that folder, for the Dockerfile. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { programFiles } from './program.ts';

const [target, into = ''] = process.argv.slice(2);
if (target !== 'broker' && target !== 'ci') throw new Error('Say `broker` or `ci`, and a folder.');
const cache = `${process.version}-${process.platform}-${process.arch}`;
for (const entry of programFiles('dist', target, cache)) {
  const path = join(into, entry.path);
  mkdirSync(dirname(path), { recursive: true });
  if (entry.kind === 'file') writeFileSync(path, entry.content, { mode: entry.mode });
  if (entry.kind === 'link') symlinkSync(entry.target, path);
}

/** `npm run generate`: writes whatever in the repository is made from the code and is not fresh. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { stale } from './generated.ts';

for (const { file, text } of stale()) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  process.stdout.write(`${file}\n`);
}

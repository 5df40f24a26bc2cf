/** `npm run generate`: writes whatever in the repository is made from the code and is not fresh. */
import { writeFileSync } from 'node:fs';
import { stale } from './generated.ts';

for (const { file, text } of stale()) {
  writeFileSync(file, text);
  process.stdout.write(`${file}\n`);
}

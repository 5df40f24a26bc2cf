import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { referenceParts } from './reference.ts';

it.each(referenceParts)('$name in $file is what the code says', ({ file, name, make }) => {
  const page = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  const [, part] = page.split(`<!-- made: ${name} -->`);
  expect(part?.split('<!-- end -->')[0]?.trim()).toBe(make().trim());
});

// `node code-cache.mjs FOLDER FILE…`: what V8 makes of those programs, for the Node that runs this (decision 46).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';

/** What stands around a file, as Node itself has it. */
export const wrapper = ['(function (exports, require, module, __filename) { ', '\n})'];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, ...files] = process.argv.slice(2);
  const own = join(folder, `${process.version}-${process.platform}-${process.arch}`);
  mkdirSync(own, { recursive: true });
  // With every function, not only those that would have run by now; the flag is a part of what V8 compares.
  setFlagsFromString('--no-lazy');
  const scripts = files.map((file) => [file, new vm.Script(wrapper.join(readFileSync(file, 'utf8')))]);
  setFlagsFromString('--lazy');
  for (const [file, script] of scripts) writeFileSync(join(own, basename(file)), script.createCachedData());
}

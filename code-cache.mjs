// `node code-cache.mjs FOLDER [--FLAG…] FILE…`: what V8 makes of those programs, for the Node that runs this, with flags
// that the program sets itself (decision 46).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';
import { wrapper } from './start.mjs';

const [folder, ...given] = process.argv.slice(2);
const [flags, files] = [given.filter((each) => each.startsWith('--')), given.filter((each) => !each.startsWith('--'))];
const own = join(folder, `${process.version}-${process.platform}-${process.arch}`);
mkdirSync(own, { recursive: true });
// By this call, as the program does it: on the command line a flag may bring others along, and V8 compares all of them.
for (const flag of flags) setFlagsFromString(flag);
const scripts = files.map((file) => [file, new vm.Script(wrapper.join(readFileSync(file, 'utf8')))]);
setFlagsFromString('--lazy');
for (const [file, script] of scripts) writeFileSync(join(own, basename(file)), script.createCachedData());

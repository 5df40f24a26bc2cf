/**
 * What Node runs in the standalone executable: the program that it is called as. It does what `guard` of build.mjs does
 * where Node runs the package, with files that are in the executable.
 */
import { createRequire } from 'node:module';
import { basename, dirname, relative } from 'node:path';
import { getRawAsset } from 'node:sea';
import { Script } from 'node:vm';
import packageJson from '../../../package.json' with { type: 'json' };
import { start, wrapper } from '../../../start.mjs';
import { helperName, helperText } from '../../session/keyring-process.ts';
import { standaloneMark } from '../../surroundings/standalone.ts';

/** By the names of the links; under any other it is kleis. */
const programs: Readonly<Record<string, string>> = {
  'kleis-broker': 'kleis-broker',
  'kleis-get-token': 'kleis-get-token',
};

/** Where the files would be: what lies beside the executable is found from them. */
const home = dirname(process.execPath);
const called = basename(process.argv0).replace(/\.exe$/i, '');
const [, , ...given] = process.argv;

if (called === helperName) {
  const [path = ''] = given;
  const load = (): unknown => createRequire(path)(path);
  (new Script(`(function (load) {${helperText}})`).runInThisContext() as (load: () => unknown) => void)(load);
} else if (given.length === 1 && /^(?:--version|-V)$/.test(given[0]!)) {
  process.stdout.write(`${packageJson.version}\n`);
} else {
  Object.defineProperty(globalThis, standaloneMark, { value: home });
  // kubectl 1.26 and later run it for the completion of `kubectl kleis`.
  if (called === 'kubectl_complete-kleis') process.argv.splice(2, 0, '__complete', '--shell', 'kubectl', '--');
  start(programs[called] ?? 'kleis', home, { wrapper, read, readCache, hasPage });
}

function read(file: string): string {
  return Buffer.from(asset(file)!).toString();
}

function readCache(file: string): Uint8Array | undefined {
  const bytes = asset(`${home}/cache/${basename(file)}`);
  return bytes && Buffer.from(bytes);
}

function hasPage(file: string): boolean {
  return asset(file) !== undefined;
}

function asset(file: string): ArrayBuffer | undefined {
  try {
    return getRawAsset(relative(home, file).replaceAll('\\', '/')) as ArrayBuffer;
  } catch {
    return undefined;
  }
}

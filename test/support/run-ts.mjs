// `node run-ts.mjs ENTRY.ts [ARGUMENTS]`: runs a TypeScript program, which Node 20 cannot, in this very process: signals,
// the terminal and the exit code are the program's own. Nothing of it is left behind.
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const entry = resolve(process.argv[2] ?? '');
let folder;
process.once('exit', () => folder && rmSync(folder, { recursive: true, force: true }));
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
]) {
  // Whoever dies of a signal has no exit in which to clean up. A program that listens itself sees to it itself.
  process.on(signal, () => {
    if (process.listenerCount(signal) === 1) process.exit(128 + number);
  });
}

// Not before somebody listens for signals.
folder = mkdtempSync(join(tmpdir(), 'kleis-run-'));
// Packages are found from where the program is.
symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'));
buildSync({
  entryPoints: { program: entry },
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  // What is imported later is not loaded before.
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: 'inline',
  logLevel: 'warning',
});
process.argv.splice(1, 2, entry);
await import(pathToFileURL(join(folder, 'program.mjs')).href);

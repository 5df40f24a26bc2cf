import { resolve } from 'node:path';
import { build } from 'esbuild';

/** Makes a program for Node of `browser-program.ts`. */
export async function buildBrowser(outfile: string): Promise<void> {
  await build({
    entryPoints: [resolve('test/support/browser-program.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
}

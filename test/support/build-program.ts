import { resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';

/**
 * Makes one JavaScript file of a TypeScript module (path from the root of the repository) and all that it imports, since
 * Node 20 does not run TypeScript.
 */
export async function buildProgram(entry: string, outfile: string, plugins: Plugin[] = []): Promise<void> {
  await build({
    entryPoints: [resolve(entry)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    external: ['keytar'],
    plugins,
    logLevel: 'warning',
  });
}

export async function buildBrowser(outfile: string): Promise<void> {
  await buildProgram('test/support/browser-program.ts', outfile);
}

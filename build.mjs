// One file for each program, and chunks that they share: unbundled, loading the libraries costs more than all else.
import { chmodSync, copyFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: { kleis: 'cli/main.ts', 'kleis-get-token': 'cli/main-get-token.ts' },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'linked',
  // CommonJS packages ask for Node's own modules with require, which a module does not have.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  external: ['keytar'],
  logLevel: 'warning',
});
copyFileSync('cli/credential.sh', 'dist/kleis-credential');
for (const program of ['kleis.js', 'kleis-get-token.js', 'kleis-credential']) chmodSync(`dist/${program}`, 0o755);

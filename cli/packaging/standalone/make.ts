import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { inTemporary } from '../release/temporary.ts';
import { withoutSymbols } from './elf.ts';
import { fetchNode } from './node.ts';
import { withoutAuthenticode, withoutCodeSignature } from './signature.ts';
import { builders, type Target } from './targets.ts';

const run = promisify(execFile);

/** Which nobody may change from outside: NODE_OPTIONS could name code, or files to write. */
const settings = {
  disableExperimentalSEAWarning: true,
  // The small main file; the programs have a code cache of their own (decision 46).
  useCodeCache: false,
  execArgvExtension: 'none',
  // Node's answer to SIGUSR1 is a debugger, in which whoever may send signals reads every token.
  execArgv: ['--disable-sigusr1'],
};

/**
 * Writes the standalone executable for that target, from what `node build.mjs` left in `dist`. Where that has a code cache for
 * the Node in it, it starts faster: `node build.mjs NODE`.
 */
export async function makeExecutable(target: Target, dist: string, file: string): Promise<void> {
  await inTemporary('standalone', async (work) => {
    const { node, builder, version } = await nodesFor(target);
    await build({
      entryPoints: ['cli/packaging/standalone/main.ts'],
      outfile: join(work, 'main.js'),
      bundle: true,
      format: 'cjs',
      platform: 'node',
      target: 'node24',
      minifySyntax: true,
      logLevel: 'warning',
    });
    const assets = await assetsOf(dist, `v${version}-${target.os}-${target.arch}`);
    // Its own path is in what is made: the same each time.
    await writeFile(
      join(work, 'config.json'),
      JSON.stringify({ ...settings, main: 'main.js', output: 'blob', assets }),
    );
    await run(builder, ['--experimental-sea-config', 'config.json'], { cwd: work });
    await writeFile(file, without[target.os](await readFile(node)));
    // In a process of its own: it takes a processor for seconds, and libraries in it talk.
    await run(process.execPath, [postject, file, 'NODE_SEA_BLOB', join(work, 'blob'), ...placement]);
    await chmod(file, 0o755);
    // A Mac with an ARM processor runs nothing unsigned. This signature says nothing of who made it.
    if (process.platform === 'darwin') await run('codesign', ['--sign', '-', file]);
  });
}

/** What of a Node is of no use in another program, or wrong. */
const without = { linux: withoutSymbols, win32: withoutAuthenticode, darwin: withoutCodeSignature } as const;

interface Nodes {
  /** The program that becomes the executable. */
  readonly node: string;
  /** The program that makes the data for it. */
  readonly builder: string;
  readonly version: string;
}

const postject = resolve('node_modules/postject/dist/cli.js');

/** Where Node looks (src/node_sea.cc), and what tells it to look. */
const placement = [
  '--sentinel-fuse',
  'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
  '--macho-segment-name',
  'NODE_SEA',
];

/** Whether it can be made here: data for another system are made by the Node that is pinned, for Linux on x64. */
export const canMake = ({ os, arch, node }: Target): boolean =>
  node === undefined
    ? process.platform === os && process.arch === arch
    : process.platform === 'linux' && process.arch === 'x64';

async function nodesFor(target: Target): Promise<Nodes> {
  const { os, arch, node } = target;
  if (!canMake(target)) throw new Error(`The executable for ${os} on ${arch} cannot be made here.`);
  if (node === undefined) {
    return { node: process.execPath, builder: process.execPath, version: process.versions.node };
  }
  const builder = builders.find(({ version }) => version === node.version);
  if (builder === undefined) throw new Error(`No Node ${node.version} is pinned that runs here.`);
  return {
    node: join(await fetchNode(node), 'bin', os === 'win32' ? 'node.exe' : 'node'),
    builder: resolve(await fetchNode(builder), 'bin/node'),
    version: node.version,
  };
}

/** The files of `dist` that a program loads, by the names that main.ts knows them by. */
async function assetsOf(dist: string, cache: string): Promise<Record<string, string>> {
  const found = await Promise.all(
    [
      ['main', 'main'],
      ['chunks', 'chunks'],
      ['help', 'help'],
      [`cache/${cache}`, 'cache'],
    ].map(async ([from = '', to = '']) => {
      const folder = resolve(dist, from);
      const names = existsSync(folder) ? await readdir(folder) : [];
      return names.toSorted().map((name) => [`${to}/${name}`, join(folder, name)]);
    }),
  );
  return Object.fromEntries(found.flat()) as Record<string, string>;
}

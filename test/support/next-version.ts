import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll } from 'vitest';
import { buildProgram } from './build-program.ts';

/** What a later version may bring: it writes more into a lease, and knows a setting more. */
export const next = {
  version: '0.2.0',
  annotation: 'kleis.dev/written-by',
  label: 'kleis.dev/tier',
  setting: 'perSubject',
} as const;

/** In which file what becomes what. */
const changes: readonly (readonly [RegExp, string, string])[] = [
  [
    /leases.lease-object\.ts$/,
    '[annotations.nonce]: lease.nonce,',
    `[annotations.nonce]: lease.nonce, '${next.annotation}': '${next.version}',`,
  ],
  [
    /leases.lease-object\.ts$/,
    '[labels.cluster]: lease.cluster,',
    `[labels.cluster]: lease.cluster, '${next.label}': 'gold',`,
  ],
  [
    /config.schema\.ts$/,
    'perAddress: optional(',
    `${next.setting}: optional(count, 'Of one subject.'), perAddress: optional(`,
  ],
];

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

/** The path of a broker made of the same sources as the one next to come might be. */
export async function buildNextBroker(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-next-'));
  folders.push(folder);
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  const program = join(folder, 'kleis-broker.mjs');
  const made = new Set<string>();
  await buildProgram('broker/main.ts', program, [
    {
      name: 'next version',
      setup(build) {
        build.onLoad({ filter: /package\.json$/ }, async ({ path }) => {
          if (path !== resolve('package.json')) return undefined;
          const own = JSON.parse(await readFile(path, 'utf8')) as object;
          return { contents: JSON.stringify({ ...own, version: next.version }), loader: 'json' };
        });
        build.onLoad({ filter: /(?:leases.lease-object|broker.config.schema)\.ts$/ }, async ({ path }) => {
          let contents = await readFile(path, 'utf8');
          for (const [file, before, after] of changes) {
            if (!file.test(path) || !contents.includes(before)) continue;
            contents = contents.replace(before, after);
            made.add(after);
          }
          return { contents, loader: 'ts' };
        });
      },
    },
  ]);
  if (made.size !== changes.length) throw new Error('the sources are others now: the next version is the same');
  return program;
}

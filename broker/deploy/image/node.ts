import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fetchNode } from '../../../cli/packaging/standalone/node.ts';
import { type NodePackage, targets } from '../../../cli/packaging/standalone/targets.ts';
import { type Architecture, architectures, nodeArchitecture } from './architecture.ts';
import { type Entry, file } from './tree.ts';

/** The Node of the images: that of the executables, for they are kept up together. */
function nodeOf(architecture: Architecture): NodePackage {
  const found = targets.find(({ os, arch }) => os === 'linux' && arch === nodeArchitecture[architecture])?.node;
  if (found === undefined) throw new Error(`No Node is pinned for ${architecture}.`);
  return found;
}

export const nodeVersion = (architecture: Architecture): string => nodeOf(architecture).version;

/** As a program of this machine, for `node build.mjs NODE`; undefined where it does not run. */
export async function nodeForCache(): Promise<string | undefined> {
  const own = architectures.find((each) => nodeArchitecture[each] === process.arch);
  if (own === undefined || process.platform !== 'linux') return undefined;
  return resolve(await fetchNode(nodeOf(own)), 'bin/node');
}

/** Node itself, byte for byte as its project released it, and its licence; none of npm, headers or manuals. */
export async function nodeFiles(architecture: Architecture): Promise<Entry[]> {
  const folder = await fetchNode(nodeOf(architecture));
  return [
    file('usr/local/bin/node', readFileSync(join(folder, 'bin/node')), 0o755),
    file('usr/local/share/doc/node/LICENSE', readFileSync(join(folder, 'LICENSE'))),
  ];
}

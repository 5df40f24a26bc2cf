import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Architecture, architectures, nodeArchitecture } from './architecture.ts';
import { kept } from './download.ts';
import { node } from './pins.ts';
import { type Entry, file } from './tree.ts';

/** The Node of the images as a program of this machine, for `node build.mjs NODE`; undefined where it does not run. */
export function nodeForCache(): string | undefined {
  const own = architectures.find((each) => nodeArchitecture[each] === process.arch);
  if (own === undefined || process.platform !== 'linux') return undefined;
  const path = nodeArchive(own).replace(/\.tgz$/, '');
  if (!existsSync(path)) {
    const [program] = nodeFiles(own);
    const part = `${path}.${process.pid}`;
    writeFileSync(part, program?.kind === 'file' ? program.content : '', { mode: 0o755 });
    renameSync(part, path);
  }
  return resolve(path);
}

/** Node itself, byte for byte as its project released it, and its licence; none of npm, headers or manuals. */
export function nodeFiles(architecture: Architecture): Entry[] {
  return inTemporary((folder) => {
    execFileSync('tar', ['-xzf', nodeArchive(architecture), '-C', folder, 'package/bin/node', 'package/LICENSE']);
    return [
      file('usr/local/bin/node', readFileSync(join(folder, 'package/bin/node')), 0o755),
      file('usr/local/share/doc/node/LICENSE', readFileSync(join(folder, 'package/LICENSE'))),
    ];
  });
}

function nodeArchive(architecture: Architecture): string {
  const { name, integrity } = node[architecture];
  const fileName = `${name}-${node.version}.tgz`;
  return kept(fileName, { integrity }, (into) => {
    inTemporary((folder) => {
      execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, `${name}@${node.version}`]);
      copyFileSync(join(folder, fileName), into);
    });
  });
}

function inTemporary<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'kleis-node-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

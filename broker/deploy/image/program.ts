import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundledPackages } from './bundled.ts';
import { type Architecture, nodeArchitecture } from './architecture.ts';
import { nodeVersion } from './node.ts';
import type { Target } from './target.ts';
import { type Entry, file, filesBelow, link } from './tree.ts';

const home = 'usr/local/lib/kleis';
const documents = 'usr/local/share/doc/kleis';
/** Names on PATH and the files of `dist/` that they lead to. */
const programs: Readonly<Record<Target, Readonly<Record<string, string>>>> = {
  broker: { 'kleis-broker': 'kleis-broker.js' },
  ci: {
    kleis: 'kleis.js',
    'kleis-broker': 'kleis-broker.js',
    'kleis-credential': 'kleis-credential',
    'kleis-get-token': 'kleis-get-token.js',
    'kubectl-kleis': 'kleis.js',
    'kubectl_complete-kleis': 'kubectl_complete-kleis.js',
  },
};
/** What the broker loads, with what V8 has made of it. */
const brokerFile =
  /^(?:package\.json|kleis-broker\.js|main\/(?:kleis-broker|help)\.js|chunks\/broker-.+|help\/kleis-broker[^/]*|cache\/CACHE\/(?:broker-.+|kleis-broker\.js|help\.js))$/;
const anyFile = /^(?:[^/]+\.js|kleis-credential|package\.json|(?:main|chunks|help)\/.+|cache\/CACHE\/.+)$/;

/**
 * What of `dist`, as `node build.mjs` left it, an image has. `cacheOf`: the folder of the code cache, which is of use to one
 * Node alone. A kernel starts the programs without `env`, which the broker's image does not have.
 */
export function programFiles(dist: string, target: Target, cacheOf: string): Entry[] {
  const wanted = new RegExp((target === 'broker' ? brokerFile : anyFile).source.replaceAll('CACHE', cacheOf.replaceAll('.', '\\.')));
  const files = filesBelow(dist)
    .filter(({ path }) => wanted.test(path))
    .map((entry) => ({ ...withNode(entry), path: `${home}/${entry.path}` }));
  const links = Object.entries(programs[target]).map(([name, to]) => link(`usr/local/bin/${name}`, `../lib/kleis/${to}`));
  return [
    ...files,
    ...links,
    file(`${documents}/LICENSE`, readFileSync('LICENSE')),
    file(`${documents}/THIRD-PARTY-LICENSES.txt`, licences(dist, target)),
  ];
}

/** Of what is bundled in the programs of the image. */
function licences(dist: string, target: Target): string {
  const bundled = bundledPackages(dist, target).map(({ name, version }) => `${name} ${version} (`);
  const line = `\n${'-'.repeat(80)}\n\n`;
  const sections = readFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), 'utf8').split(line);
  const wanted = sections.filter((text) => bundled.some((start) => text.startsWith(start)));
  if (wanted.length < bundled.length) throw new Error('THIRD-PARTY-LICENSES.txt and metafile.json do not fit.');
  return wanted.join(line);
}

/** The name that the build gives the cache for the Node of an image. */
export function cacheFor(architecture: Architecture): string {
  return `v${nodeVersion(architecture)}-linux-${nodeArchitecture[architecture]}`;
}

function withNode(entry: Entry): Entry {
  const shebang = '#!/usr/bin/env node\n';
  if (entry.kind !== 'file' || !entry.content.subarray(0, shebang.length).equals(Buffer.from(shebang))) return entry;
  return file(entry.path, `#!/usr/local/bin/node\n${String(entry.content.subarray(shebang.length))}`, entry.mode);
}

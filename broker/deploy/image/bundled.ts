import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Locked, lockedPackage, packageFolder, readLock } from '../../../cli/packaging/release/lock.ts';
import type { BundledProgram } from '../../../cli/packaging/release/sbom.ts';
import type { Target } from './target.ts';

/** A package of npm of which something is in the programs of an image. */
export interface Bundled extends Locked {
  readonly name: string;
}

/** Each version once; by what `node build.mjs` tells of its bundles, and package-lock.json. */
export function bundledPackages(dist: string, target: Target): Bundled[] {
  const programs = JSON.parse(readFileSync(join(dist, 'metafile.json'), 'utf8')) as readonly BundledProgram[];
  const inputs = programs
    .filter(({ program }) => target === 'ci' || ['kleis-broker', 'help'].includes(program))
    .flatMap((each) => Object.keys(each.inputs));
  const lock = readLock();
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined));
  const bundled = [...folders].toSorted().map((folder): Bundled => {
    // A build in another folder sees them by the way from there.
    return lockedPackage(folder.slice(folder.indexOf('node_modules/')), lock);
  });
  return [...new Map(bundled.map((each) => [`${each.name} ${each.version}`, each])).values()];
}

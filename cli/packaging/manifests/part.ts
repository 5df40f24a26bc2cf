import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../release/part.ts';
import { done } from '../release/temporary.ts';
import { checkHomebrew, checkKrew, checkNamed } from './check.ts';
import { homebrewFormula } from './homebrew.ts';
import { krewManifest } from './krew.ts';
import { scoopManifest } from './scoop.ts';
import { wingetManifests } from './winget.ts';
import { findTool } from '../../../test/support/tools.ts';

/** What package managers are given, with the sums of the archives beside them. */
export const manifestsPart: Part = {
  name: 'manifests',
  make: (into) => {
    const files = manifests(into);
    for (const [name, text] of files) writeFileSync(join(into, name), text);
    return Promise.resolve(Array.from(files.keys()));
  },
  checks: [
    {
      says: 'name the archives of this release by their sums, and each by what is in it',
      run: (folder) =>
        done(() =>
          checkNamed(
            folder,
            Array.from(manifests(folder).keys(), (name) => readFileSync(join(folder, name), 'utf8')),
          ),
        ),
    },
    {
      says: 'the formula is Ruby',
      lacks: () => (findTool('ruby') === undefined ? 'ruby' : undefined),
      run: (folder) => done(() => checkHomebrew(join(folder, 'kleis.rb'))),
    },
    {
      says: 'krew installs it, and a real kubectl runs and completes it',
      lacks: () => (['krew', 'kubectl-new'] as const).find((tool) => findTool(tool) === undefined),
      run: (folder) => done(() => checkKrew(folder)),
    },
  ],
};

function manifests(folder: string): ReadonlyMap<string, string> {
  const scoop = scoopManifest(folder);
  return new Map([
    ['kleis.rb', homebrewFormula(folder)],
    ['kleis.krew.yaml', krewManifest(folder)],
    ...(scoop === undefined ? [] : [['kleis.scoop.json', scoop] as const]),
    ...wingetManifests(folder),
  ]);
}

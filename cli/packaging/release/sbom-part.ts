import type { Part } from './part.ts';
import { checkRebuilt } from './rebuild.ts';
import { makeSbom } from './sbom.ts';
import { checkAgainstTree, checkSchema, listedFolders } from './sbom-check.ts';
import { done } from './temporary.ts';

/** The list of what is bundled. */
export const sbomPart: Part = {
  name: 'sbom',
  make: (into) => Promise.resolve([makeSbom(into)]),
  checks: [
    { says: 'is CycloneDX 1.6 by the official schema', run: (folder) => done(() => checkSchema(folder)) },
    {
      says: 'names every bundled file and no other, as installed',
      run: (folder) => done(() => checkAgainstTree(folder)),
    },
    {
      says: 'a build elsewhere, with what it names alone, gives the same bytes',
      run: async (folder) => checkRebuilt(listedFolders(folder)),
    },
  ],
};

import { imagePart } from '../../../broker/deploy/image/part.ts';
import { archivesPart } from '../archives/part.ts';
import { debPart } from '../deb/part.ts';
import { manifestsPart } from '../manifests/part.ts';
import { bareDebianCheck } from './archive-check.ts';
import { chartPart } from './chart.ts';
import { ciPackagesPart } from './ci-packages.ts';
import { debianCheck } from './deb-check.ts';
import { npmPart } from './npm.ts';
import type { Part } from './part.ts';
import { checkRebuilt } from './rebuild.ts';
import { makeSbom } from './sbom.ts';
import { checkAgainstTree, checkSchema, listedFolders } from './sbom-check.ts';
import { sumsPart } from './sums.ts';
import { done } from './temporary.ts';

const sbomPart: Part = {
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

/** Everything that a release is made of, in the order in which it is made. */
export const parts: readonly Part[] = [
  npmPart,
  sbomPart,
  { ...archivesPart, checks: [...archivesPart.checks, bareDebianCheck] },
  imagePart,
  { ...debPart, checks: [...debPart.checks, debianCheck] },
  manifestsPart,
  chartPart,
  ciPackagesPart,
  sumsPart,
];

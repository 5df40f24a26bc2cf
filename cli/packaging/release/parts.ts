import { imagePart } from '../../../broker/deploy/image/part.ts';
import { archivesPart } from '../archives/part.ts';
import { debPart } from '../deb/part.ts';
import { manifestsPart } from '../manifests/part.ts';
import { chartPart } from './chart.ts';
import { ciPackagesPart } from './ci-packages.ts';
import { npmPart } from './npm.ts';
import type { Part } from './part.ts';
import { sbomPart } from './sbom-part.ts';
import { sumsPart } from './sums.ts';

/** Everything that a release is made of, in the order in which it is made. */
export const parts: readonly Part[] = [
  npmPart,
  sbomPart,
  archivesPart,
  imagePart,
  debPart,
  manifestsPart,
  chartPart,
  ciPackagesPart,
  sumsPart,
];

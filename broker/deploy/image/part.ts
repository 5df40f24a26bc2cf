import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../../../cli/packaging/release/part.ts';
import { checkImage, checkReproducible, checkSpdx, lacks } from './check.ts';
import { makeImages, spdxName } from './make.ts';

export const imagePart: Part = {
  name: 'image',
  make: async (into) => makeImages(into),
  checks: [
    { says: 'a second build makes the same bytes', run: checkReproducible },
    {
      says: "the broker's runs as 65532, without a shell, a capability or a place to write",
      lacks,
      run: async (folder) => checkImage(folder, 'broker'),
    },
    {
      says: 'that for CI jobs runs kubectl and Kleis as 65532',
      lacks: () => lacks() ?? (process.env['KUBEBUILDER_ASSETS'] || process.env['KLEIS_KUBECTL'] ? undefined : 'kubectl in KUBEBUILDER_ASSETS'),
      run: async (folder) => checkImage(folder, 'ci'),
    },
    { says: 'the list of what is in the broker\'s is SPDX 2.3', run: async (folder) => checkSpdx(folder, 'broker') },
    {
      says: 'so is that of the other',
      lacks: (folder) => (existsSync(join(folder, spdxName('ci'))) ? undefined : 'the image for CI jobs'),
      run: async (folder) => checkSpdx(folder, 'ci'),
    },
  ],
};

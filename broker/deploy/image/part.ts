import type { Part } from '../../../cli/packaging/release/part.ts';
import { checkImage, checkReproducible, checkSpdx, lacks } from './check.ts';
import { makeImages } from './make.ts';

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
    { says: 'its list is SPDX 2.3', run: async (folder) => checkSpdx(folder, 'broker') },
  ],
};

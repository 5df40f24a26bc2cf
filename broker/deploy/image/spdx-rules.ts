import type { SpdxDocument } from './spdx.ts';

const id = /^SPDXRef-[A-Za-z0-9.-]+$/;
const location = /^(?:NONE|NOASSERTION|https:\/\/\S+)$/;
/** Those that occur; a new one is to be looked up in https://spdx.org/licenses first. */
const licences = new Set(
  (
    'NOASSERTION MIT ISC Apache-2.0 BSD-2-Clause BSD-3-Clause MPL-2.0 ' +
    'GPL-2.0-only GPL-2.0-or-later GPL-3.0-or-later LGPL-2.1-or-later GCC-exception-3.1'
  ).split(' '),
);
const lengths = { SHA256: 64, SHA512: 128 } as const;

/** What the specification of SPDX 2.3 does not allow, and what an image's list must not lack; empty if nothing. */
export function faultsOf(document: SpdxDocument): string[] {
  const { spdxVersion, dataLicense, SPDXID, documentNamespace, creationInfo, packages, relationships } = document;
  const ids = packages.map((each) => each.SPDXID);
  const known = new Set<string>([SPDXID, ...ids]);
  const contained = new Set(relationships.map(({ relatedSpdxElement }) => relatedSpdxElement));
  const all: readonly (readonly [fine: boolean, fault: string])[] = [
    [spdxVersion === 'SPDX-2.3' && dataLicense === 'CC0-1.0' && SPDXID === 'SPDXRef-DOCUMENT', 'it is no SPDX 2.3'],
    [/^https:\/\/[^#]+$/.test(documentNamespace), 'its namespace is no address without a fragment'],
    [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(creationInfo.created), 'its time is not in UTC and whole seconds'],
    [creationInfo.creators.every((each) => /^(?:Organization|Person|Tool): .+$/.test(each)), 'nobody has made it'],
    [known.size === ids.length + 1, 'two packages have one id'],
    ...packages.flatMap((each) =>
      [
        [id.test(each.SPDXID), 'its id'] as const,
        [each.name !== '' && each.versionInfo !== '', 'its name or version'] as const,
        [location.test(each.downloadLocation), 'its downloadLocation'] as const,
        [each.licenseDeclared.split(/ (?:AND|OR|WITH) /).every((one) => licences.has(one)), `its licence ${each.licenseDeclared}`] as const,
        [each.supplier === undefined || /^(?:Organization|Person): .+$/.test(each.supplier), 'its supplier'] as const,
        [
          (each.checksums ?? []).every(({ algorithm, checksumValue }) =>
            new RegExp(`^[0-9a-f]{${lengths[algorithm]}}$`).test(checksumValue),
          ),
          'its checksum',
        ] as const,
        [
          each.externalRefs.every(({ referenceLocator }) => /^pkg:[a-z]+\/\S+@[^@\s]+$/.test(referenceLocator)),
          'its purl',
        ] as const,
        [contained.has(each.SPDXID), 'where it is'] as const,
      ].map(([fine, what]) => [fine, `${each.SPDXID}: ${what} is not well`] as const),
    ),
    ...relationships.map(
      (each) =>
        [
          known.has(each.spdxElementId) && known.has(each.relatedSpdxElement),
          `${each.spdxElementId} contains ${each.relatedSpdxElement}, which is not there`,
        ] as const,
    ),
  ];
  return all.filter(([fine]) => !fine).map(([, fault]) => fault);
}

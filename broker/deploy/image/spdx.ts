import { createHash } from 'node:crypto';
import { npmPurl } from '../../../cli/packaging/release/lock.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Architecture } from './architecture.ts';
import { bundledPackages } from './bundled.ts';
import { type LockedPackage, packagesOf } from './debian.ts';
import { nodeVersion } from './node.ts';
import { kubectl } from './pins.ts';
import type { Target } from './target.ts';

/** A package as SPDX 2.3 has it: https://spdx.github.io/spdx-spec/v2.3/package-information */
export interface SpdxPackage {
  readonly SPDXID: string;
  readonly name: string;
  readonly versionInfo: string;
  readonly downloadLocation: string;
  readonly filesAnalyzed: false;
  readonly licenseConcluded: string;
  readonly licenseDeclared: string;
  readonly copyrightText: string;
  readonly supplier?: string;
  readonly primaryPackagePurpose?: 'CONTAINER' | 'LIBRARY' | 'APPLICATION';
  readonly checksums?: readonly { readonly algorithm: 'SHA256' | 'SHA512'; readonly checksumValue: string }[];
  readonly externalRefs: readonly {
    readonly referenceCategory: 'PACKAGE-MANAGER';
    readonly referenceType: 'purl';
    readonly referenceLocator: string;
  }[];
}

export interface SpdxDocument {
  readonly spdxVersion: 'SPDX-2.3';
  readonly dataLicense: 'CC0-1.0';
  readonly SPDXID: 'SPDXRef-DOCUMENT';
  readonly name: string;
  readonly documentNamespace: string;
  readonly creationInfo: { readonly created: string; readonly creators: readonly string[] };
  readonly packages: readonly SpdxPackage[];
  readonly relationships: readonly {
    readonly spdxElementId: string;
    readonly relationshipType: 'DESCRIBES' | 'CONTAINS';
    readonly relatedSpdxElement: string;
  }[];
}

export interface Described {
  readonly target: Target;
  /** Of the index, `sha256:…`. */
  readonly digest: string;
  /** RFC 3339. */
  readonly created: string;
  readonly architectures: readonly Architecture[];
  /** Of Debian. */
  readonly packages: readonly LockedPackage[];
  /** Where the programs in it were built. */
  readonly dist: string;
}

/** Everything that is in an image, by its package: of Debian, Node, kubectl, Kleis, and what is bundled in it. */
export function describeImage({ target, digest, created, architectures: own, packages, dist }: Described): SpdxDocument {
  const name = `kleis-${target}`;
  const image = describe({
    id: 'image',
    name: `ghcr.io/kleis-dev/${name}`,
    version: packageJson.version,
    licence: 'NOASSERTION',
    purl: `pkg:oci/${name}@${encodeURIComponent(digest)}?repository_url=ghcr.io/kleis-dev/${name}&tag=${packageJson.version}`,
    sha256: digest.slice('sha256:'.length),
    supplier: `Organization: ${packageJson.author}`,
    purpose: 'CONTAINER',
  });
  const kleis = describe({
    id: 'kleis',
    name: packageJson.name,
    version: packageJson.version,
    licence: packageJson.license,
    purl: npmPurl(packageJson.name, packageJson.version),
    supplier: `Organization: ${packageJson.author}`,
    purpose: 'APPLICATION',
  });
  const bundled = bundledPackages(dist, target).map(({ name: its, version, license = 'NOASSERTION', integrity = '' }) =>
    describe({
      id: `npm-${its}-${version}`,
      name: its,
      version,
      licence: license,
      purl: npmPurl(its, version),
      sha512: Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex'),
      purpose: 'LIBRARY',
    }),
  );
  const inImage = own.flatMap((architecture) => contentsOf(target, architecture, packages));
  const content = {
    packages: [image, kleis, ...inImage, ...bundled],
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: image.SPDXID } as const,
      ...[kleis, ...inImage].map((each) => contains(image, each)),
      ...bundled.map((each) => contains(kleis, each)),
    ],
  };
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${name}-${packageJson.version}`,
    documentNamespace: `https://spdx.org/spdxdocs/${name}-${packageJson.version}-${hash}`,
    creationInfo: { created, creators: [`Organization: ${packageJson.author}`, `Tool: kleis-${packageJson.version}`] },
    ...content,
  };
}

/** What an image for that architecture has beside Kleis. */
function contentsOf(target: Target, architecture: Architecture, locked: readonly LockedPackage[]): SpdxPackage[] {
  const debian = packagesOf(locked, architecture, target === 'ci').map(({ name, version, licence, sha256 }) =>
    describe({
      id: `deb-${architecture}-${name}`,
      name,
      version,
      licence,
      purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=debian-13`,
      sha256,
      supplier: 'Organization: Debian',
    }),
  );
  const runtime = describe({
    id: `node-${architecture}`,
    name: 'node',
    version: nodeVersion(architecture),
    licence: 'MIT',
    purl: `pkg:generic/node@${nodeVersion(architecture)}?arch=${architecture}`,
    download: `https://nodejs.org/dist/v${nodeVersion(architecture)}/`,
    supplier: 'Organization: OpenJS Foundation',
    purpose: 'APPLICATION',
  });
  if (target === 'broker') return [...debian, runtime];
  const url = `https://dl.k8s.io/release/v${kubectl.version}/bin/linux/${architecture}/kubectl`;
  const client = describe({
    id: `kubectl-${architecture}`,
    name: 'kubectl',
    version: kubectl.version,
    licence: 'Apache-2.0',
    purl: `pkg:generic/kubectl@${kubectl.version}?arch=${architecture}`,
    download: url,
    supplier: 'Organization: The Kubernetes Authors',
    purpose: 'APPLICATION',
  });
  return [...debian, runtime, client];
}

interface Facts {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly purl: string;
  readonly sha256?: string;
  /** Hexadecimal. */
  readonly sha512?: string;
  readonly download?: string;
  readonly supplier?: string;
  readonly purpose?: 'CONTAINER' | 'LIBRARY' | 'APPLICATION';
}

function describe({ id, name, version, licence, purl, sha256, sha512, download, supplier, purpose }: Facts): SpdxPackage {
  const checksums = [
    ...(sha256 === undefined ? [] : [{ algorithm: 'SHA256', checksumValue: sha256 } as const]),
    ...(sha512 === undefined ? [] : [{ algorithm: 'SHA512', checksumValue: sha512 } as const]),
  ];
  return {
    SPDXID: `SPDXRef-${id.replaceAll(/[^A-Za-z0-9.-]/g, '-')}`,
    name,
    versionInfo: version,
    downloadLocation: download ?? 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: licence,
    copyrightText: 'NOASSERTION',
    ...(supplier !== undefined && { supplier }),
    ...(purpose !== undefined && { primaryPackagePurpose: purpose }),
    ...(checksums.length > 0 && { checksums }),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  };
}

const contains = (whole: SpdxPackage, part: SpdxPackage) =>
  ({ spdxElementId: whole.SPDXID, relationshipType: 'CONTAINS', relatedSpdxElement: part.SPDXID }) as const;

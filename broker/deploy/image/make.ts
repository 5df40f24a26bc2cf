import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { epoch } from '../../../cli/packaging/release/epoch.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Architecture, architectures } from './architecture.ts';
import { filesOf, type LockedPackage, lockedPackages, packagesOf } from './debian.ts';
import { kubectlFiles } from './kubectl.ts';
import { archive, type Image, type ImageConfig, type Layer, layerOf } from './layout.ts';
import { nodeFiles, nodeVersion } from './node.ts';
import * as pins from './pins.ts';
import { cacheFor, programFiles } from './program.ts';
import { describeImage } from './spdx.ts';
import { systemFiles, user } from './system.ts';
import type { Target } from './target.ts';

export interface MakeOptions {
  /** Both unless given. */
  readonly targets?: readonly Target[];
  readonly architectures?: readonly Architecture[];
  /** `dist` unless given: what `node build.mjs` has made; with the code cache for the Node of the images, if it is to be in them. */
  readonly dist?: string;
  /** Of Debian; those of debian.json unless given. */
  readonly packages?: readonly LockedPackage[];
}

const version = packageJson.version;
export const archiveName = (target: Target): string => `kleis-${target}-${version}.oci.tar`;
export const spdxName = (target: Target): string => `kleis-${target}-${version}.spdx.json`;

/**
 * Writes the images as OCI archives into a folder, each with a list of what is in it (SPDX 2.3); returns their names in it. An image for CI jobs is made for those
 * architectures only for which there is a kubectl.
 */
export async function makeImages(into: string, options: MakeOptions = {}): Promise<string[]> {
  const written: string[] = [];
  const layers = new Map<string, Promise<Layer>>();
  /** Those that both images have are made once. */
  const once = async (key: string, make: () => Promise<Layer>): Promise<Layer> => {
    const layer = layers.get(key) ?? make();
    layers.set(key, layer);
    return layer;
  };
  const created = new Date(epoch() * 1000).toISOString().replace('.000Z', 'Z');
  const { dist = 'dist', packages: locked = lockedPackages } = options;
  for (const target of options.targets ?? (['broker', 'ci'] as const)) {
    const images = (options.architectures ?? architectures).map(async (architecture): Promise<Image | undefined> => {
      const kubectl = target === 'ci' ? kubectlFiles(architecture) : [];
      if (target === 'ci' && kubectl.length === 0) return undefined;
      const packages = packagesOf(locked, architecture, target === 'ci');
      const base = [...systemFiles(target), ...filesOf(packages, architecture)];
      const program = programFiles(dist, target, cacheFor(architecture));
      return {
        architecture,
        config: configOf(target),
        layers: await Promise.all([
          layerOf(base, `Debian: ${packages.map(({ name, version: its }) => `${name} ${its}`).join(', ')}`),
          once(architecture, async () => layerOf(await nodeFiles(architecture), `Node ${nodeVersion(architecture)}`)),
          ...(kubectl.length > 0 ? [layerOf(kubectl, `kubectl ${pins.kubectl.version}`)] : []),
          layerOf(program, `Kleis ${version}`),
        ]),
      };
    });
    const made = (await Promise.all(images)).filter((image) => image !== undefined);
    if (made.length === 0) continue;
    const { bytes, digest } = archive(made, { name: version, created, annotations: labels(target) });
    const described = { target, digest, created, dist, packages: locked, architectures: made.map(({ architecture }) => architecture) };
    writeFileSync(join(into, archiveName(target)), bytes);
    writeFileSync(join(into, spdxName(target)), `${JSON.stringify(describeImage(described), undefined, 2)}\n`);
    written.push(archiveName(target), spdxName(target));
  }
  return written;
}

export function configOf(target: Target): ImageConfig {
  const common = { User: `${user}:${user}`, Labels: labels(target), StopSignal: 'SIGTERM' };
  // What runs in an image says so (https://systemd.io/CONTAINER_INTERFACE); the broker's warnings go by it.
  const env = ['PATH=/usr/local/bin:/usr/bin', 'container=oci'];
  return target === 'broker'
    ? {
        ...common,
        Env: env,
        Entrypoint: ['kleis-broker'],
        Cmd: ['serve', '--config', '/etc/kleis'],
        WorkingDir: '/',
        ExposedPorts: { '8443/tcp': {}, '9090/tcp': {} },
      }
    : { ...common, Env: [...env, 'HOME=/home/nonroot'], Cmd: ['/bin/sh'], WorkingDir: '/home/nonroot' };
}

/** https://github.com/opencontainers/image-spec/blob/main/annotations.md */
function labels(target: Target): Readonly<Record<string, string>> {
  const source = packageJson.repository.url.replace(/^git\+|\.git$/g, '');
  const [title, description] =
    target === 'broker'
      ? ['kleis-broker', 'Exchanges identities of CI jobs and people for short-lived service-account tokens.']
      : ['kleis-ci', 'kubectl, Kleis and a shell, for CI jobs.'];
  const all = {
    title,
    description,
    version,
    revision: git('rev-parse', 'HEAD'),
    source,
    url: packageJson.homepage,
    documentation: `${source}/blob/main/docs/${target === 'broker' ? 'broker.md' : 'ci/README.md'}`,
    licenses: packageJson.license,
    vendor: packageJson.author,
  };
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [`org.opencontainers.image.${key}`, value]));
}

function git(...args: string[]): string {
  return existsSync('.git') ? execFileSync('git', args, { encoding: 'utf8' }).trim() : 'unknown';
}

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { type Architecture, gnuArchitecture } from './architecture.ts';
import { kept } from './download.ts';
import lock from './debian.json' with { type: 'json' };
import { type Entry, file, filesBelow } from './tree.ts';

/** A package of Debian as debian.json pins it. */
export interface LockedPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  /** Path at a mirror. */
  readonly file: string;
  readonly sha256: string;
}

interface Wanted {
  readonly name: string;
  /** SPDX; of the parts that are taken, by the package's own `copyright`. */
  readonly licence: string;
  /** Only in the image for CI jobs. */
  readonly ciOnly?: true;
  /** What of it is taken, beside its copyright; GNU's name of the architecture stands for `LIB`. */
  readonly take: RegExp;
}

/** What an image has of Debian: a C and a C++ library, who vouches for servers, and a shell where jobs run. */
export const wanted: readonly Wanted[] = [
  { name: 'base-files', licence: 'GPL-2.0-or-later', take: /^(?:etc\/debian_version|(?:etc|usr\/lib)\/os-release)$/ },
  {
    name: 'libc6',
    licence: 'LGPL-2.1-or-later',
    take: /^usr\/(?:lib64\/.+|lib\/(?:LIB\/)?(?:ld-linux.+|lib(?:c|m|dl|pthread|resolv)\.so\.\d+))$/,
  },
  { name: 'gcc-14-base', licence: 'GPL-3.0-or-later WITH GCC-exception-3.1', take: /^$/ },
  { name: 'libgcc-s1', licence: 'GPL-3.0-or-later WITH GCC-exception-3.1', take: /^usr\/lib\/LIB\/lib.+$/ },
  { name: 'libstdc++6', licence: 'GPL-3.0-or-later WITH GCC-exception-3.1', take: /^usr\/lib\/LIB\/lib.+$/ },
  { name: 'ca-certificates', licence: 'GPL-2.0-or-later AND MPL-2.0', take: /^usr\/share\/ca-certificates\/.+\.crt$/ },
  { name: 'busybox', licence: 'GPL-2.0-only', ciOnly: true, take: /^usr\/bin\/busybox$/ },
];

export const suite = lock.suite;

export const lockedPackages: readonly LockedPackage[] = lock.packages;

/** Those of an image, with the licence of each. Throws if one is missing. */
export function packagesOf(
  locked: readonly LockedPackage[],
  architecture: Architecture,
  ci: boolean,
): (LockedPackage & Wanted)[] {
  return wanted
    .filter(({ ciOnly }) => ci || ciOnly !== true)
    .map((each) => {
      const found = locked.find((one) => one.name === each.name && [architecture, 'all'].includes(one.architecture));
      if (found === undefined) throw new Error(`No ${each.name} for ${architecture} is pinned: run lock.ts.`);
      return { ...each, ...found };
    });
}

const isAuthority = ({ path }: Entry) => path.startsWith('usr/share/ca-certificates/');

/** What those packages bring into an image. */
export function filesOf(packages: readonly (LockedPackage & Wanted)[], architecture: Architecture): Entry[] {
  const all = packages.flatMap((each) => taken(each, architecture));
  const authorities = all.filter(isAuthority).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  // As Debian's update-ca-certificates makes it when the package is installed.
  const bundle = Buffer.concat(authorities.map((each) => ('content' in each ? each.content : Buffer.alloc(0))));
  return [...all.filter((each) => !isAuthority(each)), file('etc/ssl/certs/ca-certificates.crt', bundle)];
}

function taken(locked: LockedPackage & Wanted, architecture: Architecture): Entry[] {
  const { name, take } = locked;
  const deb = fetchPackage(locked);
  const folder = mkdtempSync(`${deb}.`);
  try {
    execFileSync('dpkg-deb', ['-x', deb, folder]);
    const pattern = new RegExp(take.source.replaceAll('LIB', gnuArchitecture[architecture]));
    const control = execFileSync('dpkg-deb', ['-f', deb]);
    return [
      ...filesBelow(folder).filter((each) => pattern.test(each.path) || isLicence(each, name)),
      // What is installed, where scanners look for it in an image without dpkg.
      file(`var/lib/dpkg/status.d/${name}`, control),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The copyright of a package, and the texts that it refers to. The folder of one may be a link to that of another. */
function isLicence({ path }: Entry, name: string): boolean {
  if (name === 'base-files' && /^usr\/share\/common-licenses\/(?:L?GPL|GFDL|MPL|Apache)(?:-[\d.]+)?$/.test(path)) return true;
  return path === `usr/share/doc/${name}` || path === `usr/share/doc/${name}/copyright`;
}

/** Neither a mirror nor the archive has it, or none can be reached. */
export class NotToBeHad extends Error {
  override readonly name = 'NotToBeHad';
}

/** The mirrors of Debian that apt knows here. */
export function mirrors(): string[] {
  const told = execFileSync('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)',
    'Created-By: Packages',
    'Origin: Debian',
  ]);
  return [...new Set(String(told).split('\n'))].filter((line) => line !== '');
}

/**
 * The path of a package. A mirror has a version only as long as no newer one has come; Debian's own archive of what its
 * mirrors had has every one.
 */
function fetchPackage({ file: path, sha256 }: LockedPackage): string {
  const from = [...mirrors(), `https://snapshot.debian.org/archive/debian/${lock.snapshot}/`];
  return kept(basename(path), sha256, (into) => {
    const failures: string[] = [];
    for (const url of from) {
      try {
        execFileSync('/usr/lib/apt/apt-helper', ['download-file', `${url}${path}`, into, `SHA256:${sha256}`], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        return;
      } catch (error) {
        failures.push(String((error as { readonly stderr?: Buffer }).stderr ?? error).trim());
      }
    }
    throw new NotToBeHad(`${basename(path)} cannot be had: ${failures.join('; ')}`);
  });
}

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { architectures } from './architecture.ts';
import { type LockedPackage, mirrors, packagesOf, suite, wanted } from './debian.ts';

const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The packages of an image as Debian has them now. apt believes nothing but what Debian has signed. */
export function packagesNow(): LockedPackage[] {
  const folder = mkdtempSync(join(tmpdir(), 'kleis-debian-'));
  try {
    for (const each of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, each), { recursive: true });
    const [mirror] = mirrors();
    if (mirror === undefined) throw new Error('apt knows no mirror of Debian here.');
    const sources = ['', '-updates'].map(
      (part) => `deb [arch=${architectures.join(',')} signed-by=${keys}] ${mirror} ${suite}${part} main\n`,
    );
    writeFileSync(join(folder, 'sources.list'), sources.join(''));
    const options = {
      'Dir::Etc::sourcelist': join(folder, 'sources.list'),
      'Dir::Etc::sourceparts': '-',
      'Dir::State': folder,
      'Dir::State::lists': join(folder, 'lists'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(folder, 'cache'),
    };
    const flags = [
      ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
      ...architectures.flatMap((each) => ['-o', `APT::Architectures::=${each}`]),
    ];
    execFileSync('apt-get', [...flags, '-q', 'update'], { stdio: ['ignore', 2, 2] });
    const names = architectures.flatMap((each) => wanted.map(({ name }) => `${name}:${each}`));
    const shown = execFileSync('apt-cache', [...flags, 'show', '--no-all-versions', ...names], { encoding: 'utf8' });
    const packages = shown.trim().split('\n\n').map(describe);
    for (const each of architectures) packagesOf(packages, each, true);
    return packages;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function describe(stanza: string): LockedPackage {
  const field = (key: string) => {
    const value = new RegExp(`^${key}: (.+)$`, 'm').exec(stanza)?.[1];
    if (value === undefined) throw new Error(`apt says no ${key}:\n${stanza}`);
    return value;
  };
  return {
    name: field('Package'),
    architecture: field('Architecture'),
    version: field('Version'),
    file: field('Filename'),
    sha256: field('SHA256'),
  };
}

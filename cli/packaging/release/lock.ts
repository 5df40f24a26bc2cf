import { readFileSync } from 'node:fs';

/** A package of package-lock.json, by its folder. */
export interface Locked {
  readonly name?: string;
  readonly version: string;
  /** Of the package as npm has it: `sha512-…`. */
  readonly integrity?: string;
  readonly license?: string;
  readonly optional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export function readLock(): Readonly<Record<string, Locked>> {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { readonly packages: Record<string, Locked> };
  return lock.packages;
}

/** The folder of the package that a file belongs to; undefined for one of ours. */
export const packageFolder = (file: string): string | undefined =>
  /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];

/** The package in that folder, by its own name where it is installed under another. Throws if the lock does not know it. */
export function lockedPackage(
  folder: string,
  lock: Readonly<Record<string, Locked>>,
): Locked & { readonly name: string } {
  const locked = lock[folder];
  if (locked === undefined) throw new Error(`package-lock.json does not know ${folder}`);
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
  return { name, ...locked };
}

/** https://github.com/package-url/purl-spec, type npm. */
export const npmPurl = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;

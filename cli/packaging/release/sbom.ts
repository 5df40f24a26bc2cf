import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { epoch } from './epoch.ts';
import { type Locked, lockedPackage, npmPurl, packageFolder, readLock } from './lock.ts';

/** What `node build.mjs` tells of each program: the files that went into it, and what they import. */
export interface BundledProgram {
  readonly program: string;
  readonly inputs: Readonly<Record<string, { readonly imports: readonly { readonly path: string }[] }>>;
}

interface Hash {
  readonly alg: 'SHA-512';
  readonly content: string;
}

export interface Component {
  readonly type: 'application' | 'library';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly group?: string;
  readonly version: string;
  readonly purl: string;
  /** `optional`: installed beside the programs if it can be, and not bundled. */
  readonly scope?: 'required' | 'optional';
  readonly licenses: readonly ({ readonly license: { readonly id: string } } | { readonly expression: string })[];
  readonly hashes?: readonly Hash[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

/** As much of a CycloneDX document as is in ours. */
export interface Sbom {
  readonly serialNumber: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

export const sbomName = `${packageJson.name}-${packageJson.version}.cdx.json`;

export const readBundled = (): readonly BundledProgram[] =>
  JSON.parse(readFileSync('dist/metafile.json', 'utf8')) as readonly BundledProgram[];

/** Writes the CycloneDX 1.6 document of what is bundled; its name within the folder. */
export function makeSbom(into: string): string {
  const text = `${JSON.stringify(describeBundle(readBundled(), readLock()), undefined, 2)}\n`;
  writeFileSync(join(into, sbomName), text);
  return sbomName;
}

function describeBundle(bundled: readonly BundledProgram[], lock: Readonly<Record<string, Locked>>): Sbom {
  const programsOf = new Map<string, Set<string>>();
  const uses = new Map<string, Set<string>>([['', new Set()]]);
  for (const { program, inputs } of bundled) {
    for (const [file, { imports }] of Object.entries(inputs)) {
      const folder = packageFolder(file);
      if (folder !== undefined) programsOf.set(folder, (programsOf.get(folder) ?? new Set()).add(program));
      const own = uses.get(folder ?? '') ?? new Set();
      for (const { path } of imports) {
        const other = packageFolder(path);
        if (other !== undefined && other !== folder) own.add(other);
      }
      uses.set(folder ?? '', own);
    }
  }
  // The keyring, with what its own build needs.
  const optional = Object.keys(packageJson.optionalDependencies).flatMap((name) =>
    within(`node_modules/${name}`, lock),
  );
  for (const [folder, others] of optional) uses.set(folder, new Set(others));
  for (const name of Object.keys(packageJson.optionalDependencies)) uses.get('')?.add(`node_modules/${name}`);

  const root: Component = {
    type: 'application',
    'bom-ref': npmPurl(packageJson.name, packageJson.version),
    ...identity(packageJson.name, packageJson.version),
    licenses: licencesOf(packageJson.license),
  };
  const components = [
    ...Array.from(programsOf, ([folder, programs]) => componentOf(folder, lock, [...programs])),
    ...optional.map(([folder]) => componentOf(folder, lock)),
  ].toSorted((a, b) => (a.purl < b.purl ? -1 : 1));
  const ref = (folder: string) => (folder === '' ? root['bom-ref'] : componentOf(folder, lock)['bom-ref']);
  const dependencies = Array.from(uses, ([folder, others]) => ({
    ref: ref(folder),
    dependsOn: Array.from(others, ref).toSorted(),
  })).toSorted((a, b) => (a.ref < b.ref ? -1 : 1));
  const content = { metadata: { timestamp: timestamp(), component: root }, components, dependencies };
  return {
    ...{ $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json', bomFormat: 'CycloneDX', specVersion: '1.6' },
    serialNumber: serialNumber(JSON.stringify(content)),
    ...{ version: 1 },
    ...content,
  };
}

function componentOf(folder: string, lock: Readonly<Record<string, Locked>>, programs?: readonly string[]): Component {
  const { name, version, integrity, license } = lockedPackage(folder, lock);
  const [, digest] = /^sha512-(\S+)$/.exec(integrity ?? '') ?? [];
  if (digest === undefined) throw new Error(`package-lock.json has no SHA-512 of ${folder}`);
  if (license === undefined) throw new Error(`package-lock.json has no licence of ${folder}`);
  return {
    type: 'library',
    // Of two copies of one version each is a component.
    'bom-ref': `${npmPurl(name, version)}#${folder}`,
    ...identity(name, version),
    scope: programs === undefined ? 'optional' : 'required',
    licenses: licencesOf(license),
    hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }],
    ...(programs && { properties: programs.map((value) => ({ name: 'kleis:program', value })) }),
  };
}

/** A package and what it brings along, each with what it uses. */
function within(folder: string, lock: Readonly<Record<string, Locked>>): [string, readonly string[]][] {
  const names = Object.keys(lock[folder]?.dependencies ?? {});
  const others = names.map((name) =>
    [`${folder}/node_modules/${name}`, `node_modules/${name}`].find((each) => each in lock),
  );
  const found = others.filter((each) => each !== undefined);
  return [[folder, found], ...found.flatMap((each) => within(each, lock))];
}

function identity(name: string, version: string) {
  const [scope, rest] = name.startsWith('@') ? name.split('/') : [undefined, name];
  return { ...(scope !== undefined && { group: scope }), name: rest ?? name, version, purl: npmPurl(name, version) };
}

const licencesOf = (text: string): Component['licenses'] =>
  /\s/.test(text) ? [{ expression: text.replace(/^\((.*)\)$/, '$1') }] : [{ license: { id: text } }];

/** As in the pages of the manual. */
const timestamp = (): string => new Date(epoch() * 1000).toISOString().replace(/\.\d+Z$/, 'Z');

/** Made of the content, so that the same release has the same one (RFC 9562, version 8). */
function serialNumber(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

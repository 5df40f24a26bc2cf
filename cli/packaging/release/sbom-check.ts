import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Locked, npmPurl, packageFolder, readLock } from './lock.ts';
import { type BundledProgram, readBundled, type Sbom, sbomName } from './sbom.ts';

const readSbom = (folder: string) => JSON.parse(readFileSync(join(folder, sbomName), 'utf8')) as Sbom;

/** By the schema that CycloneDX publishes. */
export function checkSchema(folder: string): void {
  const library = dirname(createRequire(resolve('package.json')).resolve('@cyclonedx/cyclonedx-library/package.json'));
  const read = (name: string) =>
    JSON.parse(readFileSync(join(library, 'res/schema', `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  formats.default(ajv);
  // RFC 3987 is for what is not ASCII; ours is.
  ajv.addFormat('iri-reference', /^[\x21-\x7e]*$/);
  ajv.addFormat('idn-email', true);
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs']) {
    ajv.addSchema({ ...read(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
  }
  const validate = ajv.compile(read('bom-1.6'));
  if (!validate(readSbom(folder))) throw new Error(ajv.errorsText(validate.errors, { separator: '\n' }));
}

/** That every bundled file belongs to a component, every component has a file, and each is as it is installed here. */
export function checkAgainstTree(folder: string): void {
  const faults = faultsOf(readSbom(folder), readBundled(), readLock());
  if (faults.length > 0) throw new Error(faults.slice(0, 20).join('\n'));
}

/** Where the packages that it says are bundled lie. */
export function listedFolders(folder: string): string[] {
  const { components } = readSbom(folder);
  return components.filter(({ scope }) => scope === 'required').map((component) => folderOf(component['bom-ref']));
}

const folderOf = (ref: string) => ref.slice(ref.indexOf('#') + 1);

export function faultsOf(
  { components, dependencies, metadata }: Sbom,
  bundled: readonly BundledProgram[],
  lock: Readonly<Record<string, Locked>>,
): string[] {
  const files = [...new Set(bundled.flatMap(({ inputs }) => Object.keys(inputs)))];
  const required = components.filter(({ scope }) => scope === 'required');
  const known = new Map(required.map((component) => [folderOf(component['bom-ref']), component]));
  const refs = new Set([metadata.component, ...components].map((component) => component['bom-ref']));
  return [
    ...files.flatMap((file) => {
      const owner = packageFolder(file);
      if (owner !== undefined) return known.has(owner) ? [] : [`${file} belongs to no component`];
      return isOurs.test(file) ? [] : [`${file} is neither ours nor of a package`];
    }),
    ...[...known].flatMap(([owner, { version, hashes = [], 'bom-ref': ref }]) => [
      ...(files.some((file) => file.startsWith(`${owner}/`)) ? [] : [`nothing of ${ref} is bundled`]),
      ...(installed(owner) === version ? [] : [`${ref} is installed as ${installed(owner)}`]),
      ...(sri(hashes) === lock[owner]?.integrity ? [] : [`${ref} has another hash in package-lock.json`]),
    ]),
    ...licenceFaults(
      required.map(({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name} ${version}`),
    ),
    ...dependencies.flatMap(({ ref, dependsOn }) =>
      [ref, ...dependsOn].filter((each) => !refs.has(each)).map((each) => `${each} is used, and no component`),
    ),
    ...Object.keys(packageJson.optionalDependencies)
      .filter((name) => !components.some(({ scope, purl }) => scope === 'optional' && purl === optionalPurl(name)))
      .map((name) => `${name} is optional, and no component`),
  ];
}

const isOurs = /^(?:part:)?(?:\.\.\/)*(?:.*\/)?(?:cli|broker|shared|docs)\/[\w/.-]+\.(?:tsx?|json)$|^package\.json$/;

const installed = (folder: string): string =>
  (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly version: string }).version;

const sri = ([hash]: readonly { readonly content: string }[]) =>
  `sha512-${Buffer.from(hash?.content ?? '', 'hex').toString('base64')}`;

/** `npm:@github/keytar@7.10.6` is another package under that name. */
function optionalPurl(name: string): string {
  const wanted = (packageJson.optionalDependencies as Readonly<Record<string, string>>)[name] ?? '';
  const [, alias = name, version = wanted] = /^npm:(.+)@([^@]+)$/.exec(wanted) ?? [];
  return npmPurl(alias, version);
}

/** The licences that go along name the same packages: they are found another way. */
function licenceFaults(names: readonly string[]): string[] {
  const text = readFileSync('dist/THIRD-PARTY-LICENSES.txt', 'utf8');
  const heads = text.split(`\n${'-'.repeat(80)}\n\n`).map((part) => part.slice(0, part.indexOf(' (')));
  return [
    ...names.filter((name) => !heads.includes(name)).map((name) => `THIRD-PARTY-LICENSES.txt lacks ${name}`),
    ...heads.filter((head) => !names.includes(head)).map((head) => `${head} has a licence there, and is no component`),
  ];
}

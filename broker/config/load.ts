import { createHash } from 'node:crypto';
import { finish, inTurns, type Pace, type Steps } from '../../shared/steps.ts';
import { type CompiledPolicy, compilePolicy, PolicyFaults } from '../policy/compile.ts';
import type { Path, PolicyFault } from '../policy/parse-where.ts';
import { findWarnings } from './warnings.ts';
import { completeConfig } from './complete.ts';
import { type ConfigFault, ConfigFaults, fileFault, readSources, type SourceFile } from './documents.ts';
import { mergeDocuments } from './merge.ts';
import { type FileKind, namedFiles, resolveFiles } from './named-files.ts';
import { readPlainYaml, readPlainYamlInSteps } from './plain-yaml.ts';
import { checkRules, type RuleFault } from './rules.ts';
import type { BrokerConfig } from './broker-config.ts';
import { checkShape } from './shape.ts';
import { createLines, type Report, type SourceDocument, type TreeNode } from './tree.ts';
import type { WarningCode } from './warning-codes.ts';
import type { readAnyYaml } from './yaml.ts';

/** Legal and unwise; `code` is stable and explained in docs/grants.md. */
export interface Warning extends ConfigFault {
  readonly code: WarningCode;
  /** Which it is about; absent where it is about no grant. */
  readonly grant?: string;
}

export interface LoadedConfig {
  readonly config: BrokerConfig;
  readonly policy: CompiledPolicy;
  /** SHA-256 (hex) of what is in force; the same for the same meaning, however it is written. */
  readonly hash: string;
  readonly warnings: readonly Warning[];
  readonly files: readonly string[];
  /** Files that it names, with the place where it does. */
  readonly named: readonly { readonly file: string; readonly kind: FileKind; readonly place: ConfigFault }[];
}

/**
 * Reads a file, or the *.yaml and *.yml files of a folder. Throws ConfigFaults with everything that is wrong. Ten thousand
 * grants take seconds; with a pace, whatever else this process does comes in between.
 */
export async function loadConfig(location: string, pace?: Pace): Promise<LoadedConfig> {
  const drive = async <T>(steps: Steps<T>): Promise<T> => (pace === undefined ? finish(steps) : inTurns(steps, pace));
  const { files, unread } = await readSources(location);
  const sources: ReadFile[] = [];
  for (const source of files) sources.push({ ...source, plain: await drive(readPlainYamlInSteps(source.text)) });
  const needed = sources.some(({ plain }) => plain === undefined);
  const readAny = needed ? (await import('./yaml.ts')).readAnyYaml : () => [];
  return drive(judgeInSteps(sources, readAny, unread));
}

/**
 * Where entries of a configuration that was loaded stand, like `grants.deploy`; the beginning of its first file for what is
 * none. Read once more, since a broker has no use for it.
 */
export async function locateEntries(location: string): Promise<(entry: string) => ConfigFault> {
  const { files } = await readSources(location).catch(() => ({ files: [] }));
  const { readAnyYaml } = await import('./yaml.ts');
  const documents = files.flatMap(({ file, text }): SourceDocument[] => {
    const lines = createLines(text);
    return (readPlainYaml(text) ?? readAnyYaml(text, () => undefined)).map((root) => ({ file, lines, root }));
  });
  if (documents.length === 0) return () => fileFault(files[0]?.file ?? location, '');
  const merged = finish(mergeDocuments(documents, []));
  return (entry) => {
    const [, section = '', name = ''] = /^(issuers|clusters|grants)\.(.+)$/.exec(entry) ?? [];
    return merged.fault(section === '' ? [] : [section, name], '', true);
  };
}

/** A file, and its documents if the plain reader could read them. */
export interface ReadFile extends SourceFile {
  readonly plain: readonly TreeNode[] | undefined;
}

/** `readAny`: for what the plain reader could not read; `unread`: about files that could not be read at all. Throws ConfigFaults. */
export function* judgeInSteps(
  sources: readonly ReadFile[],
  readAny: typeof readAnyYaml,
  unread: readonly ConfigFault[] = [],
): Steps<LoadedConfig> {
  const faults = [...unread];
  const parsed = sources.map(({ file, text, plain }): SourceDocument[] => {
    const lines = createLines(text);
    const report: Report = (at, message) => faults.push({ file, ...lines.place(at), path: '', message });
    return (plain ?? readAny(text, report)).map((root) => ({ file, lines, root }));
  });
  const documents = parsed.flat();
  const bare = sources
    .filter((_, index) => parsed[index]!.length === 0)
    .map(({ file, text }) => fileFault(file, emptiness(text)));
  if (documents.length === 0) throw faults.length > 0 ? new ConfigFaults(faults) : new ConfigFaults(bare, true);

  const unreadable = faults.length > 0;
  const merged = yield* mergeDocuments(documents, faults);
  // What is missing may stand in the part that nobody could read.
  const incomplete = unreadable || merged.incomplete;
  const { faults: shapeFaults, document, dropped } = yield* checkShape(merged.value);
  for (const { path, message, key, missing } of shapeFaults) {
    if (!(incomplete && missing === true && path.length === 1)) faults.push(merged.fault(path, message, key));
  }
  if (document === undefined) throw new ConfigFaults(sortFaults(faults));

  const written = yield* completeConfig(document);
  const config = resolveFiles(written, (path) => merged.fileOf(path));
  const compiled = yield* compile(config);
  const found = [...(yield* checkRules(config, document)), ...compiled.faults];
  for (const fault of found) {
    if (isEcho(fault, dropped, merged.value) || (incomplete && 'refersTo' in fault && fault.refersTo !== undefined))
      continue;
    faults.push(merged.fault(fault.path, fault.message));
  }
  if (faults.length > 0 || compiled.policy === undefined) throw new ConfigFaults(sortFaults(faults));
  const warnings: Warning[] = [];
  for (const { code, path, message } of yield* findWarnings(config, compiled.policy)) {
    const grant = path[0] === 'grants' && path[1] !== undefined && { grant: String(path[1]) };
    warnings.push({ code, ...grant, ...merged.fault(path, message) });
    yield;
  }
  const empty = bare.map((fault) => ({
    code: 'file-empty' as const,
    ...fault,
    message: `${fault.message}: it configures nothing`,
  }));
  const hash = yield* hashOf(written);
  return {
    config,
    policy: compiled.policy,
    hash,
    warnings: [...empty, ...warnings],
    files: sources.map(({ file }) => file),
    named: namedFiles(config).map(({ path, file, kind }) => ({ file, kind, place: merged.fault(path, '') })),
  };
}

function emptiness(text: string): string {
  return text.trim() === '' ? 'is empty' : 'has no configuration in it';
}

function* compile(
  config: BrokerConfig,
): Steps<{ readonly policy?: CompiledPolicy; readonly faults: readonly PolicyFault[] }> {
  try {
    return { policy: yield* compilePolicy(config), faults: [] };
  } catch (error) {
    if (error instanceof PolicyFaults) return { faults: error.faults };
    throw error;
  }
}

/** A fault that only follows from another one: it is about a stand-in, or about an entry that was left out. */
function isEcho(fault: RuleFault, dropped: readonly Path[], value: unknown): boolean {
  if (dropped.some((path) => path.slice(0, fault.path.length).every((key, index) => fault.path[index] === key)))
    return true;
  if (fault.refersTo === undefined) return false;
  const named = fault.path.reduce<unknown>(
    (inner, key) => (inner as Record<string, unknown> | undefined)?.[String(key)],
    value,
  );
  return dropped.some(([top, entry]) => top === fault.refersTo && (entry === undefined || entry === named));
}

function sortFaults(faults: readonly ConfigFault[]): ConfigFault[] {
  return faults.toSorted((a, b) =>
    a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
  );
}

/** SHA-256 (hex) of `canonicalJson`. */
function* hashOf(config: BrokerConfig): Steps<string> {
  const hash = createHash('sha256');
  // The grants are nearly all of it. Each name is written as JSON has it, in the order of `canonicalJson`.
  const { grants, ...rest } = config;
  const [before = '', after = ''] = canonicalJson({ ...rest, grants: {} }).split('"grants":{}');
  hash.update(`${before}"grants":{`);
  let comma = '';
  // Names that are numbers come first in any object, and so in its JSON.
  for (const [name, grant] of Object.entries(Object.fromEntries(Object.entries(grants).toSorted(byName)))) {
    hash.update(`${comma}${JSON.stringify(name)}:${canonicalJson(grant)}`);
    comma = ',';
    yield;
  }
  return hash.update(`}${after}`).digest('hex');
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

/** JSON with sorted names, so that order in a file means nothing. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(byName));
  });
}

/** Whether two values mean the same. Nearly all of a configuration is as it was, and then the names need no order. */
export function isSameJson(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other) || canonicalJson(one) === canonicalJson(other);
}

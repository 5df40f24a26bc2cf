import { createHash } from 'node:crypto';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';
import { systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { unusableNames } from '../policy/parse-where.ts';

/** Something wrong, and where; line and column count from 1. */
export interface ConfigFault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** From the top of the document, like `grants.deploy.where`; empty if it is about the file. */
  readonly path: string;
  readonly message: string;
}

/** All that is wrong with a configuration. `message` has a line for each. */
export class ConfigFaults extends Error {
  override readonly name = 'ConfigFaults';
  readonly faults: readonly ConfigFault[];
  /** There is no configuration, or nothing in it: somebody took it away, so nothing is to be allowed. */
  readonly empty: boolean;

  constructor(faults: readonly ConfigFault[], empty = false) {
    super(faults.map(formatFault).join('\n'));
    this.faults = faults;
    this.empty = empty;
  }
}

/** As compilers print it, so that editors find the place. */
export function formatFault(fault: ConfigFault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${fault.path === '' ? '' : `${fault.path} `}${fault.message}`;
}

export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

export interface SourceDocument {
  readonly file: string;
  readonly lines: LineCounter;
  readonly document: Document.Parsed;
}

const maxFile = 4 * 1024 * 1024;
const maxTotal = 16 * 1024 * 1024;
const maxFiles = 1000;
const maxAliases = 1000;

/**
 * The files of a configuration. In a mounted ConfigMap every name is a link through `..data`, which is swapped while we
 * read: it is resolved once, so that all files are of one version.
 */
export async function listFiles(
  location: string,
): Promise<readonly { readonly shown: string; readonly real: string }[]> {
  if (!(await stat(location)).isDirectory()) return [{ shown: location, real: await realpath(location) }];
  const data = await realpath(path.join(location, '..data')).catch(() => undefined);
  const folder = data ?? (await realpath(location));
  const names = (await readdir(folder)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).toSorted();
  return names.map((name) => ({ shown: path.join(location, name), real: path.join(folder, name) }));
}

/** Changes whenever the configuration may have: names, places, sizes and times of its files. Throws if it is gone. */
export async function fingerprint(location: string): Promise<string> {
  const hash = createHash('sha256');
  for (const { shown, real } of await listFiles(location)) {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(real, { bigint: true });
    hash.update(JSON.stringify([shown, real, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]));
  }
  return hash.digest('hex');
}

export interface Sources {
  readonly files: readonly SourceFile[];
  /** About files that could not be read; the others are to be judged all the same. */
  readonly unread: readonly ConfigFault[];
}

/** Throws ConfigFaults when there is nothing to read. */
export async function readSources(location: string): Promise<Sources> {
  const files = await listFiles(location).catch((error: unknown) => {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ConfigFaults([fileFault(location, `cannot be read: ${systemReason(error)}`)], gone);
  });
  if (files.length === 0) throw new ConfigFaults([fileFault(location, 'has no *.yaml or *.yml file in it')], true);
  if (files.length > maxFiles) refuse(location, `has more than ${maxFiles} files in it`);
  const sources: SourceFile[] = [];
  const unread: ConfigFault[] = [];
  let total = 0;
  for (const { shown, real } of files) {
    try {
      const text = await readText(real);
      total += text.length;
      sources.push({ file: shown, text });
    } catch (error) {
      unread.push(fileFault(shown, `cannot be read: ${systemReason(error)}`));
    }
    if (total > maxTotal) refuse(location, 'is larger than 16 MiB altogether');
  }
  return { files: sources, unread };
}

async function readText(file: string): Promise<string> {
  const { size } = await statFile(file);
  if (size > maxFile) throw new Error('it is larger than 4 MiB');
  const bytes = await readFile(file);
  if (bytes.length > maxFile) throw new Error('it is larger than 4 MiB');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error('it is no UTF-8 text', { cause: error });
  }
}

async function statFile(file: string): Promise<{ size: number }> {
  const found = await stat(file);
  if (!found.isFile()) throw new Error('it is no regular file');
  return found;
}

function refuse(location: string, message: string): never {
  throw new ConfigFaults([fileFault(location, message)]);
}

export function fileFault(file: string, message: string): ConfigFault {
  return { file, line: 1, column: 1, path: '', message };
}

/**
 * The YAML documents of a file; those without content (an empty file, a `---` with nothing after it) are left out. Where
 * something in the file is no plain data, the faults are told and nothing is left of it.
 */
export function parseSource({ file, text }: SourceFile, faults: ConfigFault[]): SourceDocument[] {
  const lines = new LineCounter();
  const before = faults.length;
  // Keys are compared here, where the fault can name both places.
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    schema: 'core',
    version: '1.2',
  });
  const documents = Array.isArray(parsed) ? parsed : [];
  const sources = documents.map((document) => ({ file, lines, document }));
  for (const source of sources) {
    for (const problem of [...source.document.errors, ...source.document.warnings]) {
      const { line, col } = lines.linePos(problem.pos[0]);
      faults.push({ file, line, column: col, path: '', message: `is no valid YAML: ${clean(problem.message)}` });
    }
    checkNodes(source, text.length, faults);
  }
  if (faults.length > before) return [];
  return sources.filter(({ document: { contents } }) => contents !== null && !isNothing(contents));
}

function isNothing(node: Node): boolean {
  return isScalar(node) && node.value === null;
}

/** Refuses what YAML allows and plain data does not have. */
function checkNodes(source: SourceDocument, length: number, faults: ConfigFault[]): void {
  const report = (node: Node, message: string): void => {
    faults.push({ file: source.file, ...position(source, node), path: '', message });
  };
  let aliases = 0;
  let copied = length;
  visit(source.document, {
    Map: (_, map) => checkKeys(source, map, report),
    Alias: (_, alias) => {
      aliases++;
      const target = alias.resolve(source.document);
      copied += (target?.range?.[2] ?? 0) - (target?.range?.[0] ?? 0);
      if (target === undefined)
        report(alias, `is no valid YAML: there is no anchor &${clean(alias.source, 60)} before it`);
      else if (aliases === maxAliases + 1) report(alias, `is one alias too many: there may be ${maxAliases}`);
      else if (copied > maxTotal) report(alias, 'makes the document larger than 16 MiB');
      else if (target !== undefined && hasAlias(target))
        report(alias, 'stands for a part that has an alias in it: write it out');
      else return undefined;
      return visit.BREAK;
    },
  });
}

function hasAlias(node: Node): boolean {
  let found = false;
  visit(node, {
    Alias: () => {
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function checkKeys(source: SourceDocument, map: YAMLMap, report: (node: Node, message: string) => void): void {
  const seen = new Map<string, Node>();
  for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
    if (!isScalar(key)) {
      report(key ?? value ?? map, 'is no name: a key is a plain text');
    } else if (typeof key.value !== 'string') {
      report(
        key,
        `is a ${key.value === null ? 'missing' : typeof key.value} key: quote it ("${clean(key.source ?? key.value)}")`,
      );
    } else if (key.value === '<<') {
      report(key, 'is no merge key in YAML 1.2: write the entries out');
    } else if (unusableNames.has(key.value)) {
      report(key, `"${key.value}" cannot be a name here`);
    } else {
      const first = seen.get(key.value);
      if (first !== undefined)
        report(key, `"${clean(key.value)}" is there twice: first at line ${position(source, first).line}`);
      else seen.set(key.value, key);
    }
  }
}

/** Line and column of a node, from 1. */
export function position(source: SourceDocument, node: Node): { line: number; column: number } {
  const { line, col } = source.lines.linePos(node.range?.[0] ?? 0);
  return { line, column: col };
}

const indexes = new WeakMap<YAMLMap, Map<unknown, Pair<Node, Node | null>>>();

/** The node nearest to a path: the scalar there or, for all else and for what is missing, the key it belongs to. */
export function nodeAt(source: SourceDocument, keys: readonly (string | number)[]): Node | null {
  let value: Node | null = source.document.contents;
  let nearest: Node | null = value;
  for (const key of keys) {
    if (value !== null && isAlias(value)) value = value.resolve(source.document) ?? null;
    if (isMap(value)) {
      const pair = indexOf(value).get(String(key));
      if (pair === undefined) break;
      value = pair.value;
      nearest = isScalar(value) && value.range != null && value.range[1] > value.range[0] ? value : pair.key;
    } else if (isSeq(value)) {
      const item = value.items[Number(key)] as Node | undefined;
      if (item === undefined) break;
      value = nearest = item;
    } else break;
  }
  return nearest;
}

/** The key itself, for faults about a name. */
export function keyAt(source: SourceDocument, keys: readonly (string | number)[]): Node | null {
  const name = keys.at(-1);
  let parent: Node | null = source.document.contents;
  for (const key of keys.slice(0, -1)) {
    if (parent !== null && isAlias(parent)) parent = parent.resolve(source.document) ?? null;
    if (isMap(parent)) parent = indexOf(parent).get(String(key))?.value ?? null;
    else if (isSeq(parent)) parent = (parent.items[Number(key)] as Node | undefined) ?? null;
  }
  return (isMap(parent) ? indexOf(parent).get(String(name))?.key : undefined) ?? nodeAt(source, keys);
}

function indexOf(map: YAMLMap): Map<unknown, Pair<Node, Node | null>> {
  let index = indexes.get(map);
  if (index === undefined) {
    index = new Map(
      (map.items as Pair<Node, Node | null>[]).map((pair) => [isScalar(pair.key) ? pair.key.value : pair.key, pair]),
    );
    indexes.set(map, index);
  }
  return index;
}

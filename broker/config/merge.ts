import { isObject } from '../../shared/json.ts';
import type { Steps } from '../../shared/steps.ts';
import { clean } from '../../shared/text.ts';
import { claimPath } from '../policy/match.ts';
import type { Path } from '../policy/parse-where.ts';
import type { ConfigFault } from './documents.ts';
import { documentSchema, mergedSections } from './schema.ts';
import { dataInSteps, isEntries, placeAt, placeOfKey, type SourceDocument } from './tree.ts';

type Data = Record<string, unknown>;

export interface Merged {
  /** One document, of whatever shape. */
  readonly value: Data;
  /** Some document could not be taken into it, so what seems to be missing may stand there. */
  readonly incomplete: boolean;
  /** The file in which something stands, or would. */
  fileOf(path: Path): string;
  /** Turns a path into a place in a file. `key`: the name there, not what it stands for. */
  fault(path: Path, message: string, key?: boolean): ConfigFault;
}

/** Brings documents together: issuers, clusters and grants by name, all else said once. */
export function* mergeDocuments(sources: readonly SourceDocument[], faults: ConfigFault[]): Steps<Merged> {
  const value: Data = {};
  const homes = new Map<string, SourceDocument>();
  let incomplete = false;
  for (const source of sources) {
    const content = yield* plainContent(source, faults);
    if (content === undefined) {
      incomplete = true;
      continue;
    }
    checkHeader(source, content, faults);
    for (const [name, part] of Object.entries(content)) {
      if (isMergedSection(name) && isObject(part)) {
        const section = (value[name] ??= {}) as Data;
        for (const [entry, body] of Object.entries(part)) {
          if (taken(homes, source, [name, entry], faults)) continue;
          if (isObject(section)) section[entry] = body;
          yield;
        }
        homes.set(homeOf([name]), homes.get(homeOf([name])) ?? source);
      } else if (!isHeader(name) && !taken(homes, source, [name], faults)) {
        value[name] = part;
      }
    }
  }
  Object.assign(value, { apiVersion: 'kleis.dev/v1', kind: 'BrokerConfig' });
  const fallback = sources[0]!;
  const find = (path: Path): SourceDocument =>
    homes.get(homeOf(path.slice(0, 2))) ?? homes.get(homeOf(path.slice(0, 1))) ?? fallback;
  return {
    value,
    incomplete,
    fileOf: (path) => find(path).file,
    fault: (path, message, key = false) => {
      const source = find(path);
      const place = key ? placeOfKey(source, path) : placeAt(source, path);
      return { file: source.file, ...place, path: showPath(path), message };
    },
  };
}

function* plainContent(source: SourceDocument, faults: ConfigFault[]): Steps<Data | undefined> {
  if (isEntries(source.root.content)) return (yield* dataInSteps(source.root)) as Data;
  const message = 'is no mapping: begin with apiVersion: kleis.dev/v1';
  faults.push({ file: source.file, ...placeAt(source, []), path: '', message });
  return undefined;
}

function checkHeader(source: SourceDocument, content: Data, faults: ConfigFault[]): void {
  for (const name of ['apiVersion', 'kind'] as const) {
    const [expected] = documentSchema.shape[name].values;
    if (content[name] === expected) continue;
    const found = content[name] === undefined ? 'is missing' : `is ${clean(JSON.stringify(content[name]), 60)}`;
    faults.push({
      file: source.file,
      ...placeAt(source, [name]),
      path: name,
      message: `${found}: write ${name}: ${expected}`,
    });
  }
}

function taken(homes: Map<string, SourceDocument>, source: SourceDocument, path: Path, faults: ConfigFault[]): boolean {
  const first = homes.get(homeOf(path));
  if (first === undefined) {
    homes.set(homeOf(path), source);
    return false;
  }
  faults.push({
    file: source.file,
    ...placeOfKey(source, path),
    path: showPath(path),
    message: `is said twice: first at ${first.file}:${placeOfKey(first, path).line}`,
  });
  return true;
}

function homeOf(path: Path): string {
  return JSON.stringify(path);
}

function isHeader(name: string): boolean {
  return name === 'apiVersion' || name === 'kind';
}

function isMergedSection(name: string): boolean {
  return (mergedSections as readonly string[]).includes(name);
}

function showPath(path: Path): string {
  return claimPath(path.map(String)).replaceAll(/\.(\d+)(?=\.|$|\[)/g, '[$1]');
}

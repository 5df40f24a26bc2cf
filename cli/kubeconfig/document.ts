import { isObject } from '../../shared/json.ts';
import { isMap, isSeq, LineCounter, type Document, type Node, parseDocument, type ParsedNode } from 'yaml';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';

export type Mapping = Record<string, unknown>;

/** The text of a kubeconfig, its nodes with their places in the text, and what it means. */
export interface KubeconfigDocument {
  /** Empty, or the byte order mark that the text begins with. */
  readonly mark: string;
  /** Without the mark: the parser would count it as a column. */
  readonly text: string;
  readonly document: Document<ParsedNode>;
  /** An empty file is an empty mapping. */
  readonly value: Mapping;
  /** kubectl reads the first of several documents and, when it writes, throws the others away. */
  readonly severalDocuments: boolean;
  /** `line:column` of what a path of keys and indices leads to, or of the nearest thing around it. */
  place(...path: readonly (string | number)[]): string;
}

const named = { clusters: 'cluster', users: 'user', contexts: 'context' } as const;
export type Section = keyof typeof named;
export const sections: readonly Section[] = ['clusters', 'users', 'contexts'];

/** `clusters` is a list of `{ name, cluster: {…} }`, and so on: the key beside `name`. */
export function bodyKey(section: Section): (typeof named)[Section] {
  return named[section];
}

/**
 * @param source the file, for messages
 * @throws KleisError `kubeconfig_invalid` with file, line and column, for what is not YAML, not a kubeconfig, or what
 *   kubectl refuses too: a name twice or a name that is no text
 */
export function parseKubeconfig(whole: string, source: string): KubeconfigDocument {
  const mark = whole.startsWith('\uFEFF') ? '\uFEFF' : '';
  const text = whole.slice(mark.length);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Where dashes and commas are, the nodes themselves do not say.
    keepSourceTokens: true,
    // As kubectl's parser: YAML 1.1, in which `yes` is a boolean and `<<` merges; dates stay text.
    version: '1.1',
    customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:timestamp'),
    logLevel: 'error',
  });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${line}:${col}`;
  };
  const fault = (place: string, what: string) => invalid(source, place, what);

  const errors = document.errors.filter((error) => error.code !== 'MULTIPLE_DOCS');
  const [first] = errors;
  if (first !== undefined) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    throw fault(at(first.pos[0]), `this is not valid YAML: ${clean(first.message.replace(/\.$/, ''))}${more}`);
  }
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    throw fault('1:1', `its aliases cannot be resolved: ${clean(error instanceof Error ? error.message : error)}`);
  }
  if (containsItself(value)) throw fault('1:1', 'one of its anchors contains itself');
  value ??= {};
  if (!isObject(value)) throw fault(at(document.contents?.range?.[0] ?? 0), 'this is not a kubeconfig: it has no keys');

  const place = (...path: readonly (string | number)[]) => at(nodeAt(document.contents, path)?.range?.[0] ?? 0);
  checkShape(value, (what, ...path) => fault(place(...path), what));
  return { mark, text, document, value, severalDocuments: errors.length < document.errors.length, place };
}

export function invalid(source: string, place: string, what: string): KleisError {
  return new KleisError('kubeconfig_invalid', `${clean(source, 400)}:${place}: ${what}.`);
}

/** Empty for what is not text. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function checkShape(value: Mapping, fault: (what: string, ...path: (string | number)[]) => KleisError): void {
  // Without them, kubectl takes it for what it expects.
  if (value['kind'] !== undefined && value['kind'] !== 'Config') {
    throw fault(`this is not a kubeconfig: its kind is ${clean(value['kind'], 60)}, not Config`, 'kind');
  }
  if (value['apiVersion'] !== undefined && value['apiVersion'] !== 'v1') {
    throw fault(`its apiVersion is ${clean(value['apiVersion'], 60)}, not v1`, 'apiVersion');
  }
  const current = value['current-context'] ?? '';
  if (typeof current !== 'string') throw fault('current-context must be text; quote it', 'current-context');
  for (const section of sections) {
    const list = value[section] ?? [];
    if (!Array.isArray(list)) throw fault(`${section} must be a list`, section);
    const names = new Set<string>();
    for (const [index, item] of list.entries()) {
      const entry: unknown = item ?? {};
      if (!isObject(entry))
        throw fault(`each of ${section} must have a name and a ${bodyKey(section)}`, section, index);
      const name = entry['name'] ?? '';
      if (typeof name !== 'string') throw fault('a name must be text; quote it', section, index, 'name');
      if (names.has(name)) throw fault(`there are two ${section} named "${clean(name)}"`, section, index, 'name');
      names.add(name);
      const body = entry[bodyKey(section)] ?? {};
      if (!isObject(body)) throw fault(`${bodyKey(section)} must have keys`, section, index, bodyKey(section));
    }
  }
}

function nodeAt(root: Node | null, path: readonly (string | number)[]): Node | undefined {
  let node: Node | undefined = root ?? undefined;
  for (const key of path) {
    const next: unknown = isMap(node) || isSeq(node) ? node.get(key, true) : undefined;
    if (!isNode(next)) return node;
    node = next;
  }
  return node;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'range' in value;
}

function containsItself(value: unknown, around: readonly unknown[] = []): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (around.includes(value) || around.length > 100) return true;
  const inside = [...around, value];
  return Object.values(value).some((each) => containsItself(each, inside));
}

import type { Steps } from '../../shared/steps.ts';
import type { Path } from '../policy/parse-where.ts';

/** A part of a document. */
export interface TreeNode {
  /** Where a fault about it is shown: how many characters (UTF-16) are before that. */
  readonly at: number;
  readonly content: Content;
}

export type Content = string | number | boolean | null | readonly TreeNode[] | Entries;

export type Entries = ReadonlyMap<string, Entry>;

export interface Entry {
  /** Where the name begins. */
  readonly key: number;
  /** `at` is where the name begins, too, unless a scalar is written out behind it. */
  readonly node: TreeNode;
}

/** One document of a file: plain data, with places. */
export interface SourceDocument {
  readonly file: string;
  readonly lines: Lines;
  readonly root: TreeNode;
}

/** From 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Lines {
  place(offset: number): Place;
}

/** Takes what is wrong, and how many characters are before it. */
export type Report = (at: number, message: string) => void;

/** Of a text; nothing is counted before somebody asks. */
export function createLines(text: string): Lines {
  let starts: number[] | undefined;
  return {
    place(offset) {
      starts ??= startsOf(text);
      let [low, high] = [0, starts.length];
      while (low + 1 < high) {
        const middle = (low + high) >> 1;
        if (starts[middle]! <= offset) low = middle;
        else high = middle;
      }
      return { line: low + 1, column: offset - starts[low]! + 1 };
    },
  };
}

function startsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

export function isEntries(content: Content): content is Entries {
  return content instanceof Map;
}

function isList(content: Content): content is readonly TreeNode[] {
  return Array.isArray(content);
}

/** The data alone. No name in it is one of `unusableNames`. */
export function dataOf({ content }: TreeNode): unknown {
  if (isList(content)) return content.map(dataOf);
  if (!isEntries(content)) return content;
  const data: Record<string, unknown> = {};
  for (const [name, { node }] of content) data[name] = dataOf(node);
  return data;
}

/** The same, an entry of a section at a time; two levels are. */
export function* dataInSteps({ content }: TreeNode, levels = 2): Steps<unknown> {
  if (levels === 0 || !isEntries(content)) return dataOf({ at: 0, content });
  const data: Record<string, unknown> = {};
  for (const [name, { node }] of content) {
    data[name] = yield* dataInSteps(node, levels - 1);
    yield;
  }
  return data;
}

/** The place nearest to a path: the scalar there or, for all else and for what is missing, the key it belongs to. */
export function placeAt({ root, lines }: SourceDocument, path: Path): Place {
  let node = root;
  for (const key of path) {
    const next = step(node, key);
    if (next === undefined) break;
    node = next;
  }
  return lines.place(node.at);
}

/** The key itself, for faults about a name. */
export function placeOfKey(source: SourceDocument, path: Path): Place {
  let parent: TreeNode | undefined = source.root;
  for (const key of path.slice(0, -1)) parent = parent && step(parent, key);
  const entry = parent && isEntries(parent.content) ? parent.content.get(String(path.at(-1))) : undefined;
  return entry === undefined ? placeAt(source, path) : source.lines.place(entry.key);
}

function step({ content }: TreeNode, key: string | number): TreeNode | undefined {
  if (isEntries(content)) return content.get(String(key))?.node;
  return isList(content) ? content[Number(key)] : undefined;
}

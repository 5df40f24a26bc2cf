import { isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';

// Where the nodes of a kubeconfig stand in its text.

export type Value = Node | null;
export type Entry = Pair<Node, Value>;

/** In the text: what stands from `start` to `end` becomes `text`. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Undefined for `<<`. */
export function keyOf(pair: Entry): string | undefined {
  const value: unknown = isScalar(pair.key) ? pair.key.value : undefined;
  return value === '<<' || typeof value !== 'string' ? undefined : value;
}

export function start(node: Node): number {
  return node.range?.[0] ?? 0;
}

export function end(node: Node): number {
  return node.range?.[1] ?? 0;
}

export function width(node: Node): number {
  return end(node) - start(node);
}

export function isBlockScalar(node: Node): boolean {
  return isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED');
}

export function isInline(node: Node): boolean {
  return !isBlockScalar(node) && !((isMap(node) || isSeq(node)) && node.flow !== true);
}

/** The last thing that is written of a node; the range of a block collection itself reaches over what follows it. */
export function lastLeaf(node: Node): Node {
  if (isMap<Node, Value>(node) && node.flow !== true) {
    const pair = node.items.at(-1);
    return pair === undefined ? node : lastLeaf(pair.value ?? pair.key);
  }
  if (isSeq<Node>(node) && node.flow !== true) {
    const item = node.items.at(-1);
    return item === undefined ? node : lastLeaf(item);
  }
  return node;
}

export function lastOffset(node: Node): number {
  return end(lastLeaf(node));
}

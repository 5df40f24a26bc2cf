import { type CST, isPair, type Node, type YAMLMap, type YAMLSeq } from 'yaml';
import { end, type Entry, type Splice, start, type Value } from './nodes.ts';

type Part = Node | Entry;

/** Where the dash of an item stands, which is no part of the item's own range. */
export function dashOf(list: YAMLSeq<Node>, item: Node): number | undefined {
  const token = list.srcToken;
  if (token?.type !== 'block-seq') return undefined;
  const dashes = token.items.flatMap(({ start: before }) => before.filter(({ type }) => type === 'seq-item-ind'));
  return dashes.length === list.items.length ? dashes[list.items.indexOf(item)]?.offset : undefined;
}

/**
 * Takes parts, but not all of them, out of a collection in flow style: each with the comma that divides it from what
 * stays, and the white space that would be left. Comments beside it stay.
 */
export function removeFromFlow(
  text: string,
  collection: YAMLMap<Node, Value> | YAMLSeq<Node>,
  gone: readonly Part[],
): Splice[] {
  if (gone.length === 0) return [];
  const parts: readonly Part[] = collection.items;
  const tokens = tokensOf(collection);
  // Then the result is parsed again, and found to be another.
  if (tokens.length !== parts.length) return [];
  let leading = true;
  return parts.flatMap((part, index) => {
    if (!gone.includes(part)) {
      leading = false;
      return [];
    }
    const [from, to] = [startOf(tokens[index], part), endOf(part)];
    if (leading) {
      const comma = commaOf(tokens[index + 1]);
      const blank = /^[ \t]*(?:\r?\n[ \t]*)?/.exec(text.slice(comma === undefined ? to : comma + 1))?.[0] ?? '';
      if (comma === undefined) return [{ start: from, end: to, text: '' }];
      return [
        { start: from, end: to, text: '' },
        { start: comma, end: comma + 1 + blank.length, text: '' },
      ];
    }
    const comma = commaOf(tokens[index]) ?? from;
    const between = text.slice(comma + 1, from);
    // A comment keeps the end of its line.
    const before = between.includes('#') ? from : from - (between.length - between.trimEnd().length);
    return [
      { start: comma, end: comma + 1, text: '' },
      { start: before, end: to, text: '' },
    ];
  });
}

/** Those that are a part; what stands behind the last comma is none. */
function tokensOf({ srcToken }: YAMLMap<Node, Value> | YAMLSeq<Node>): readonly CST.CollectionItem[] {
  if (srcToken?.type !== 'flow-collection') return [];
  return srcToken.items.filter(
    ({ start: before, key, sep, value }) =>
      (key ?? sep ?? value) !== undefined || before.some(({ type }) => type === 'anchor' || type === 'tag'),
  );
}

function commaOf(item: CST.CollectionItem | undefined): number | undefined {
  return item?.start.find(({ type }) => type === 'comma')?.offset;
}

/** With what belongs to it: an anchor, a tag. */
function startOf(item: CST.CollectionItem | undefined, part: Part): number {
  const own = item?.start.find(({ type }) => !['comma', 'space', 'newline', 'comment'].includes(type));
  return own?.offset ?? start(isPair(part) ? part.key : part);
}

function endOf(part: Part): number {
  return end(isPair(part) ? (part.value ?? part.key) : part);
}

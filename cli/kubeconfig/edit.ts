import { isObject } from '../../shared/json.ts';
import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isScalar, isSeq, type Node, type YAMLMap, type YAMLSeq } from 'yaml';
import type { KleisError } from '../../shared/errors.ts';
import { alignLists, type Alignment } from './align.ts';
import { invalid, type KubeconfigDocument, type Mapping, parseKubeconfig } from './document.ts';
import {
  end,
  type Entry,
  isBlockScalar,
  isInline,
  keyOf,
  lastLeaf,
  lastOffset,
  type Splice,
  start,
  type Value,
  width,
} from './nodes.ts';
import { type BlockStyle, indent, printBlock, printFlow, printPair, printScalar } from './print.ts';
import { dashOf, removeFromFlow } from './remove-from.ts';

/**
 * The text changed so that it means `want`, by replacing what differs and nothing else: printing the document anew would
 * re-indent and fold what others wrote. The result is parsed again and compared before it is given back.
 *
 * @param source the file, for messages
 * @throws KleisError `kubeconfig_invalid` where that is not possible: several documents, or what differs is an alias,
 *   has an anchor or a tag, or is written in a way that this does not know
 */
export function editKubeconfig(file: KubeconfigDocument, want: Mapping, source: string): string {
  if (isDeepStrictEqual(file.value, want)) return file.mark + file.text;
  if (file.severalDocuments) {
    throw invalid(
      source,
      '1:1',
      'it holds several YAML documents, of which kubectl reads only the first; nothing was changed',
    );
  }
  const editor = new Editor(file, source);
  const edited = editor.edit(want);
  let result: KubeconfigDocument | undefined;
  try {
    result = parseKubeconfig(edited, source);
  } catch {
    // Whatever is wrong with it, it is not what the person wrote.
  }
  if (result === undefined || result.severalDocuments || !isDeepStrictEqual(result.value, want)) {
    throw editor.cannot(0, 'it is written in a way that Kleis cannot edit safely');
  }
  return file.mark + edited;
}

class Editor {
  readonly #file: KubeconfigDocument;
  readonly #source: string;
  readonly #text: string;
  readonly #eol: string;
  readonly #style: BlockStyle;
  readonly #splices: Splice[] = [];

  constructor(file: KubeconfigDocument, source: string) {
    this.#file = file;
    this.#source = source;
    this.#text = file.text;
    this.#eol = file.text.includes('\r\n') ? '\r\n' : '\n';
    this.#style = { listIndent: this.#listIndent() };
  }

  edit(want: Mapping): string {
    const root: Value = this.#file.document.contents;
    if (root === null || (isScalar(root) && width(root) === 0)) return this.#append(want);
    if (isMap(root) && root.flow === true && root.items.length === 0) {
      this.#replaceText(root, printBlock(want, this.#style).join(this.#eol));
    } else {
      this.#reconcile(root, this.#file.value, want, () => {
        throw this.cannot(start(root), 'it is written in a way that Kleis cannot edit safely');
      });
    }
    let text = '';
    let at = 0;
    const splices = this.#splices.map((splice) => this.#beforeRemoved(splice));
    for (const splice of splices.toSorted((one, other) => one.start - other.start || one.end - other.end)) {
      text += this.#text.slice(at, splice.start) + splice.text;
      at = Math.max(at, splice.end);
    }
    return text + this.#text.slice(at);
  }

  /** New lines behind one that goes stand behind the last one that stays. */
  #beforeRemoved(splice: Splice): Splice {
    const { start: at, end: until, text } = splice;
    if (at !== until || !text.startsWith(this.#eol)) return splice;
    const removed = this.#splices.find((each) => {
      const ofLines = each.text === '' && each.start < each.end && this.#text[each.start - 1] === '\n';
      return ofLines && each.start <= at && (at < each.end || each.end === this.#text.length);
    });
    if (removed === undefined) return splice;
    const before = removed.start - (this.#text[removed.start - 2] === '\r' ? 2 : 1);
    return this.#beforeRemoved({ start: before, end: before, text });
  }

  cannot(offset: number, why: string): KleisError {
    const before = this.#text.slice(0, offset).split('\n');
    const place = `${before.length}:${(before.at(-1) ?? '').length + 1}`;
    return invalid(this.#source, place, `${why}; nothing was changed`);
  }

  /** A file of nothing but comments. */
  #append(want: Mapping): string {
    const gap = this.#text === '' || this.#text.endsWith('\n') ? '' : this.#eol;
    return this.#text + gap + printBlock(want, this.#style).join(this.#eol) + this.#eol;
  }

  /** `replace` writes the node anew in its place; only what is around it knows how. */
  #reconcile(node: Value, have: unknown, want: unknown, replace: () => void): void {
    if (isDeepStrictEqual(have, want)) return;
    if (isAlias(node)) throw this.cannot(start(node), 'what is to be changed is a YAML alias');
    if (isMap<Node, Value>(node) && isObject(have) && isObject(want) && node.items.length > 0) {
      return this.#reconcileMap(node, have, want, replace);
    }
    if (isSeq<Node>(node) && Array.isArray(have) && Array.isArray(want)) {
      const alignment = alignLists(have, want);
      if (alignment !== undefined) return this.#reconcileList(node, have, want, alignment);
    }
    if (node !== null && (isScalar(node) || isMap(node) || isSeq(node)) && (node.anchor ?? node.tag) !== undefined) {
      const explicit = node.anchor !== undefined ? 'an anchor' : 'a tag';
      throw this.cannot(start(node), `what is to be changed has ${explicit} (YAML's & and !)`);
    }
    replace();
  }

  #reconcileMap(map: YAMLMap<Node, Value>, have: Mapping, want: Mapping, replace: () => void): void {
    const own = new Map<string, Entry>();
    for (const pair of map.items) {
      const key = keyOf(pair);
      if (key !== undefined) own.set(key, pair);
    }
    const gone = [...own].filter(([key]) => !Object.hasOwn(want, key)).map(([, pair]) => pair);
    const kept = map.items.filter((pair) => !gone.includes(pair));
    const lastKept = kept.at(-1);
    const [firstGone] = gone;
    if (lastKept === undefined) return replace();
    if (firstGone !== undefined && map.flow !== true && gone.some((pair) => !this.#startsLine(pair))) return replace();

    if (map.flow === true) this.#splices.push(...removeFromFlow(this.#text, map, gone));
    else for (const pair of gone) this.#removeLines(start(pair.key), pair.value ?? pair.key);
    for (const [key, pair] of own) {
      if (!Object.hasOwn(want, key)) continue;
      this.#reconcile(pair.value, have[key], want[key], () => {
        if (map.flow === true) this.#replaceInFlow(map, pair, want[key], replace);
        else this.#replaceInBlock(pair, want[key]);
      });
    }
    const added = Object.keys(want).filter((key) => !own.has(key) && !isDeepStrictEqual(have[key], want[key]));
    if (added.length === 0) return;
    if (map.flow === true) {
      const print = (unit?: string) => added.map((key) => `${printFlow(key)}: ${printFlow(want[key], unit)}`);
      this.#addToFlow(lastKept.value ?? lastKept.key, start(lastKept.key), print);
    } else {
      const lines = added.flatMap((key) => printPair(key, want[key], this.#style));
      this.#addLines(lastKept.value ?? lastKept.key, indent(lines, ' '.repeat(this.#column(start(lastKept.key)))));
    }
  }

  /** What stays, stays in its order; new items come after it. */
  #reconcileList(
    list: YAMLSeq<Node>,
    have: readonly unknown[],
    want: readonly unknown[],
    { places, added }: Alignment,
  ): void {
    const gone = list.items.filter((_, index) => places[index] === undefined);
    const kept = list.items.filter((item) => !gone.includes(item));
    if (list.flow === true) this.#splices.push(...removeFromFlow(this.#text, list, gone));
    else for (const item of gone) this.#removeItem(list, item);
    for (const [index, item] of list.items.entries()) {
      const place = places[index];
      if (place === undefined) continue;
      this.#reconcile(item, have[index], want[place], () => {
        if (list.flow === true) this.#replaceText(item, this.#flowText(want[place], start(item)));
        else this.#replaceItem(list, item, want[place]);
      });
    }
    const last = kept.at(-1);
    if (last === undefined || added.length === 0) return;
    if (list.flow === true) {
      this.#addToFlow(last, start(last), (unit) => added.map((item) => printFlow(item, unit)));
    } else {
      this.#addLines(last, indent(printBlock(added, this.#style), ' '.repeat(this.#column(start(list)))));
    }
  }

  #replaceItem(list: YAMLSeq<Node>, item: Node, want: unknown): void {
    const dash = this.#dashOf(list, item);
    const lines = printBlock([want], this.#style).join(this.#eol + ' '.repeat(this.#column(dash)));
    this.#splices.push({ start: dash, end: this.#lineEnd(Math.max(dash, lastOffset(item)), item), text: lines });
  }

  /** With its dash, in block style. */
  #removeItem(list: YAMLSeq<Node>, item: Node): void {
    this.#removeLines(this.#dashOf(list, item), item);
  }

  #dashOf(list: YAMLSeq<Node>, item: Node): number {
    const dash = dashOf(list, item);
    if (dash !== undefined && this.#linePrefix(dash) !== undefined) return dash;
    throw this.cannot(start(item), 'this entry is written in a way that Kleis cannot edit safely');
  }

  #replaceInFlow(map: YAMLMap<Node, Value>, pair: Entry, want: unknown, replace: () => void): void {
    if (pair.value !== null && width(pair.value) > 0) this.#replaceText(pair.value, this.#flowText(want, start(map)));
    else replace();
  }

  #replaceInBlock(pair: Entry, want: unknown): void {
    const colon = this.#text.indexOf(':', end(pair.key));
    const { value } = pair;
    const inline = !isObject(want) && !Array.isArray(want);
    const empty = value === null || width(value) === 0;
    if (colon === -1 || this.#text.slice(end(pair.key), colon).trim() !== '' || !this.#startsItself(pair)) {
      throw this.cannot(start(pair.key), 'this key is written in a way that Kleis cannot edit safely');
    }
    if (isSeq<Node>(value) && value.flow !== true && Array.isArray(want) && want.length === 0) {
      // Item by item: comments stay.
      for (const item of value.items) this.#removeItem(value, item);
      this.#splices.push({ start: colon + 1, end: colon + 1, text: ' []' });
      return;
    }
    if (inline && !empty && isScalar(value) && !isBlockScalar(value)) {
      return this.#replaceText(value, printScalar(want));
    }
    // A line of its own ends a block; a comment behind an inline value may stay where it is.
    const until = empty ? colon + 1 : isInline(value) ? end(value) : this.#lineEnd(lastOffset(value), value);
    if (inline || Object.keys(want).length === 0) {
      this.#splices.push({ start: colon + 1, end: until, text: ` ${inline ? printScalar(want) : printFlow(want)}` });
      return;
    }
    const lines = indent(
      printBlock(want, this.#style),
      ' '.repeat(this.#column(start(pair.key)) + (Array.isArray(want) ? this.#style.listIndent : 2)),
    );
    this.#splices.push({ start: colon + 1, end: until, text: '' });
    const at = this.#lineEnd(until);
    this.#splices.push({ start: at, end: at, text: this.#eol + lines.join(this.#eol) });
  }

  #replaceText(node: Node, text: string): void {
    this.#splices.push({ start: start(node), end: end(node), text });
  }

  /** Whole lines below the line on which `after` ends. */
  #addLines(after: Node, lines: readonly string[]): void {
    const offset = lastOffset(after);
    const text = lines.join(this.#eol);
    if (isBlockScalar(lastLeaf(after)) && this.#text[offset - 1] === '\n') {
      this.#splices.push({ start: offset, end: offset, text: text + this.#eol });
    } else {
      const at = this.#lineEnd(offset);
      this.#splices.push({ start: at, end: at, text: this.#eol + text });
    }
  }

  /** Each on a line of its own if what they follow is on one. */
  #addToFlow(after: Node, afterStart: number, print: (unit?: string) => readonly string[]): void {
    const prefix = this.#linePrefix(afterStart);
    const text =
      prefix === undefined
        ? print().map((item) => `, ${item}`)
        : print(this.#unit()).map((item) => `,${this.#eol}${prefix}${item.replaceAll('\n', this.#eol + prefix)}`);
    this.#splices.push({ start: end(after), end: end(after), text: text.join('') });
  }

  /** For the place of something in a flow collection: on several lines if its document is. */
  #flowText(value: unknown, offset: number): string {
    const root = this.#file.document.contents;
    const spread = isMap(root) && root.flow === true && this.#text.slice(start(root), end(root)).includes('\n');
    if (!spread) return printFlow(value);
    const lineStart = this.#text.lastIndexOf('\n', offset - 1) + 1;
    const prefix = /^[ \t]*/.exec(this.#text.slice(lineStart, offset))?.[0] ?? '';
    return printFlow(value, this.#unit()).replaceAll('\n', this.#eol + prefix);
  }

  /** From the line that `first` is on to the one that `last` ends on. */
  #removeLines(first: number, last: Node): void {
    const from = this.#text.lastIndexOf('\n', first - 1) + 1;
    const to = this.#lineEnd(Math.max(first, lastOffset(last)), last);
    const newline = this.#text.indexOf('\n', to);
    this.#splices.push({ start: from, end: newline === -1 ? this.#text.length : newline + 1, text: '' });
  }

  /** Before the line break; with a node, the end of its last line. */
  #lineEnd(offset: number, node: Value = null): number {
    // The range of a block scalar ends behind its last line break.
    const back = node !== null && isBlockScalar(lastLeaf(node)) && this.#text[offset - 1] === '\n' ? 1 : 0;
    const newline = this.#text.indexOf('\n', offset - back);
    if (newline === -1) return this.#text.length;
    return this.#text[newline - 1] === '\r' ? newline - 1 : newline;
  }

  #column(offset: number): number {
    return offset - (this.#text.lastIndexOf('\n', offset - 1) + 1);
  }

  /** The white space before the offset, if there is nothing else on its line. */
  #linePrefix(offset: number): string | undefined {
    const before = this.#text.slice(this.#text.lastIndexOf('\n', offset - 1) + 1, offset);
    return offset > before.length && before.trim() === '' ? before : undefined;
  }

  #startsLine(pair: Entry): boolean {
    return this.#text.slice(this.#text.lastIndexOf('\n', start(pair.key) - 1) + 1, start(pair.key)).trim() === '';
  }

  /** Not a key behind `?`, an anchor or a tag. */
  #startsItself(pair: Entry): boolean {
    const before = this.#text.slice(this.#text.lastIndexOf('\n', start(pair.key) - 1) + 1, start(pair.key));
    return /^[\s-]*$/.test(before);
  }

  /** What one level of a flow document is indented by. */
  #unit(): string {
    const root = this.#file.document.contents;
    const first = isMap<Node, Value>(root) ? root.items[0] : undefined;
    const prefix =
      first === undefined || !isMap(root) || root.flow !== true ? undefined : this.#linePrefix(start(first.key));
    return prefix === undefined || prefix === '' ? '  ' : prefix;
  }

  #listIndent(): number {
    const root = this.#file.document.contents;
    if (!isMap<Node, Value>(root)) return 0;
    for (const pair of root.items) {
      if (isSeq(pair.value) && pair.value.flow !== true && pair.value.items.length > 0) {
        return Math.max(0, this.#column(start(pair.value)) - this.#column(start(pair.key)));
      }
    }
    return 0;
  }
}

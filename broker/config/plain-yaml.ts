import { finish, type Steps } from '../../shared/steps.ts';
import { unusableNames } from '../policy/parse-where.ts';
import type { Content, Entry, TreeNode } from './tree.ts';

/** Something that only the whole language knows, or no YAML at all. */
class NotPlain extends Error {}

// No tabs, no line ends but this one, nothing that is a blank to somebody.
const usual = /^[\n\x20-\x7e\u00a1-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\ud7ff]*$/;
const key = /([A-Za-z0-9_][A-Za-z0-9_./-]{0,199}|"[^"\\\n]{1,200}"|'[^'\n]{1,200}'):(?: +|(?=\n|$))/y;
const doubleQuoted = /"((?:[^"\\\n]|\\["\\])*)"/y;
const singleQuoted = /'((?:[^'\n]|'')*)'/y;
// Neither ": " nor " #" is in it.
const plainInBlock = /[A-Za-z0-9_./(](?:[^\n:#]|:(?=[^ \n])|(?<! )#)*/y;
const plainInFlow = /[A-Za-z0-9_./](?:[A-Za-z0-9_./@^$+=*&%;()! -]|:(?=[A-Za-z0-9/]))*/y;
const restOfLine = / *(?:(?<= )#[^\n]*)?(?:\n|$)/y;
const notContent = / *(?:#[^\n]*)?\n/y;
const mark = /---(?=\n|$)/y;
const maxDepth = 30;
/** Levels of a document that are read an entry at a time: its sections, and their entries. */
const steppedLevels = 2;

/**
 * The documents of a text in the YAML that configurations are written in: names, lists and texts by indentation, each
 * in one line, flow collections within a line, comments. Undefined for all else, which `yaml.ts` has to read or to
 * refuse: what is read here means the same there, to the character; `plain-yaml.test.ts` compares them. Ten times as
 * fast.
 */
export function readPlainYaml(text: string): readonly TreeNode[] | undefined {
  return finish(readPlainYamlInSteps(text));
}

/** The same, an entry of a section at a time. */
export function* readPlainYamlInSteps(text: string): Steps<readonly TreeNode[] | undefined> {
  if (!usual.test(text)) return undefined;
  try {
    return yield* new Reader(text).documents();
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  /** Of the line with content that begins at `#at`; -1 where the document ends. */
  #indent = -1;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  *documents(): Steps<TreeNode[]> {
    const found: TreeNode[] = [];
    this.#toContent();
    for (;;) {
      if (this.#indent >= 0) {
        const at = this.#at;
        const content = this.#isItem()
          ? this.#list(this.#indent)
          : yield* this.#steppedMapping(this.#indent, steppedLevels);
        found.push({ at, content });
        // Indented less than the first line: no mark either, whatever it looks like.
        if (this.#indent >= 0) throw new NotPlain();
      }
      if (this.#at === this.#text.length) return found;
      if (this.#match(mark) === undefined) throw new NotPlain();
      this.#endLine();
    }
  }

  #block(): Content {
    return this.#isItem() ? this.#list(this.#indent) : this.#mapping(this.#indent);
  }

  *#steppedMapping(indent: number, levels: number): Steps<Content> {
    this.#enter();
    const entries = new Map<string, Entry>();
    while (this.#indent === indent) {
      const at = this.#at;
      const name = this.#key();
      const node = levels > 1 ? yield* this.#steppedValue(indent, at, levels - 1) : this.#value(indent, at);
      this.#add(entries, name, { key: at, node });
      yield;
    }
    this.#leave(indent);
    return entries;
  }

  *#steppedValue(above: number, name: number, levels: number): Steps<TreeNode> {
    const at = this.#at;
    if (!this.#skip(restOfLine)) return this.#lineValue(at, name);
    this.#toContent();
    if (this.#indent > above && !this.#isItem())
      return { at: name, content: yield* this.#steppedMapping(this.#indent, levels) };
    return this.#blockValue(above, name);
  }

  #mapping(indent: number): Content {
    this.#enter();
    const entries = new Map<string, Entry>();
    while (this.#indent === indent) {
      const at = this.#at;
      const name = this.#key();
      const node = this.#value(indent, at);
      this.#add(entries, name, { key: at, node });
    }
    this.#leave(indent);
    return entries;
  }

  /** `above`: how far its name is indented. */
  #value(above: number, name: number): TreeNode {
    const at = this.#at;
    if (!this.#skip(restOfLine)) return this.#lineValue(at, name);
    this.#toContent();
    return this.#blockValue(above, name);
  }

  #blockValue(above: number, name: number): TreeNode {
    if (this.#indent > above) return { at: name, content: this.#block() };
    const list = this.#indent === above && this.#isItem();
    return { at: name, content: list ? this.#list(above) : null };
  }

  #lineValue(at: number, name: number): TreeNode {
    const content = this.#inline(plainInBlock);
    this.#endLine();
    return { at: isCollection(content) ? name : at, content };
  }

  #list(indent: number): Content {
    this.#enter();
    const items: TreeNode[] = [];
    while (this.#indent === indent && this.#isItem()) {
      const dash = this.#at;
      this.#at += 1;
      this.#blanks();
      const at = this.#at;
      key.lastIndex = at;
      if (key.test(this.#text)) {
        this.#indent += at - dash;
        items.push({ at, content: this.#mapping(this.#indent) });
      } else {
        items.push({ at, content: this.#inline(plainInBlock) });
        this.#endLine();
      }
    }
    this.#leave(indent);
    return items;
  }

  #inline(plain: RegExp): Content {
    switch (this.#text.charAt(this.#at)) {
      case '"':
        return this.#take(doubleQuoted, 1).replaceAll(/\\(.)/g, '$1');
      case "'":
        return this.#take(singleQuoted, 1).replaceAll("''", "'");
      case '[':
        return this.#flowList();
      case '{':
        return this.#flowMapping();
      default:
        return scalar(withoutBlanks(this.#take(plain)));
    }
  }

  #flowList(): Content {
    const items: TreeNode[] = [];
    this.#flow(']', () => {
      const at = this.#at;
      items.push({ at, content: this.#inline(plainInFlow) });
    });
    return items;
  }

  #flowMapping(): Content {
    const entries = new Map<string, Entry>();
    this.#flow('}', () => {
      const name = this.#at;
      const text = this.#key();
      const at = this.#at;
      const content = this.#inline(plainInFlow);
      this.#add(entries, text, { key: name, node: { at: isCollection(content) ? name : at, content } });
    });
    return entries;
  }

  #flow(end: string, item: () => void): void {
    this.#enter();
    this.#at += 1;
    this.#blanks();
    while (this.#text[this.#at] !== end) {
      item();
      this.#blanks();
      if (this.#text[this.#at] !== ',') break;
      this.#at += 1;
      this.#blanks();
      // A comma at the end is none of the usual.
      if (this.#text[this.#at] === end) throw new NotPlain();
    }
    if (this.#text[this.#at] !== end) throw new NotPlain();
    this.#at += 1;
    this.#depth -= 1;
  }

  #key(): string {
    const written = this.#take(key, 1);
    const name = /^["']/.test(written) ? written.slice(1, -1) : scalar(written);
    // The whole reader says what is wrong with it.
    if (typeof name !== 'string' || name === '<<' || unusableNames.has(name)) throw new NotPlain();
    return name;
  }

  #add(entries: Map<string, Entry>, name: string, entry: Entry): void {
    if (entries.has(name)) throw new NotPlain();
    entries.set(name, entry);
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw new NotPlain();
  }

  /** What is indented further than a collection belongs to something that goes over several lines. */
  #leave(indent: number): void {
    if (this.#indent > indent) throw new NotPlain();
    this.#depth -= 1;
  }

  #isItem(): boolean {
    return this.#text[this.#at] === '-' && this.#text[this.#at + 1] === ' ';
  }

  #blanks(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }

  #endLine(): void {
    if (!this.#skip(restOfLine)) throw new NotPlain();
    this.#toContent();
  }

  /** From the beginning of a line to where the next content is. */
  #toContent(): void {
    // One line at a time: V8 keeps a place to go back to for each turn of a pattern, and has room for so many.
    while (this.#skip(notContent));
    const from = this.#at;
    this.#blanks();
    // The last line may be one without an end.
    if (this.#text[this.#at] === '#') this.#at = this.#text.length;
    mark.lastIndex = from;
    this.#indent = this.#at === this.#text.length || mark.test(this.#text) ? -1 : this.#at - from;
  }

  #skip(pattern: RegExp): boolean {
    return this.#match(pattern) !== undefined;
  }

  #take(pattern: RegExp, group = 0): string {
    const found = this.#match(pattern)?.[group];
    if (found === undefined) throw new NotPlain();
    return found;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }
}

/** By hand: for a pattern, as many blanks in the middle of a text are that number squared. */
function withoutBlanks(text: string): string {
  let end = text.length;
  while (text[end - 1] === ' ') end -= 1;
  return text.slice(0, end);
}

function isCollection(content: Content): boolean {
  return typeof content === 'object' && content !== null;
}

// YAML 1.2 section 10.3.2, without a sign.
const number =
  /^(?:0o[0-7]+|0x[0-9a-fA-F]+|\.(?:inf|Inf|INF|nan|NaN|NAN)|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$/;

function scalar(text: string): string | number | boolean | null {
  if (/^(?:null|Null|NULL)$/.test(text)) return null;
  if (/^(?:true|True|TRUE)$/.test(text)) return true;
  if (/^(?:false|False|FALSE)$/.test(text)) return false;
  if (!number.test(text)) return text;
  if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new NotPlain();
}

import { forEachChild, parse, type ParsedScript, type SyntaxNode } from 'unbash';
import { parseAllDocuments } from 'yaml';
import { isObject } from '../../shared/json.ts';
import { type Example, examples, type Page, pages } from './examples.ts';

/** A call of a program of Kleis that a page shows. */
export interface CommandLine {
  readonly page: string;
  readonly line: number;
  readonly program: 'kleis' | 'kleis-broker';
  /** After the name of the program. */
  readonly words: readonly string[];
  /** In a sentence, where what is not the point may be left out. */
  readonly inline: boolean;
}

/** Made from the help of the commands, which has lines and sentences in one block. */
const help = 'docs/commands.md';

type Found = Pick<CommandLine, 'program' | 'words'>;

/** Every call in blocks to copy, whatever file it stands in, and between backticks. */
export function commandLines(): CommandLine[] {
  const inBlocks = examples().flatMap((example) =>
    callsIn(example).map((found) => ({
      page: example.page,
      line: example.line,
      inline: example.page === help,
      ...found,
    })),
  );
  return [...inBlocks, ...pages().flatMap((page) => [...indented(page), ...inline(page)])];
}

function callsIn({ page, language, text: shown }: Example): Found[] {
  // The help says beside a line what it is for.
  const text = page === help ? shown.replaceAll(/(?<=\S) {3,}.*$/gm, '') : shown;
  switch (language) {
    case '':
    case 'sh':
      return callsOfScript(text);
    case 'yaml':
      return parseAllDocuments(text).flatMap((document) => callsOfValue(document.toJS()));
    case 'json':
      return text.includes('kleis-') ? callsOfValue(JSON.parse(text)) : [];
    case 'groovy':
      return [...text.matchAll(/'''(.*?)'''/gs)].flatMap(([, script = '']) => callsOfScript(script));
    case 'hcl':
      return [...text.matchAll(/command\s*=\s*"(kleis[\w-]*)"\s*args\s*=\s*\[([^\]]*)\]/g)].flatMap(
        ([, program = '', list = '']) =>
          call([program, ...[...list.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word)]),
      );
    default:
      return [];
  }
}

/** Scripts in a value, lists of words, and a command beside its arguments. */
function callsOfValue(value: unknown): Found[] {
  if (typeof value === 'string') {
    if (!value.includes('kleis')) return [];
    // A configuration within a text of another, as Argo CD has it.
    if (value.startsWith('{\n')) return callsOfValue(JSON.parse(value));
    return callsOfScript(value.replaceAll('$$', '$'));
  }
  if (Array.isArray(value)) {
    const words: readonly unknown[] = value;
    if (words.every((word) => typeof word === 'string') && programs.has(words[0] ?? '')) return call(words);
    return words.flatMap(callsOfValue);
  }
  if (!isObject(value)) return [];
  const { command, args, ...rest } = value;
  if (typeof command === 'string' && programs.has(command) && Array.isArray(args)) {
    return [...call([command, ...args.map(String)]), ...Object.values(rest).flatMap(callsOfValue)];
  }
  return Object.values(value).flatMap(callsOfValue);
}

const programs = new Map<string, readonly ['kleis' | 'kleis-broker', ...string[]]>([
  ['kleis', ['kleis']],
  ['kleis-broker', ['kleis-broker']],
  ['kleis-credential', ['kleis', 'get-token']],
  ['kleis-get-token', ['kleis', 'get-token']],
]);

function call(words: readonly string[]): Found[] {
  const [first = '', second, ...rest] = words;
  if (first === 'kubectl' && second === 'kleis') return call(['kleis', ...rest]);
  const found = programs.get(first);
  if (found === undefined) return [];
  const [program, ...before] = found;
  return [{ program, words: [...before, ...words.slice(1)] }];
}

/** What a shell would run. A synopsis is a script too, once its brackets are off and of each choice one is left. */
function callsOfScript(script: string): Found[] {
  const found: Found[] = [];
  const visit = (node: SyntaxNode | ParsedScript) => {
    if (node.type === 'Command') {
      const words = [node.name, ...node.suffix].flatMap((word) => (word?.type === 'Word' ? [word.value] : []));
      found.push(...call(words.filter((word, index) => word !== '…' || words[index - 1]?.startsWith('--'))));
      // `trap 'kleis revoke' EXIT`, `sh -c '…'`
      for (const word of words.slice(1)) if (word.startsWith('kleis ')) found.push(...callsOfScript(word));
    }
    forEachChild(node, visit);
  };
  visit(parse(script.split('\n').map(withoutChoices).join('\n')));
  return found;
}

const withoutChoices = (line: string) =>
  /\[-|[A-Z\w]\|[-\w]/.test(line) ? line.replaceAll(/\|[\w-]+/g, '').replaceAll(/[[\]]/g, '') : line;

/** Blocks that are indented by four blanks. */
function indented({ page, text }: Page): CommandLine[] {
  const outside = text.replaceAll(/^```.*?^```$/gms, (block) => block.replaceAll(/[^\n]/g, ''));
  return [...outside.matchAll(/(?<=\n\n)(?: {4}.*\n)+/g)].flatMap((match) =>
    callsOfScript(match[0].replaceAll(/^ {4}/gm, '')).map((each) => ({
      page,
      line: lineAt(text, match.index),
      inline: false,
      ...each,
    })),
  );
}

/** Between backticks in a sentence, but for a name alone. */
function inline({ page, text }: Page): CommandLine[] {
  const outside = text.replaceAll(/^```.*?^```$/gms, (block) => block.replaceAll(/[^\n]/g, ''));
  return [...outside.matchAll(/(?<!`)`((?:kleis|kleis-broker|kubectl kleis) [^`]+)`(?!`)/g)].flatMap((match) =>
    callsOfScript((match[1] ?? '').replaceAll(String.raw`\|`, '|')).map((each) => ({
      page,
      line: lineAt(text, match.index),
      inline: true,
      ...each,
    })),
  );
}

const lineAt = (text: string, index: number) => text.slice(0, index).split('\n').length;

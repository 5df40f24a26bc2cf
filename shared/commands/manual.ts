import { blocksOf, joined, listIn, isTitle, wrap } from './render.ts';
import type { HelpItem, HelpPage } from './page.ts';

/** What a page of the manual says beside the help of its command. */
export interface ManualPage {
  readonly page: HelpPage;
  readonly version: string;
  /** As man(7) wants it: `2026-11-26`. */
  readonly date: string;
  /** More of what some words of the help say, by those: Markdown of one line. */
  readonly references: ReadonlyMap<string, string>;
  /** In this order, after what the command does. */
  readonly sections: readonly { readonly title: string; readonly items: readonly HelpItem[] }[];
  /** Names of other pages. */
  readonly seeAlso: readonly string[];
}

/** `kleis kubeconfig add` is `kleis-kubeconfig-add(1)`, as git has it. */
export function manualName(path: string): string {
  return path.replaceAll(' ', '-');
}

/** Parts of the help that the manual has sections of its own for. */
const ownSections = new Set(['Exit codes:', 'Environment:']);

/** A page of the manual, in the macros of man(7). */
export function manual({ page, version, date, references, sections, seeAlso }: ManualPage): string {
  const name = manualName(page.name);
  const { text, examples } = divide(page.notes);
  const lines = [
    `.TH "${escape(name.toUpperCase())}" 1 "${date}" "Kleis ${escape(version)}" "Kleis Manual"`,
    '.SH NAME',
    `${escape(name)} \\- ${escape(page.description.replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `${bold(page.name)} ${page.usage.split(' ').map(usageWord).join(' ')}`.trim(),
    '.SH DESCRIPTION',
    ...fill(escape(sentence(page.description))),
    ...text,
    ...page.groups.flatMap(({ title, kind, items }) => [
      `.SS ${kind === 'commands' ? quoted(`Commands: ${title.replace(/:$/, '')}`) : quoted(title.replace(/:$/, ''))}`,
      ...items.flatMap((item) => tagged(item, kind, page.name, references)),
    ]),
    ...sections.flatMap(({ title, items }) => [
      `.SH ${quoted(title)}`,
      ...items.flatMap(({ term, text: said }) => ['.TP', bold(term), ...markdown(said)]),
    ]),
    ...(examples.length > 0 ? ['.SH EXAMPLES', ...examples] : []),
    ...(seeAlso.length > 0
      ? ['.SH "SEE ALSO"', seeAlso.map((other) => `\\fB${escape(other)}\\fR(1)`).join(',\n')]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

function tagged(
  { term, text }: HelpItem,
  kind: HelpPage['groups'][number]['kind'],
  parent: string,
  references: ReadonlyMap<string, string>,
): string[] {
  if (kind === 'commands') {
    const [word = '', ...args] = term.split(' ');
    const rest = args.map(usageWord).join(' ');
    const see = word === 'help' ? '' : `; see ${manualName(`${parent} ${word}`)}(1)`;
    return ['.TP', `${bold(word)} ${rest}`.trim(), ...markdown(`${text}${see}`)];
  }
  if (kind === 'arguments') return ['.TP', `\\fI${escape(term)}\\fR`, ...markdown(text)];
  const flags = term.split(' ').map((word) => (/^[<[]/.test(word) ? usageWord(word) : flagWord(word)));
  return ['.TP', flags.join(' '), ...markdown(references.get(text) ?? text)];
}

function flagWord(word: string): string {
  const [, flag = word, comma = ''] = /^(.*?)(,?)$/.exec(word) ?? [];
  return `${bold(flag)}${comma}`;
}

/** `<name>` and `[name...]`: what is to be put in its place in italics. */
function usageWord(word: string): string {
  const [, before = '', name = '', after = ''] = /^([[<]?)(.*?)([\]>]?)$/.exec(word) ?? [];
  const inner = `\\fI${escape(name)}\\fR`;
  return before === '[' ? `[${inner}]` : before === '<' || after === '>' ? inner : escape(word);
}

/** What is told, and the examples, which the manual has at its end. */
function divide(notes: string): { readonly text: string[]; readonly examples: string[] } {
  const text: string[][] = [];
  const examples: string[] = [];
  let isOwn = false;
  let title = '';
  for (const { kind, lines } of blocksOf(notes)) {
    if (kind === 'blank') continue;
    if (kind === 'text') {
      isOwn = ownSections.has(lines.join(' '));
      if (!isOwn) text.push(['.PP', ...fill(escape(lines.join(' ')))]);
    } else if (!isOwn) {
      const isExample = lines.some((line) => /^\s+(?:.* )?(?:kleis|kleis-[a-z-]+|kubectl) /.test(line));
      const items = listIn(lines);
      const part = items?.flatMap((item) => ['.TP', bold(item.term), ...markdown(item.text)]) ?? [
        ...(isExample && examples.length === 0 ? [] : ['.PP']),
        '.nf',
        ...joined(lines).map((line) => atStart(escape(line.trim()))),
        '.fi',
      ];
      if (!isExample) text.push(part);
      else {
        // What they are is said by the title of their section.
        if (isTitle(title)) text.pop();
        examples.push(...part);
      }
    }
    title = kind === 'text' ? lines.join(' ') : '';
  }
  return { text: text.flat(), examples };
}

/** Lines of a text that is filled: escaped already. */
function fill(text: string): string[] {
  return wrap(text, 78).map(atStart);
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;
}

function bold(text: string): string {
  return `\\fB${escape(text)}\\fR`;
}

function quoted(text: string): string {
  return `"${escape(text)}"`;
}

/** The Markdown of the reference: code and links. */
function markdown(text: string): string[] {
  const parts = text.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1').split('`');
  return fill(parts.map((part, index) => (index % 2 === 1 ? bold(part) : escape(part))).join(''));
}

/** A full stop or an apostrophe at its start would make a request of the line. */
function atStart(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

/** groff_char(7): what roff acts on, and what it would make look better than a shell takes it. */
const special: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '"': '\\(dq',
  '^': '\\(ha',
  '~': '\\(ti',
  '…': '\\&...',
};

function escape(text: string): string {
  return text.replace(/[\\\-'`"^~…]/g, (char) => special[char] ?? char).replace(/[\n\r]+/g, ' ');
}

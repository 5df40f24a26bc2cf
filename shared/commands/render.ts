import { styleText } from 'node:util';
import type { HelpItem, HelpPage } from './page.ts';

export interface Layout {
  /** Columns. */
  readonly width: number;
  readonly colour: boolean;
}

/** Of the terminal, as far as lines can be read; 80 where there is none. */
export function widthOf({ columns }: { readonly columns?: number }): number {
  return columns === undefined || columns === 0 ? 80 : Math.max(24, Math.min(columns, 120));
}

/** Narrower than that, what is said of a flag stands below it. */
const twoColumns = 60;

/** Help as it stands on a terminal: no line is wider, but where a single word is. */
export function render({ name, usage, description, groups, notes }: HelpPage, { width, colour }: Layout): string {
  const style = (format: 'bold' | 'cyan') => (text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  const title = (text: string) => wrap(text, width).map(style('bold'));
  const cyan = style('cyan');
  const [first = '', ...rest] = wrap(`Usage: ${name} ${usage}`.trim(), width, '       ');
  const lines = [
    `${style('bold')('Usage:')}${cyan(first.slice('Usage:'.length))}`,
    ...rest.map(cyan),
    '',
    ...wrap(description, width),
  ];
  const column = columnOf(
    groups.flatMap(({ items }) => items),
    width,
  );
  for (const group of groups) {
    lines.push('', ...title(group.title), ...group.items.flatMap((item) => define(item, column, width, cyan)));
  }
  if (notes === '') return `${lines.join('\n')}\n`;
  lines.push('');
  for (const { kind, lines: block } of blocksOf(notes)) {
    if (kind === 'blank') lines.push('');
    else if (kind === 'text') {
      const text = block.join(' ');
      lines.push(...(isTitle(text) ? title(text) : wrap(text, width)));
    } else {
      const items = listIn(block);
      if (items === undefined) lines.push(...joined(block).flatMap((line) => fitCommand(line, width)));
      else {
        const beside = columnOf(items, width);
        lines.push(...items.flatMap((item) => define(item, beside, width, (text) => text)));
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** How wide the terms are that what is said of them stands beside; those of longer ones stands below. */
function columnOf(items: readonly HelpItem[], width: number): number {
  const lengths = items.map(({ term }) => term.length).filter((length) => length <= width * 0.42);
  return Math.max(...lengths, 3);
}

function define({ term, text }: HelpItem, column: number, width: number, style: (text: string) => string): string[] {
  const indent = ' '.repeat(width < twoColumns ? 6 : column + 4);
  const said = wrap(text, width - indent.length);
  if (width < twoColumns || term.length > column) {
    return [...wrap(term, width - 2, '    ').map((line) => `  ${style(line)}`), ...said.map((line) => indent + line)];
  }
  const [beside = '', ...more] = said;
  const gap = ' '.repeat(column - term.length + 2);
  return [`  ${style(term)}${gap}${beside}`.trimEnd(), ...more.map((line) => indent + line)];
}

/** `Start here:` */
export function isTitle(text: string): boolean {
  return /^[A-Z][^.]{0,60}:$/.test(text);
}

/** Lines that belong together. */
export interface Block {
  readonly kind: 'text' | 'indented' | 'blank';
  readonly lines: readonly string[];
}

export function blocksOf(notes: string): Block[] {
  const blocks: { kind: Block['kind']; lines: string[] }[] = [];
  for (const line of notes.split('\n')) {
    const kind = line.trim() === '' ? 'blank' : /^\s/.test(line) ? 'indented' : 'text';
    const last = blocks.at(-1);
    if (last?.kind === kind) last.lines.push(line);
    else blocks.push({ kind, lines: [line] });
  }
  return blocks;
}

/** Commands over several lines as one each. */
export function joined(lines: readonly string[]): string[] {
  return lines.reduce<string[]>((before, line) => {
    const last = before.at(-1);
    if (last?.endsWith(' \\') !== true) return [...before, line];
    return [...before.slice(0, -1), `${last.slice(0, -2)} ${line.trim()}`];
  }, []);
}

/** Lines of two columns, at least two blanks apart; undefined for others. */
export function listIn(lines: readonly string[]): HelpItem[] | undefined {
  const items = lines.map((line) => /^\s+(\S.*?)\s{2,}(\S.*)$/.exec(line));
  if (items.includes(null)) return undefined;
  return items.map((item) => ({ term: item?.[1] ?? '', text: item?.[2] ?? '' }));
}

/** A command that is too long goes on in the next line, as a shell takes it; a flag stays with its value if both fit. */
function fitCommand(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  const room = width - indent.length - 2;
  const bound = line
    .trim()
    .replace(/(--[\w-]+) ([^\s-]\S*)/g, (pair, flag, value) => (pair.length + 4 > room ? pair : `${flag}\0${value}`));
  const parts = wrap(bound, room, '    ');
  return parts.map((part, index) => `${indent}${part.replaceAll('\0', ' ')}${index < parts.length - 1 ? ' \\' : ''}`);
}

/** At blanks; runs of them stay within a line. `hanging` stands before every line but the first. */
export function wrap(text: string, width: number, hanging = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const [, blank = '', word = ''] of text.matchAll(/(\s*)(\S+)/g)) {
    if (line === '') line = word;
    else if (line.length + blank.length + word.length <= width) line += blank + word;
    else {
      lines.push(line);
      line = hanging + word;
    }
  }
  return line === '' ? lines : [...lines, line];
}

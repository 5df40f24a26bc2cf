import { wrap } from '../../shared/text.ts';

/** A sentence, and lines to be copied. */
export interface Step {
  /** Markdown of one line. */
  readonly text: string;
  readonly lines?: readonly string[];
}

export type Part =
  | Step
  /** A file that somebody puts somewhere; undefined: it was written already. */
  | { readonly file: string; readonly content: string | undefined }
  | { readonly rows: readonly (readonly [string, string])[] };

export interface Section {
  readonly title: string;
  readonly parts: readonly Part[];
}

const narrowest = 40;
const usualWidth = 100;
const indent = '   ';

/**
 * The sections for a person, numbered. What is to be copied is never broken.
 *
 * @param columns of the terminal; undefined where nobody looks
 */
export function formatSections(
  sections: readonly Section[],
  {
    columns,
    first = 1,
    bold,
  }: { readonly columns: number | undefined; readonly first?: number; readonly bold: (text: string) => string },
): string {
  const width = Math.max(narrowest, Math.min(columns ?? usualWidth, usualWidth));
  return sections
    .map(({ title, parts }, index) => {
      const blocks = parts.map((part) => formatPart(part, width).join('\n'));
      return `${[bold(`${first + index}. ${title}`), ...blocks].join('\n\n')}\n`;
    })
    .join('\n');
}

function formatPart(part: Part, width: number): string[] {
  if ('rows' in part) return formatRows(part.rows, width);
  if ('file' in part) {
    if (part.content === undefined) return [`${indent}${part.file}`];
    return [`${indent}# ${part.file}`, ...copied(part.content.trimEnd().split('\n'))];
  }
  const [, mark = '', text = ''] = /^((?:- )?)(.*)$/s.exec(withoutMarks(part.text)) ?? [];
  const wrapped = wrap(text, width - indent.length - mark.length).map(
    (line, index) => `${indent}${index === 0 ? mark : ' '.repeat(mark.length)}${line}`,
  );
  return [...wrapped, ...(part.lines === undefined ? [] : ['', ...copied(part.lines)])];
}

/** A name and what it is: that is broken where the line ends. */
function formatRows(rows: readonly (readonly [string, string])[], width: number): string[] {
  const widest = Math.min(30, Math.max(...rows.map(([name]) => name.length)));
  return rows.flatMap(([name, value]) => {
    const room = Math.max(20, width - indent.length - widest - 3);
    const head = `${indent}${name.padEnd(widest)}   `;
    return wrap(value, room).map((line, index) => (index === 0 ? head : ' '.repeat(indent.length + widest + 3)) + line);
  });
}

const copied = (lines: readonly string[]) => lines.map((line) => (line === '' ? '' : `${indent}    ${line}`));

/** Emphasis is for pages; what is between backticks stays as it is. */
function withoutMarks(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? part : part.replaceAll(/\*{1,2}([^*]+)\*{1,2}/g, '$1')))
    .join('');
}

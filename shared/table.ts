import type { WriteStream } from 'node:tty';
import { shorten, wrap } from './text.ts';

const gap = '   ';

/** Columns as wide as their widest cell, as kubectl prints them; `styleHead` may paint the line of names. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  styleHead: (line: string) => string = (line) => line,
): string {
  const widths = widthsOf(head, rows);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(gap)
      .trimEnd();
  return `${[styleHead(line(head)), ...rows.map(line)].join('\n')}\n`;
}

/** Not by spreading them: a call takes some hundred thousand arguments at most. */
function widthsOf(head: readonly string[], rows: readonly (readonly string[])[]): number[] {
  return head.map((name, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), name.length),
  );
}

/**
 * The same table no wider than `width`, if there is one: the widest columns give way first, and what is cut ends in `…`.
 * Where too little would be left of them, each row becomes lines of a name and a cell.
 */
export function fitTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
  styleHead?: (line: string) => string,
): string {
  if (width === undefined) return formatTable(head, rows, styleHead);
  const widths = widthsOf(head, rows);
  const room = width - gap.length * (head.length - 1);
  let most = Math.max(...widths);
  const fits = () => widths.reduce((sum, each) => sum + Math.min(each, most), 0) <= room;
  while (most > least && !fits()) most -= 1;
  if (!fits() && rows.length > 0) return formatRecords(head, rows, width, styleHead);
  const cut = (cell: string) => shorten(cell, most);
  return formatTable(
    head.map(cut),
    rows.map((row) => row.map(cut)),
    styleHead,
  );
}

/** Of a column that gives way; narrower ones would say nothing. */
const least = 8;

function formatRecords(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number,
  styleHead: (name: string) => string = (name) => name,
): string {
  const named = Math.max(...head.map((name) => name.length));
  const indent = ' '.repeat(named + gap.length);
  const room = Math.max(least, width - indent.length);
  const piece = new RegExp(`.{1,${room}}`, 'gu');
  const field = (cell: string, column: number): string[] => {
    const [first = '', ...rest] = wrap(cell, room).flatMap((line) => line.match(piece) ?? []);
    const name = head[column] ?? '';
    return [
      `${styleHead(name)}${' '.repeat(indent.length - name.length)}${first}`,
      ...rest.map((line) => indent + line),
    ];
  };
  const records = rows.map((row) => row.flatMap((cell, column) => (cell === '' ? [] : field(cell, column))).join('\n'));
  return `${records.join('\n\n')}\n`;
}

export interface Column {
  readonly head: string;
  readonly width: number;
  /** Its part of the room that is left; a column without one keeps its width. */
  readonly grows?: number;
}

/** Lines of a table whose rows are not known yet; with a `width`, cells that are too long end in `…`. */
export function streamTable(
  columns: readonly Column[],
  width: number | undefined,
): (cells: readonly string[]) => string {
  const used = columns.reduce((sum, column) => sum + column.width, narrowGap.length * (columns.length - 1));
  const parts = columns.reduce((sum, { grows = 0 }) => sum + grows, 0);
  const room = Math.max(0, (width ?? used) - used);
  const widths = columns.map(({ width: own, grows = 0 }) => own + Math.floor((room * grows) / (parts || 1)));
  const cell = (text: string, most: number) => (width === undefined ? text : shorten(text, most)).padEnd(most);
  return (cells) =>
    cells
      .map((text, index) => cell(text, widths[index]!))
      .join(narrowGap)
      .trimEnd();
}

const narrowGap = '  ';

/** Columns of a terminal; undefined where nobody looks. */
export function widthOf(stream: Pick<WriteStream, 'isTTY' | 'columns'>): number | undefined {
  return stream.isTTY && stream.columns > 0 ? stream.columns : undefined;
}

import type { WriteStream } from 'node:tty';

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

/** The same table no wider than `width`, if there is one: the widest columns give way first, and what is cut ends in `…`. */
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
  while (most > least && widths.reduce((sum, each) => sum + Math.min(each, most), 0) > room) most -= 1;
  const cut = (cell: string) => (cell.length > most ? `${cell.slice(0, most - 1).replace(/\p{Cs}$/u, '')}…` : cell);
  return formatTable(
    head.map(cut),
    rows.map((row) => row.map(cut)),
    styleHead,
  );
}

/** Of a column that gives way; narrower ones would say nothing. */
const least = 4;

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
  const cell = (text: string, most: number) =>
    (width !== undefined && text.length > most ? `${text.slice(0, most - 1).replace(/\p{Cs}$/u, '')}…` : text).padEnd(
      most,
    );
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

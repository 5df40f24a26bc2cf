/** Columns as wide as their widest cell, as kubectl prints them; `styleHead` may paint the line of names. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  styleHead: (line: string) => string = (line) => line,
): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd();
  return `${[styleHead(line(head)), ...rows.map(line)].join('\n')}\n`;
}

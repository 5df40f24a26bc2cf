import { styleText } from 'node:util';
import type { Deps } from './surroundings/deps.ts';
import { useColour } from './surroundings/report.ts';

/** Columns as wide as their widest cell, two spaces between, as kubectl prints them. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[], deps: Deps): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd();
  const title = line(head);
  const bold = useColour(deps.stdout, deps.env) ? styleText('bold', title, { validateStream: false }) : title;
  return `${[bold, ...rows.map(line)].join('\n')}\n`;
}

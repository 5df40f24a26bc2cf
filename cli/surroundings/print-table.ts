import { fitTable, formatTable } from '../../shared/table.ts';
import type { Deps } from './deps.ts';
import { boldOn } from './report.ts';

/** On stdout; no wider than a terminal, and whole where it goes elsewhere. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[], deps: Deps): void {
  const { stdout, env } = deps;
  const bold = boldOn(stdout, env);
  const fits = stdout.isTTY && stdout.columns > 0;
  stdout.write(fits ? fitTable(head, rows, stdout.columns, bold) : formatTable(head, rows, bold));
}

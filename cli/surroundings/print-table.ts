import { fitTable, widthOf } from '../../shared/table.ts';
import type { Deps } from './deps.ts';
import { boldOn } from './report.ts';

/** On stdout; no wider than a terminal, and whole where it goes elsewhere. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[], deps: Deps): void {
  const { stdout, env } = deps;
  stdout.write(fitTable(head, rows, widthOf(stdout), boldOn(stdout, env)));
}

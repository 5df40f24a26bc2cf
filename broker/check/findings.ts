import type { Finding } from '../../shared/findings.ts';
import type { ConfigFault } from '../config/documents.ts';
import { clean, fold } from '../../shared/text.ts';

type Severity = Finding['severity'];

export interface PlacedFinding extends Finding {
  /** Where in the configuration; absent of what was found elsewhere. */
  readonly place?: Pick<ConfigFault, 'file' | 'line' | 'column' | 'path'>;
}

/** As compilers print it. */
export function placeOf({ file, line, column }: { file: string; line: number; column: number }): string {
  return `${clean(file, 400)}:${line}:${column}`;
}

const order: Readonly<Record<Severity, number>> = { error: 0, warning: 1, ok: 2 };

/** Errors first; otherwise in the order in which they were found. */
export function sortFindings<T extends Finding>(findings: readonly T[]): T[] {
  return findings.toSorted((a, b) => order[a.severity] - order[b.severity]);
}

export function countFindings(findings: readonly Finding[]): Record<Severity, number> {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  return { error: count('error'), warning: count('warning'), ok: count('ok') };
}

/** Names of a cluster's objects come from the cluster: what a terminal would obey is taken out. */
export function printTable(findings: readonly Finding[], columns?: number): string {
  const sorted = sortFindings(findings);
  const width = Math.min(40, Math.max(0, ...sorted.map(({ about }) => about.length)));
  const lines = sorted
    .flatMap(({ severity, about, what, why, next }) => [
      `${severity.padEnd(7)}  ${clean(about, 400).padEnd(width)}  ${clean(what, 2000)}`,
      ...(why === undefined ? [] : [`         why   ${clean(why, 2000)}`]),
      ...(next === undefined ? [] : [`         next  ${clean(next, 2000)}`]),
    ])
    .map((line) => fold(line, columns, ' '.repeat(line.startsWith(' ') ? 6 : 15)));
  const { error, warning, ok } = countFindings(findings);
  return `${[...lines, '', `${plural(error, 'error')}, ${plural(warning, 'warning')}, ${ok} ok`].join('\n')}\n`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

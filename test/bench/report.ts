import type { Summary } from './race.ts';

export interface Row extends Summary {
  readonly name: string;
  /** Further columns by their heading, such as how often Node was started. */
  readonly more?: Readonly<Record<string, string>>;
}

export interface Group {
  readonly title: string;
  /** How often each was run. */
  readonly runs: string;
  readonly rows: readonly Row[];
}

export interface Goal {
  readonly text: string;
  readonly is: string;
  readonly met: boolean;
}

/** Of something that is measured as a ratio, so that it holds on another machine too. */
export function atMost(text: string, ratio: number, most: number): Goal {
  return { text, is: `${ratio.toFixed(2)} (at most ${most})`, met: ratio <= most };
}

export function atLeast(text: string, ratio: number, least: number): Goal {
  return { text, is: `${ratio.toFixed(2)} (at least ${least})`, met: ratio >= least };
}

/** Node 22 and later start in another time, with another part of the libraries in their snapshot: a goal for each. */
export function byNode(before22: number, since22: number): number {
  return Number(process.versions.node.split('.')[0]) < 22 ? before22 : since22;
}

export interface Report {
  readonly date: string;
  readonly machine: string;
  readonly versions: readonly string[];
  /** Milliseconds, all of them. */
  readonly groups: readonly Group[];
  readonly goals: readonly Goal[];
  /** What this machine lacks, and with it which rows. */
  readonly missing: readonly string[];
}

export function formatReport({ date, machine, versions, groups, goals, missing }: Report): string {
  const lines = [`${machine}, ${date}`, versions.join(', '), ''];
  for (const { title, runs, rows } of groups) {
    const more = [...new Set(rows.flatMap((row) => Object.keys(row.more ?? {})))];
    const table = rows.map((row) => [
      row.name,
      milliseconds(row.median),
      `${milliseconds(row.min)} – ${milliseconds(row.max)}`,
      ...more.map((heading) => row.more?.[heading] ?? ''),
    ]);
    lines.push(`${title} (${runs})`, '', ...align([['', 'median', 'min – max', ...more], ...table]), '');
  }
  lines.push('Goals', '', ...align(goals.map(({ met, text, is }) => [`${met ? 'met   ' : 'MISSED'}  ${text}`, is])));
  if (missing.length > 0) lines.push('', ...missing.map((what) => `Not measured: ${what}.`));
  return `${lines.join('\n')}\n`;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)} ms`;
}

/** The first column to the left, the others to the right. */
export function align(table: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of table) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return table.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ')
      .replace(/^/, '  ')
      .trimEnd(),
  );
}

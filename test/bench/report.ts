import { arch, availableParallelism, loadavg, release, type } from 'node:os';
import { boundFor, describeBound, goals, isMet, type Judged } from './goals.ts';
import type { Summary } from './race.ts';
import { format, type Unit } from './units.ts';

export interface Column {
  readonly heading: string;
  readonly unit: Unit;
}

/** What was measured, as numbers, so that several runs can become one. */
export interface Table {
  readonly title: string;
  /** How often each was run. */
  readonly runs: string;
  readonly columns: readonly Column[];
  readonly rows: readonly { readonly name: string; readonly cells: readonly (number | null)[] }[];
}

/** One run of one part of the benchmark, on one Node. */
export interface Report {
  readonly part: 'plugin' | 'broker';
  readonly date: string;
  /** Such as `20.20.2`. */
  readonly node: string;
  readonly machine: string;
  /** The average of the minute before. */
  readonly load: number;
  readonly versions: readonly string[];
  readonly tables: readonly Table[];
  readonly goals: readonly Judged[];
  /** What this machine lacks, and with it which rows. */
  readonly missing: readonly string[];
}

/** Taken before anything is measured. */
export function machineNow(): Pick<Report, 'date' | 'node' | 'machine' | 'load'> {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    machine: `${availableParallelism()} cores, ${type()} ${release()} ${arch()}`,
    load: loadavg()[0] ?? NaN,
  };
}

export interface Timed extends Summary {
  readonly name: string;
  /** For further columns. */
  readonly more?: readonly (number | null)[];
}

/** A table of milliseconds. */
export function timesTable(title: string, runs: string, rows: readonly Timed[], more: readonly Column[] = []): Table {
  const columns = ['median', 'least', 'most'].map((heading): Column => ({ heading, unit: 'ms' }));
  return {
    title,
    runs,
    columns: [...columns, ...more],
    rows: rows.map(({ name, median, min, max, more: others = more.map(() => null) }) => ({
      name,
      cells: [median, min, max, ...others],
    })),
  };
}

export function formatReport({ part, date, node, machine, load, versions, tables, goals: judged, missing }: Report) {
  const lines = [`${part}: ${machine}, load ${load.toFixed(1)}, ${date}`, `Node ${node}, ${versions.join(', ')}`, ''];
  for (const { title, runs, columns, rows } of tables) {
    const body = rows.map(({ name, cells }) => [
      name,
      ...columns.map(({ unit }, index) => format(cells[index] ?? null, unit)),
    ]);
    lines.push(`${title} (${runs})`, '', ...align([['', ...columns.map(({ heading }) => heading)], ...body]), '');
  }
  const compared = judged.some(({ against }) => against !== undefined);
  const result = judged.map((goal) => {
    const { text, unit } = goals[goal.name];
    const bound = `(${goals[goal.name].is} ${format(boundFor(goal.name, node), unit)})`;
    const other = compared ? [format(goal.against ?? null, unit)] : [];
    return [`${isMet(goal, node) ? 'met   ' : 'MISSED'}  ${text}`, format(goal.is, unit), ...other, bound];
  });
  const head = compared ? [['', 'this build', 'the other', '']] : [];
  lines.push('Goals', '', ...align([...head, ...result]));
  if (missing.length > 0) lines.push('', ...missing.map((what) => `Not measured: ${what}.`));
  return `${lines.join('\n')}\n`;
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

/**
 * The results as docs/performance.md shows them: a column for each Node, of which each value is the median of that
 * Node's runs.
 */
export function formatPage(reports: readonly Report[]): string {
  const nodes = [...new Set(reports.map(({ node }) => node))].toSorted(
    (a, b) => Number.parseInt(a) - Number.parseInt(b),
  );
  const judged = (node: string, name: string) => {
    const found = reports.filter((each) => each.node === node).flatMap((each) => each.goals);
    const values = found.filter((each) => each.name === name).map(({ is }) => is);
    return values.length === 0 ? undefined : medianOf(values);
  };
  const rows = (Object.keys(goals) as (keyof typeof goals)[]).map((name) => [
    goals[name].text,
    describeBound(name),
    ...nodes.map((node) => {
      const is = judged(node, name);
      if (is === undefined) return '';
      return `${format(is, goals[name].unit)} ${isMet({ name, is }, node) ? 'met' : '**missed**'}`;
    }),
  ]);
  const parts = [markdown([['', 'goal', ...nodes.map((node) => `Node ${node}`)], ...rows])];
  for (const node of nodes) {
    for (const part of ['plugin', 'broker']) {
      const runs = reports.filter((report) => report.node === node && report.part === part);
      if (runs[0] !== undefined) parts.push(formatRuns(runs[0], runs));
    }
  }
  return parts.join('\n\n');
}

function formatRuns(first: Report, runs: readonly Report[]): string {
  const { part, node, machine, versions } = first;
  const dates = [...new Set(runs.map(({ date }) => date))].join(', ');
  const load = runs.map((run) => run.load.toFixed(1)).join(', ');
  const count = runs.length === 1 ? 'one run' : `medians of ${runs.length} runs`;
  const tables = first.tables.map((table) => {
    const body = table.rows.map(({ name }, row) => [
      name,
      ...table.columns.map(({ unit }, column) => {
        const values = runs.flatMap(({ tables: all }) => {
          const same = all.find(({ title }) => title === table.title)?.rows[row];
          return same?.name === name ? [same.cells[column] ?? NaN] : [];
        });
        return format(medianOf(values), unit);
      }),
    ]);
    return `${table.title} (${table.runs}):\n\n${markdown([['', ...table.columns.map(({ heading }) => heading)], ...body])}`;
  });
  return [
    `### Node ${node}, ${part}`,
    `${dates}; ${machine}; ${versions.join(', ')}; ${count}, load before: ${load}.`,
    ...tables,
  ].join('\n\n');
}

function medianOf(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  return (at(Math.floor((sorted.length - 1) / 2)) + at(Math.floor(sorted.length / 2))) / 2;
}

/** Numbers to the right. */
function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...rows].map(line).join('\n');
}

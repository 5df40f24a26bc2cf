import { align } from './report.ts';
import { format } from './units.ts';

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

/** What one part of the scale bench comes to. */
export interface Part {
  readonly title: string;
  /** The first row holds the headings. */
  readonly tables: readonly (readonly (readonly string[])[])[];
  readonly notes: readonly string[];
  readonly goals: readonly Goal[];
  /** The same for machines, unrounded. */
  readonly figures: Readonly<Record<string, unknown>>;
}

export function formatPart({ title, tables, notes }: Part): string {
  const blocks = [...tables.map(align), ...(notes.length > 0 ? [notes.map((note) => `  ${note}`)] : [])];
  return [title, ...blocks.map((lines) => lines.join('\n'))].join('\n\n');
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

export function milliseconds(value: number): string {
  return format(value, 'ms');
}

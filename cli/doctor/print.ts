import { styleText } from 'node:util';
import { clean, wrap } from '../../shared/text.ts';
import { useColour } from '../../shared/colour.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { DoctorFinding, Severity } from './finding.ts';

const words: Readonly<Record<Severity, string>> = { error: 'failed', warning: 'warning', unknown: 'unknown', ok: 'ok' };
const colours = { error: 'red', warning: 'yellow', unknown: 'yellow', ok: 'green' } as const;
const narrowest = 40;

export function countFindings(findings: readonly DoctorFinding[]): Record<Severity, number> {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  return { error: count('error'), warning: count('warning'), unknown: count('unknown'), ok: count('ok') };
}

/** A line for each, and below what is not fine why and what to do; on a terminal wrapped at its width. */
export function printFindings(
  findings: readonly DoctorFinding[],
  { stdout, env }: Pick<Deps, 'stdout' | 'env'>,
): string {
  const colour = useColour(stdout, env);
  const paint = (severity: Severity, text: string) =>
    colour ? styleText(colours[severity], text, { validateStream: false }) : text;
  const columns = stdout.isTTY ? Math.max(narrowest, Math.min(stdout.columns ?? 80, 120)) : Infinity;
  const width = Math.max(...findings.map(({ about }) => about.length));
  const indent = 9 + width + 2;
  const lines = findings.flatMap(({ severity, about, what, why, next }) => {
    const parts = [
      clean(what, 2000),
      ...(why === undefined ? [] : [`why: ${clean(why, 2000)}`]),
      ...(next === undefined ? [] : [`next: ${clean(next, 2000)}`]),
    ];
    const wrapped = parts.flatMap((part) => wrap(part, columns - indent));
    return wrapped.map((line, index) =>
      index === 0
        ? `${paint(severity, words[severity].padEnd(7))}  ${about.padEnd(width)}  ${line}`
        : `${' '.repeat(indent)}${line}`,
    );
  });
  const { error, warning, unknown, ok } = countFindings(findings);
  const counts = `${error} failed, ${warning} ${warning === 1 ? 'warning' : 'warnings'}, ${unknown} unknown, ${ok} ok`;
  return `${[...lines, '', counts].join('\n')}\n`;
}

import { styleText } from 'node:util';
import { clean, wrap } from '../../shared/text.ts';
import { widthOf } from '../../shared/table.ts';
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

/**
 * A line for each, and below what is not fine why and what to do; on a terminal wrapped at its width.
 *
 * @param all what is counted, where not all of it is shown
 */
export function printFindings(
  findings: readonly DoctorFinding[],
  { stdout, env }: Pick<Deps, 'stdout' | 'env'>,
  all = findings,
): string {
  const colour = useColour(stdout, env);
  const paint = (severity: Severity, text: string) =>
    colour ? styleText(colours[severity], text, { validateStream: false }) : text;
  const columns = stdout.isTTY ? Math.max(narrowest, Math.min(widthOf(stdout) ?? 80, 120)) : Infinity;
  const width = findings.reduce((widest, { about }) => Math.max(widest, about.length), 0);
  const indent = 9 + width + 2;
  const lines = findings.flatMap(({ severity, about, what, why, next, grant }) => {
    const parts = [
      clean(what, 2000),
      ...(why === undefined ? [] : [`why: ${clean(why, 2000)}`]),
      ...(next === undefined ? [] : [`next: ${clean(next, 2000)}`]),
    ];
    const wrapped = [
      ...parts.flatMap((part) => wrap(part, columns - indent)),
      ...(grant === undefined ? [] : ['grant:', ...grant.split('\n').map(cleanLine)]),
    ];
    return wrapped.map((line, index) =>
      index === 0
        ? `${paint(severity, words[severity].padEnd(7))}  ${about.padEnd(width)}  ${line}`
        : `${' '.repeat(indent)}${line}`,
    );
  });
  const { error, warning, unknown, ok } = countFindings(all);
  const counts = `${error} failed, ${warning} ${warning === 1 ? 'warning' : 'warnings'}, ${unknown} unknown, ${ok} ok`;
  return `${[...lines, '', counts].join('\n')}\n`;
}

/** Of YAML, with the blanks before it. */
function cleanLine(line: string): string {
  const [blanks = ''] = /^ */.exec(line) ?? [];
  return `  ${blanks}${clean(line, 400)}`;
}

const mostOfOne = 10;

/** Of many of one kind the first ten, each thing said once, and how many more there are. */
export function summarize(findings: readonly DoctorFinding[], all: string): DoctorFinding[] {
  const kinds = new Map<string, DoctorFinding[]>();
  for (const finding of findings) {
    const key = `${finding.about} ${finding.severity} ${finding.code}`;
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, [finding]);
    else kind.push(finding);
  }
  return [...kinds.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    const shown = others.slice(0, mostOfOne - 1).map((finding) => {
      const { what, why, next } = finding;
      const another = why !== undefined && why !== first.why;
      return { ...kindOf(finding), what, ...(another && { why }), ...(next !== undefined && { next }) };
    });
    const more = others.length - shown.length;
    const rest = { ...kindOf(first), what: `And ${more} more like ${more === 1 ? 'it' : 'these'}.`, next: all };
    return [first, ...shown, ...(more === 0 ? [] : [rest])];
  });
}

function kindOf({ severity, code, about }: DoctorFinding) {
  return { severity, code, about };
}

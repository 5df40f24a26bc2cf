import { formatTable } from '../../../shared/table.ts';
import type { CheckOutcome, Outcome } from './part.ts';

/** Ends a run: a line for each file, and for each check of its part. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.flatMap(({ part, files, checks, failure, seconds }) => {
    const left = files.map(({ name, size, sha256 }) => [name, sizeText(size), sha256.slice(0, 12)]);
    const right = failure === undefined ? checks.map(checkText) : ['could not be made'];
    return Array.from({ length: Math.max(1, left.length, right.length) }, (_, line) => [
      line === 0 ? part : '',
      ...(left[line] ?? ['', '', '']),
      right[line] ?? '',
      line === 0 ? seconds.toFixed(1) : '',
    ]);
  });
  return formatTable(['PART', 'FILE', 'SIZE', 'SHA256', 'CHECKED', 'SECONDS'], rows);
}

const marks = { passed: '', failed: 'FAILED: ', 'not run': 'not run: ' } as const;
const checkText = ({ says, state, why }: CheckOutcome) =>
  `${marks[state]}${says}${state === 'not run' ? ` (${why ?? ''})` : ''}`;

/** What failed, with the words of whoever saw it. */
export function failures(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ part, checks, failure }) => [
    ...(failure === undefined ? [] : [`${part} could not be made: ${failure}`]),
    ...checks.filter(({ state }) => state === 'failed').map(({ says, why }) => `${part}, "${says}": ${why ?? ''}`),
  ]);
}

function sizeText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

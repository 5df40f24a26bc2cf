import { exitCodes, KleisError } from '../../shared/errors.ts';
import { formatJson, isObject } from '../../shared/json.ts';
import { clean, shown } from '../../shared/text.ts';
import { claimText, type Said, textOf, whoOf, whyOf } from '../audit/describe.ts';
import type { Entry } from '../audit/entries.ts';
import { plainId, type Trace, traceOf } from '../audit/trace.ts';
import type { Deps } from '../surroundings.ts';
import { type AuditReading, covers, readAudit } from './audit-files.ts';

export interface AuditWhoFlags {
  readonly output: 'table' | 'json';
}

/** `kleis-broker audit who ID FILE…`. Throws `usage` where no line names it. */
export async function auditWho(
  given: string,
  files: readonly string[],
  flags: AuditWhoFlags,
  deps: Deps,
): Promise<number> {
  const reading = readAudit(files, {}, deps);
  const trace = await traceOf(plainId(given), reading.entries());
  reading.tellFaults();
  if (trace.entries.length === 0) throw notFound(given, reading);
  deps.stdout.write(
    flags.output === 'json'
      ? formatJson({ id: plainId(given), lines: trace.entries.map(({ record }) => record) })
      : describeTrace(trace),
  );
  return exitCodes.ok;
}

/** Which times the files have, and where else to look. */
export function notFound(given: string, { coverage }: AuditReading): KleisError {
  const { lines } = coverage;
  const have = `${lines} ${lines === 1 ? 'line' : 'lines'}, from ${covers(coverage)}`;
  const message = `No line of these files names ${shown(given, 140)}. They have ${have}.`;
  return new KleisError('usage', message, {
    hint:
      'Give the rotated files too, those of all replicas, and those of the time at which the token was made: the API ' +
      "server's audit has it as issued-credential-id. A token that no broker's audit names was not minted by it.",
  });
}

/** The first line in full, what came of it after that. */
export function describeTrace({ entries, more }: Trace): string {
  const begun = entries.find(({ record }) => record['event'] === 'exchange') ?? entries[0]!;
  const others = entries.filter((entry) => entry !== begun);
  const parts = [describeEntry(begun)];
  if (others.length > 0) parts.push('\n', ...others.map((entry) => `${shortLine(entry)}\n`));
  if (more > 0) parts.push(`and ${more} more lines\n`);
  return parts.join('');
}

function describeEntry({ record, sealed, place }: Entry): string {
  const account = textOf(record, 'account', 300);
  const cluster = textOf(record, 'cluster', 80);
  const { asker } = record;
  const rows: readonly (readonly [string, string])[] = [
    ['who', whoOf(record) || 'not known: no token of theirs was verified'],
    ['asked by', isObject(asker) ? whoOf(asker) : ''],
    ['claims', claimsOf(record)],
    ['what', [textOf(record, 'event', 20), textOf(record, 'outcome', 20)].join(' ')],
    ['why', whyOf(record)],
    ['grant', textOf(record, 'grant', 80)],
    ['account', [account, cluster].filter(Boolean).join(' at ')],
    ['when', textOf(record, 'time', 40)],
    ['ends', textOf(record, 'expires', 40)],
    ['lease', textOf(record, 'lease', 80)],
    ['JTI', textOf(record, 'jti', 128)],
    ['subject JTI', textOf(record, 'subjectJti', 128)],
    ['subject SHA', textOf(record, 'subjectSha256', 64)],
    ['address', textOf(record, 'address', 80)],
    ['request', textOf(record, 'requestId', 80)],
    ['trace', textOf(record, 'traceId', 80)],
    ['policy', textOf(record, 'policy', 64)],
    ['line', `${clean(place, 400)}${sealed.intact ? '' : ' (EDITED: not what the broker wrote)'}`],
  ];
  return rows
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name.padEnd(12)} ${value}\n`)
    .join('');
}

function claimsOf({ claims }: Said): string {
  if (!isObject(claims)) return '';
  return Object.entries(claims)
    .map(([name, value]) => `${clean(name, 80)}=${clean(claimText(value), 120)}`)
    .join(' ');
}

function shortLine({ record, sealed }: Entry): string {
  const what = [textOf(record, 'time', 40), textOf(record, 'event', 20), textOf(record, 'outcome', 20)].join('  ');
  const who = whoOf(record);
  const notes = [who === '' ? '' : `by ${who}`, whyOf(record), sealed.intact ? '' : 'EDITED'].filter(Boolean);
  return `${what}${notes.length > 0 ? `  ${notes.join('; ')}` : ''}`;
}

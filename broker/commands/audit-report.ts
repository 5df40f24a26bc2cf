import { formatCsv } from '../../shared/csv.ts';
import { exitCodes } from '../../shared/errors.ts';
import { formatJson } from '../../shared/json.ts';
import { fitTable, widthOf } from '../../shared/table.ts';
import { parseSpan, type SpanFlags } from '../audit/times.ts';
import { type Usage, usageOf } from '../audit/usage.ts';
import type { Deps } from '../surroundings.ts';
import { covers, readAudit } from './audit-files.ts';

export interface AuditReportFlags extends SpanFlags {
  /** A claim that stands for the subject. */
  readonly by?: string;
  readonly output: 'table' | 'json' | 'csv';
}

/** `kleis-broker audit report FILE…`: who got what. */
export async function auditReport(files: readonly string[], flags: AuditReportFlags, deps: Deps): Promise<number> {
  const { stdout, stderr, clock } = deps;
  const reading = readAudit(files, parseSpan(flags, clock.now()), deps);
  const rows = await usageOf(reading.entries(), flags.by);
  const { coverage } = reading;
  if (flags.output === 'json') {
    stdout.write(formatJson({ from: coverage.from, to: coverage.to, by: flags.by ?? 'sub', rows }));
  } else if (flags.output === 'csv')
    stdout.write(formatCsv([fields, ...rows.map((row) => fields.map((field) => row[field]))]));
  else stdout.write(tableOf(rows, widthOf(stdout)));
  reading.tellFaults();
  if (coverage.lines > 0) stderr.write(`The files have lines from ${covers(coverage)}, not verified.\n`);
  return exitCodes.ok;
}

const fields = [
  'issuer',
  'subject',
  'grant',
  'cluster',
  'exchanges',
  'denied',
  'failed',
  'withdrawn',
  'revoked',
  'first',
  'last',
] as const satisfies readonly (keyof Usage)[];

function tableOf(rows: readonly Usage[], width: number | undefined): string {
  const head = ['WHO', 'GRANT', 'CLUSTER', 'GOT', 'DENIED', 'REVOKED', 'LAST'];
  const cells = rows.map(({ issuer, subject, grant, cluster, exchanges, denied, revoked, last }) => [
    `${issuer} ${subject}`.trim(),
    grant,
    cluster,
    ...[exchanges, denied, revoked].map(String),
    last.slice(0, 10),
  ]);
  return fitTable(head, cells, width);
}

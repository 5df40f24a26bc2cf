import { styleText } from 'node:util';
import { useColour } from '../../shared/colour.ts';
import { exitCodes } from '../../shared/errors.ts';
import { escapeUnseen } from '../../shared/json.ts';
import { streamTable, widthOf } from '../../shared/table.ts';
import { shorten } from '../../shared/text.ts';
import { type Said, textOf, tokenNoteOf, whoOf, whyOf } from '../audit/describe.ts';
import type { Entry } from '../audit/entries.ts';
import { parseSpan, type SpanFlags } from '../audit/times.ts';
import type { Deps } from '../surroundings.ts';
import { isObject } from '../../shared/json.ts';
import { readAudit, writeSlowly } from './audit-files.ts';

export interface AuditShowFlags extends Pick<SpanFlags, 'since' | 'until'> {
  readonly grant?: string;
  /** A part of it. */
  readonly subject?: string;
  readonly issuer?: string;
  readonly event?: readonly string[];
  readonly denied?: boolean;
  readonly follow?: boolean;
  readonly output: 'table' | 'json';
}

/** How often a followed file is looked at. Milliseconds. */
const lookEvery = 500;

/** `kleis-broker audit show FILE…`: in the order of their times, each line once, in constant memory. */
export async function auditShow(files: readonly string[], flags: AuditShowFlags, deps: Deps): Promise<number> {
  const { stdout, clock, signal } = deps;
  const follow = async () => clock.sleep(lookEvery, signal).catch(() => undefined);
  const reading = readAudit(
    files,
    { ...parseSpan(flags, clock.now()), ...(flags.follow === true && { follow }) },
    deps,
  );
  const format = flags.output === 'json' ? asJson : asTable(deps);
  for await (const entry of reading.entries()) {
    if (!isWanted(entry.record, flags)) continue;
    if (!(await writeSlowly(stdout, format(entry), signal))) break;
  }
  reading.tellFaults();
  return exitCodes.ok;
}

function isWanted(said: Said, { grant, subject, issuer, event, denied }: AuditShowFlags): boolean {
  const { asker } = said;
  const people = isObject(asker) ? [said, asker] : [said];
  return (
    (grant === undefined || said['grant'] === grant) &&
    (issuer === undefined || people.some((person) => person['issuer'] === issuer)) &&
    (subject === undefined || people.some((person) => textOf(person, 'subject', 1000).includes(subject))) &&
    (event === undefined || event.includes(textOf(said, 'event'))) &&
    (denied !== true || said['outcome'] === 'denied')
  );
}

/** As it stands in the file: what is kept so can still be verified. */
function asJson({ text }: Entry): string {
  return `${escapeUnseen(text)}\n`;
}

/** Why stands in a line of its own on a terminal, and in the last column where a program reads. */
function asTable({ stdout, env }: Deps): (entry: Entry) => string {
  const width = widthOf(stdout);
  const wide = width === undefined || width >= 110;
  const colour = useColour(stdout, env);
  const paint = (style: 'bold' | 'red' | 'yellow' | 'dim', text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const columns = [
    { head: 'TIME (UTC)', width: wide ? 20 : 14 },
    { head: 'OUTCOME', width: 7 },
    { head: 'EVENT', width: 10 },
    { head: 'GRANT', width: 12, grows: 1 },
    { head: 'WHO', width: 20, grows: 3 },
    { head: 'CLUSTER', width: 7, grows: 1 },
  ];
  const row = streamTable(width === undefined ? [...columns, { head: 'WHY', width: 3 }] : columns, width);
  const fit = (line: string) => shorten(line, width ?? Infinity);
  let head = `${paint('bold', fit(row([...columns.map((column) => column.head), 'WHY'].slice(0, width === undefined ? 7 : 6))))}\n`;
  return ({ record, sealed }) => {
    const time = textOf(record, 'time', 40);
    const outcome = textOf(record, 'outcome', 20);
    const why = [sealed.intact ? '' : 'EDITED: not what the broker wrote', whyOf(record), tokenNoteOf(record)]
      .filter(Boolean)
      .join('; ');
    const cells = [
      wide ? time.replace(/\.\d+Z$/, 'Z') : time.slice(5, 19).replace('T', ' '),
      outcome,
      textOf(record, 'event', 20),
      textOf(record, 'grant', 80),
      whoOf(record),
      textOf(record, 'cluster', 80),
    ];
    const line = width === undefined ? row([...cells, why]) : fit(row(cells));
    const painted = outcome === 'denied' ? paint('red', line) : outcome === 'failed' ? paint('yellow', line) : line;
    const second = width === undefined || why === '' ? '' : `${paint('dim', fit(`    ${why}`))}\n`;
    const text = `${head}${painted}\n${second}`;
    head = '';
    return text;
  };
}

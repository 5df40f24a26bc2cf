import { parseDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { shown } from '../../shared/text.ts';

/** Milliseconds since the epoch; `until` is the first one that is not in it. */
export interface Span {
  readonly since: number | undefined;
  readonly until: number | undefined;
}

export interface SpanFlags {
  readonly since?: string;
  readonly until?: string;
  readonly month?: string;
}

const day = 24 * 3_600_000;
const moment = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/i;

/** Throws `usage`. */
export function parseSpan({ since, until, month }: SpanFlags, now: number): Span {
  if (month !== undefined) {
    if (since !== undefined || until !== undefined) {
      throw new KleisError('usage', 'Give either --month, or --since and --until.');
    }
    return parseMonth(month);
  }
  const span = {
    since: since === undefined ? undefined : parseMoment('--since', since, now),
    until: until === undefined ? undefined : parseMoment('--until', until, now),
  };
  if (span.since !== undefined && span.until !== undefined && span.since >= span.until) {
    throw new KleisError('usage', '--since is not before --until.');
  }
  return span;
}

/** `2h` and `30d` are so long ago; a date, in UTC, or RFC 3339. */
function parseMoment(flag: string, text: string, now: number): number {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  const ago = days === undefined ? parseDuration(text) : Number(days) * day;
  if (ago !== undefined) return now - ago;
  const [, date] = moment.exec(text) ?? [];
  const at = Date.parse(text);
  if (date === undefined || Number.isNaN(at) || !isDate(date)) {
    const hint = 'Give so long ago (90s, 15m, 2h, 30d), a date (2026-11-26), or a time as RFC 3339 has it.';
    throw new KleisError('usage', `${flag} is no time: ${shown(text, 60)}.`, { hint });
  }
  return at;
}

/** `Date.parse` takes the 31st of February for the 3rd of March. */
function isDate(date: string): boolean {
  const at = Date.parse(date);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}

function parseMonth(text: string): Span {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text) ?? [];
  if (year === undefined || month === undefined) {
    throw new KleisError('usage', `--month is no month: ${shown(text, 60)}.`, { hint: 'Give a month as 2026-11.' });
  }
  const [y, m] = [Number(year), Number(month)];
  return { since: Date.UTC(y, m - 1), until: Date.UTC(y, m) };
}

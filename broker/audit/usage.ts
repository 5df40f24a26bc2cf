import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { claimText, type Said, textOf } from './describe.ts';
import type { Entry } from './entries.ts';

/** What somebody did with a grant. */
export interface Usage {
  readonly issuer: string;
  /** Or the value of the claim that it is counted by. */
  readonly subject: string;
  readonly grant: string;
  readonly cluster: string;
  /** Tokens that went out. */
  exchanges: number;
  denied: number;
  /** Not the caller's doing. */
  failed: number;
  /** Of the exchanges: tokens that did not reach their caller, and were taken back. */
  withdrawn: number;
  /** Of the exchanges: tokens that were ended before their time. */
  revoked: number;
  /** RFC 3339 */
  first: string;
  last: string;
}

/** More kinds of rows than these are counted in one: strangers can make subjects up. */
const maxRows = 100_000;
/** Milliseconds after its end for which a lease is known still: clocks differ. */
const slack = 3_600_000;

/** A lease that is not over. */
interface Live {
  readonly row: Usage;
  readonly ends: number;
}

/** Rows by issuer, subject and grant. `by`: a claim whose value stands for the subject. */
export async function usageOf(entries: AsyncIterable<Entry>, by: string | undefined): Promise<readonly Usage[]> {
  const rows = new Map<string, Usage>();
  const live = new Map<string, Live>();

  const rowOf = (issuer: string, subject: string, grant: string, cluster: string, time: string): Usage => {
    const key = JSON.stringify([issuer, subject, grant, cluster]);
    const known = rows.get(key);
    if (known !== undefined) return touch(known, time);
    if (rows.size >= maxRows && issuer !== beyond) return rowOf(beyond, '', '', '', time);
    const row = { issuer, subject, grant, cluster, ...none, first: time, last: time };
    rows.set(key, row);
    return row;
  };
  const ownRow = (said: Said, time: string) =>
    rowOf(
      textOf(said, 'issuer', 80),
      subjectOf(said, by),
      textOf(said, 'grant', 80),
      textOf(said, 'cluster', 80),
      time,
    );
  /** The row of who got the token, which is not who ends it. */
  const holdersRow = (said: Said, time: string): Usage => {
    const known = live.get(textOf(said, 'lease', 300) || textOf(said, 'jti', 128))?.row;
    if (known !== undefined) return touch(known, time);
    return rowOf(unknown, '', textOf(said, 'grant', 80), textOf(said, 'cluster', 80), time);
  };

  for await (const { record, sealed } of entries) {
    const { event, outcome } = record;
    const time = clean(sealed.time, 40);
    if (event === 'exchange') {
      const row = ownRow(record, time);
      if (outcome === 'denied') row.denied += 1;
      else if (outcome === 'failed') row.failed += 1;
      else if (outcome === 'allowed') {
        row.exchanges += 1;
        const ends = Date.parse(textOf(record, 'expires', 40)) + slack;
        forgetBefore(live, Date.parse(time));
        const id = textOf(record, 'lease', 300) || textOf(record, 'jti', 128);
        live.delete(id);
        live.set(id, { row, ends });
      }
    } else if (event === 'withdrawn') holdersRow(record, time).withdrawn += 1;
    else if (event === 'revoke' && outcome === 'done' && revoking.has(textOf(record, 'reason', 40))) {
      holdersRow(record, time).revoked += 1;
      live.delete(textOf(record, 'lease', 300));
    }
  }
  return [...rows.values()].toSorted(
    (a, b) => compare(a.issuer, b.issuer) || compare(a.subject, b.subject) || compare(a.grant, b.grant),
  );
}

const none = { exchanges: 0, denied: 0, failed: 0, withdrawn: 0, revoked: 0 };
const revoking = new Set(['revoked', 'grant_dropped']);
/** Its exchange is not in the files. */
const unknown = '(not in these files)';
const beyond = '(more)';

function touch(row: Usage, time: string): Usage {
  if (time < row.first) row.first = time;
  if (time > row.last) row.last = time;
  return row;
}

/** In their order: leases of a long time stand behind shorter ones now and then, and go with them. */
function forgetBefore(live: Map<string, Live>, now: number): void {
  for (const [id, { ends }] of live) {
    if (ends >= now) return;
    live.delete(id);
  }
}

/** A denied line has no claims but those that failed. */
function subjectOf(said: Said, by: string | undefined): string {
  if (by === undefined) return textOf(said, 'subject');
  const { claims, failed } = said;
  const value = isObject(claims) && Object.hasOwn(claims, by) ? claims[by] : undefined;
  if (value !== undefined) return clean(claimText(value));
  const seen = Array.isArray(failed) ? failed.filter(isObject).find(({ claim }) => claim === by) : undefined;
  return seen === undefined ? '' : textOf(seen, 'seen').replace(/^"(.*)"$/, '$1');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

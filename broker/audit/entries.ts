import type { Readable } from 'node:stream';
import { systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { type SealedRecord, unsealRecord } from './chain.ts';
import { mergeLines } from './merge.ts';
import { openSource, type Source } from './source.ts';

/** A line of an audit as it was read back. */
export interface Entry extends SealedRecord {
  /** As it stands in the file, without what a container runtime wrote before it. */
  readonly text: string;
  /** `file:line` */
  readonly place: string;
}

/** What a reading came across, beside the entries. */
export interface Coverage {
  /** Lines of an audit, those that were not asked for among them. */
  lines: number;
  /** RFC 3339, of the earliest and the latest line. */
  from: string | undefined;
  to: string | undefined;
  /** Lines that are not what was written, or half of one, and files that end in the middle. */
  faults: number;
  /** Lines that are no audit. */
  others: number;
}

export interface ReadOptions {
  readonly stdin: Readable;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; lines before it are passed over, and those from `until` on. */
  readonly since: number | undefined;
  readonly until: number | undefined;
  /** A fault in the files: where and what. */
  readonly onFault: (message: string) => void;
  /** Resolves when it is to be looked for more lines; rejects or resolves after the signal. None: the files as they are now. */
  readonly follow?: () => Promise<void>;
}

/** More than any event; a longer line is none, and is not kept in memory. */
export const maxLine = 256 * 1024;
/** What container runtimes write before each line of standard output. */
const runtimePrefix = /^\S+ stdout F (?=\{)/;
/** Lines in which one that comes again is known: two files have it after a rotation, collectors deliver it twice. */
const memory = 16_384;

export function withoutPrefix(line: string): string {
  return line.startsWith('{') ? line : line.replace(runtimePrefix, '');
}

/** Half a line of an audit, or one that somebody damaged. */
export function looksLikeOurs(text: string): boolean {
  return /"chain":"[^"]*","seq":\d/.test(text.slice(0, 400)) || /"previous":"[0-9a-f]{64}"/.test(text);
}

export function emptyCoverage(): Coverage {
  return { lines: 0, from: undefined, to: undefined, faults: 0, others: 0 };
}

/**
 * The lines of an audit by their times, each once, in constant memory; `coverage` grows on the way. What is wrong with a
 * line is told and counted, and hides no other. It proves nothing: that is for `verifyAudit`. Throws what opening throws.
 */
export async function* readEntries(
  files: readonly string[],
  options: ReadOptions,
  coverage: Coverage,
): AsyncGenerator<Entry> {
  const { stdin, signal, onFault, follow } = options;
  const fault = (place: string, what: string): void => {
    coverage.faults += 1;
    onFault(`${clean(place, 400)}: ${what}`);
  };
  const onTruncated = (file: string) => fault(file, 'somebody cut the file short: lines may be gone');
  const merging = {
    timeOf,
    signal,
    onFault: (file: string, error: Error) => fault(file, `cannot be read to its end: ${systemReason(error)}`),
  };
  const cameBefore = createMemory();
  const sources: Source[] = [];
  try {
    for (const file of files) {
      sources.push(await openSource(file, { stdin, maxLine, onTruncated, follow: follow !== undefined }));
    }
    let reading: readonly Source[] = sources;
    for (;;) {
      for await (const { text: raw, file, number, time } of mergeLines(reading, merging)) {
        const text = withoutPrefix(raw);
        const place = `${file}:${number}`;
        const outside = isOutside(timeOf(text), options);
        const read = text.length > maxLine ? undefined : outside ? 'outside' : unsealRecord(text);
        if (read === undefined) {
          if (looksLikeOurs(text)) fault(place, 'half a line of an audit, or one that somebody damaged');
          else if (text.trim() !== '') coverage.others += 1;
          continue;
        }
        cover(coverage, time);
        if (read === 'outside') continue;
        const { hash, intact } = read.sealed;
        if (!intact) fault(place, 'edited: not what the broker wrote');
        else if (cameBefore(hash)) continue;
        yield { ...read, text, place };
      }
      if (follow === undefined || signal.aborted) return;
      reading = sources.filter(({ followed }) => followed);
      if (reading.length === 0) return;
      await follow();
    }
  } finally {
    for (const source of sources) await source.close();
  }
}

/** Without reading all of it: the time is its first member. */
function timeOf(line: string): string | undefined {
  const start = line.startsWith('{"time":"') ? 9 : line.indexOf('{"time":"') + 9;
  if (start === 8 || start > 100) return undefined;
  const time = line.slice(start, start + 24);
  return isTime.test(time) ? time : undefined;
}

const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function isOutside(time: string | undefined, { since, until }: Pick<ReadOptions, 'since' | 'until'>): boolean {
  if (time === undefined || (since === undefined && until === undefined)) return false;
  const at = Date.parse(time);
  return (since !== undefined && at < since) || (until !== undefined && at >= until);
}

function cover(coverage: Coverage, time: string): void {
  coverage.lines += 1;
  if (time === '') return;
  if (coverage.from === undefined || time < coverage.from) coverage.from = time;
  if (coverage.to === undefined || time > coverage.to) coverage.to = time;
}

/** Knows whether a hash came lately. Two halves: taking the oldest out of a set one by one is slow. */
function createMemory(): (hash: string) => boolean {
  let recent = new Set<string>();
  let older = new Set<string>();
  return (hash) => {
    if (recent.has(hash) || older.has(hash)) return true;
    // A copy: a part of a line would keep all that was read with it.
    recent.add(Buffer.from(hash, 'latin1').toString('latin1'));
    if (recent.size >= memory) [recent, older] = [new Set(), recent];
    return false;
  };
}

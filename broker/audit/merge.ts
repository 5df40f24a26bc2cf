import type { Lines, Source } from './source.ts';

export interface Line {
  readonly text: string;
  readonly file: string;
  readonly number: number;
  /** RFC 3339, its own or that of the line before it; empty if there is none. */
  readonly time: string;
}

interface MergeOptions {
  /** The time that a line says, RFC 3339 in UTC; cheap, since it is asked of each. */
  readonly timeOf: (text: string) => string | undefined;
  /** A file cannot be read further; the others are. */
  readonly onFault: (file: string, error: Error) => void;
  readonly signal: AbortSignal;
}

/** A file that is being read. */
interface Cursor {
  readonly source: Source;
  readonly reading: AsyncGenerator<Lines>;
  lines: Lines;
  index: number;
  time: string;
}

/** A line without a time belongs to the one before it. So many without one, and a file's beginning is not known. */
const linesOfBeginning = 1000;

/**
 * The lines of all files by their times, whatever the order of the files; in the order of each file where its own times
 * disagree. A file is read only when its time has come: rotated ones follow one another, and memory stays small.
 */
export async function* mergeLines(sources: readonly Source[], options: MergeOptions): AsyncGenerator<Line> {
  const { timeOf, onFault, signal } = options;
  const waiting = await byBeginning(sources, options);
  const open: Cursor[] = [];

  /** To the next line; false at the end of the file. */
  async function advance(cursor: Cursor): Promise<boolean> {
    try {
      cursor.index += 1;
      while (cursor.index >= cursor.lines.texts.length) {
        if (signal.aborted) return false;
        const { value, done = false } = await cursor.reading.next();
        if (done || value === undefined) return false;
        cursor.lines = value as Lines;
        cursor.index = 0;
      }
      cursor.time = timeOf(cursor.lines.texts[cursor.index]!) ?? cursor.time;
      return true;
    } catch (error) {
      onFault(cursor.source.name, error as Error);
      return false;
    }
  }

  try {
    for (;;) {
      let first = earliest(open);
      while (waiting.length > 0 && (first === undefined || waiting[0]!.beginning <= first.time)) {
        const { source } = waiting.shift()!;
        const cursor = { source, reading: source.read(), lines: { texts: [], number: 1 }, index: -1, time: '' };
        if (await advance(cursor)) open.push(cursor);
        first = earliest(open);
      }
      if (first === undefined || signal.aborted) return;
      const { source, lines, index, time } = first;
      yield { text: lines.texts[index]!, file: source.name, number: lines.number + index, time };
      if (!(await advance(first))) open.splice(open.indexOf(first), 1);
    }
  } finally {
    for (const { reading } of open) await reading.return(undefined).catch(() => undefined);
  }
}

function earliest(open: readonly Cursor[]): Cursor | undefined {
  let found = open[0];
  for (const cursor of open) if (cursor.time < found!.time) found = cursor;
  return found;
}

interface Waiting {
  readonly source: Source;
  readonly beginning: string;
}

/** What passes by once, or goes on where it was, is read at once. */
async function byBeginning(sources: readonly Source[], { timeOf }: MergeOptions): Promise<Waiting[]> {
  const waiting: Waiting[] = [];
  for (const source of sources) {
    const now = !source.repeatable || source.followed;
    waiting.push({ source, beginning: now ? '' : await beginningOf(source, timeOf) });
  }
  return waiting.toSorted((a, b) => (a.beginning < b.beginning ? -1 : a.beginning > b.beginning ? 1 : 0));
}

async function beginningOf(source: Source, timeOf: MergeOptions['timeOf']): Promise<string> {
  let seen = 0;
  try {
    for await (const { texts } of source.read()) {
      const time = texts.map(timeOf).find((each) => each !== undefined);
      if (time !== undefined) return time;
      seen += texts.length;
      if (seen > linesOfBeginning) break;
    }
  } catch {
    // It is told when the file is read.
  }
  return '';
}

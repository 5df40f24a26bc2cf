import type { WriteStream } from 'node:tty';
import { KleisError } from '../../shared/errors.ts';
import { systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { type Coverage, emptyCoverage, type Entry, readEntries } from '../audit/entries.ts';
import type { Span } from '../audit/times.ts';
import type { Deps } from '../surroundings.ts';

/** Of faults that are named each; of the others the number is told. */
const maxFaults = 20;

/** What a command reads of an audit, and what it tells of it on standard error. */
export interface AuditReading {
  entries(): AsyncGenerator<Entry>;
  readonly coverage: Coverage;
  /** What was wrong with the files; after the entries. */
  tellFaults(): void;
}

/** Throws `usage` where a file cannot be opened, and `interrupted`. */
export function readAudit(
  files: readonly string[],
  { since, until, follow }: Partial<Span> & { readonly follow?: () => Promise<void> },
  { stdin, stderr, signal }: Deps,
): AuditReading {
  const coverage = emptyCoverage();
  const onFault = (message: string): void => {
    if (coverage.faults <= maxFaults) stderr.write(`warning: ${message}\n`);
  };
  return {
    coverage,
    async *entries() {
      const options = { stdin, signal, since, until, onFault, ...(follow && { follow }) };
      try {
        yield* readEntries(files, options, coverage);
      } catch (cause) {
        throw reasonFor(cause);
      }
      if (signal.aborted && follow === undefined) throw new KleisError('interrupted', 'The reading was interrupted.');
    },
    tellFaults() {
      const { faults, others, lines } = coverage;
      if (faults > maxFaults) stderr.write(`warning: ${faults - maxFaults} more faults\n`);
      if (faults > 0) stderr.write('warning: `kleis-broker audit verify` says what is wrong with these files\n');
      if (others > 0) stderr.write(`${others} lines are no audit and were passed over\n`);
      if (lines === 0 && faults === 0) stderr.write('There is no line of an audit in these files.\n');
    },
  };
}

/** Throws `usage` for what cannot be opened. */
export async function withReasons<T>(reading: Promise<T>): Promise<T> {
  return reading.catch((cause: unknown) => {
    throw reasonFor(cause);
  });
}

function reasonFor(cause: unknown): unknown {
  const { path } = cause as NodeJS.ErrnoException;
  if (cause instanceof KleisError || path === undefined) return cause;
  return new KleisError('usage', `${clean(path, 400)} cannot be read: ${systemReason(cause)}.`, { cause });
}

/** The times that the files have, as a sentence part. */
export function covers({ from, to }: Pick<Coverage, 'from' | 'to'>): string {
  return from === undefined || to === undefined ? 'no time' : `${from} to ${to}`;
}

/** Writes, and waits where the reader is slow: gigabytes are not to gather in memory. False: nobody reads any more. */
export async function writeSlowly(stream: WriteStream, text: string, signal: AbortSignal): Promise<boolean> {
  if (stream.destroyed || stream.errored) return false;
  if (stream.write(text)) return true;
  return new Promise((resolve) => {
    const settle = (open: boolean) => () => {
      stream.off('drain', onDrain).off('close', onClose).off('error', onClose);
      signal.removeEventListener('abort', onClose);
      resolve(open);
    };
    const [onDrain, onClose] = [settle(true), settle(false)];
    stream.once('drain', onDrain).once('close', onClose).once('error', onClose);
    signal.addEventListener('abort', onClose, { once: true });
  });
}

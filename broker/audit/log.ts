import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { KleisError } from '../../shared/errors.ts';
import { systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { seal, startOfChain, type Head } from './chain.ts';
import type { AuditEvent } from './event.ts';
import { openFile } from './file.ts';
import { openPipe, SinkError, streamSink, type Sink } from './sink.ts';

export interface AuditLog {
  /**
   * Resolves when the event is written. Throws `audit_unavailable`: then it is written as soon as that is possible, and
   * what it tells of must not happen.
   */
  record(event: AuditEvent): Promise<void>;
  /** Throws `audit_unavailable` while events wait to be written: nothing that must be recorded is to begin then. */
  assertWritable(): void;
  /** Of the last line that is written. */
  readonly head: Head;
  readonly health: AuditHealth;
  /** Opens the file anew: it was rotated. */
  reopen(): void;
  /** Writes what is left, and a last line. */
  close(): Promise<void>;
}

export interface AuditHealth {
  readonly ok: boolean;
  /** Lines that are written. */
  readonly lines: number;
  /** Outcomes that were not recorded since the start; only their number is known. */
  readonly lost: number;
  /** How often somebody cut the file short; lines that were written may be gone. */
  readonly truncations: number;
  readonly lastError: string | undefined;
}

export interface AuditOptions {
  /** A path, or `-` for standard output. */
  readonly file: string;
  readonly stdout: NodeJS.WritableStream;
  readonly now: () => number;
  readonly host: string;
  readonly version: string;
  /** SHA-256 (hex) of the configuration that it starts with. */
  readonly policy: string;
  /** Milliseconds that one event waits to be written; 5 s if not given. */
  readonly patience?: number;
  /** Hears of each line when it is sealed, before it is written. Must not throw. */
  readonly onLine?: (event: AuditEvent, line: string, now: number) => void;
}

/**
 * The patience with a sink is in so many parts, one after the other: where this process was held up, by a large configuration
 * or for want of a processor, one part is over at most, and the sink is not blamed.
 */
const parts = 5;

/** What is kept for later while the audit cannot be written: some thousands of events. */
const maxBacklog = 2 * 1024 * 1024;
/** How often it is looked whether it can be written, while nobody writes. Milliseconds. */
const lookEvery = 1000;

/** Lines that are written together, and so wait together. */
interface Batch {
  text: string;
  head: Head;
  readonly settled: Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Begins a chain and writes its first line. Throws `config_invalid`: a broker without its audit is not to begin. */
export async function openAuditLog(options: AuditOptions): Promise<AuditLog> {
  const { file, stdout, host, version, policy } = options;
  const sink = await openSink(file, stdout).catch((cause: unknown) => {
    throw cannotBegin(file, cause);
  });
  const log = createAuditLog(sink, options);
  try {
    await log.record({ event: 'started', outcome: 'done', host: clean(host, 100), version, policy });
    return log;
  } catch (cause) {
    await log.close();
    throw cannotBegin(file, cause instanceof KleisError ? cause.cause : cause);
  }
}

async function openSink(file: string, stdout: NodeJS.WritableStream): Promise<Sink> {
  if (file === '-') return streamSink(stdout);
  const regular = (await stat(file).catch(() => undefined))?.isFile() ?? true;
  return regular ? openFile(file) : openPipe(file);
}

function cannotBegin(file: string, cause: unknown): KleisError {
  const place = file === '-' ? 'standard output' : clean(file, 400);
  const reason = systemReason(cause instanceof SinkError ? cause.cause : cause);
  return new KleisError('config_invalid', `The audit cannot be written to ${place}: ${reason}.`, {
    hint: 'Correct audit.file, or what stands in its way. In a container: mount a volume there that its user can write, or let it be "-", standard output.',
    cause,
  });
}

/** The same on a sink of any kind, without the first line. */
export function createAuditLog(
  sink: Sink,
  { now, host, patience = 5000, onLine }: Pick<AuditOptions, 'now' | 'host' | 'patience' | 'onLine'>,
): AuditLog {
  let sealed = startOfChain(chainName(host));
  let written = sealed;
  /** What comes while another batch is written. */
  let next: Batch | undefined;
  /** Bytes that are not written, the backlog's among them. */
  let queued = 0;
  /** Lines whose writing failed. */
  let backlog: Buffer = Buffer.alloc(0);
  let backlogHead = sealed;
  let writing: Promise<void> | undefined;
  let lost = 0;
  /** Of those the audit says so itself. */
  let toldLost = 0;
  let lastError: string | undefined;
  let truncations = 0;

  const openBatch = (): Batch => {
    let [done, failed]: [() => void, (error: unknown) => void] = [() => undefined, () => undefined];
    const settled = new Promise<void>((resolve, reject) => {
      [done, failed] = [resolve, reject];
    });
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      timer = setTimeout(() => {
        if (left > 1) return wait(left - 1);
        // A sink that hangs reports nothing: until it takes something again it is as good as one that fails.
        lastError = 'it takes too long';
        failed(unavailable(new Error(lastError)));
      }, patience / parts);
    };
    wait(parts);
    const cancel = (): void => clearTimeout(timer);
    settled.then(cancel, cancel);
    return { text: '', head: sealed, settled, done, failed };
  };

  const append = (event: AuditEvent): Promise<void> => {
    const time = now();
    const { line, head } = seal(sealed, event, time);
    sealed = head;
    onLine?.(event, line, time);
    next ??= openBatch();
    next.text += `${line}\n`;
    next.head = head;
    queued += Buffer.byteLength(line) + 1;
    writing ??= write();
    return next.settled;
  };

  const takeBatch = (): Batch | undefined => {
    const batch = next;
    next = undefined;
    return batch;
  };

  /** Writes all lines that came meanwhile as one batch: under load one sync serves many. */
  const write = async (): Promise<void> => {
    // Lines of the same turn of the event loop go into one batch.
    await Promise.resolve();
    let batch = takeBatch();
    do {
      const size = queued;
      const lines = Buffer.from(batch?.text ?? '');
      const bytes = backlog.length === 0 ? lines : Buffer.concat([backlog, lines]);
      const last = batch?.head ?? backlogHead;
      try {
        await sink.write(bytes);
        backlog = Buffer.alloc(0);
        lastError = undefined;
        queued -= size;
        written = last;
        batch?.done();
      } catch (error) {
        backlog = bytes;
        lastError = reasonOf(error);
        batch?.failed(unavailable(error));
      }
      backlogHead = last;
      batch = takeBatch();
    } while (batch !== undefined);
    writing = undefined;
    if (lastError !== undefined) return;
    if (lost > toldLost) tellLost();
    if (sink.truncations > truncations) tellTruncated();
  };

  // Also without lines: so a disk that has room again and a file that was moved away are noticed early.
  const looking = setInterval(() => {
    writing ??= write();
  }, lookEvery).unref();

  const tellTruncated = (): void => {
    ({ truncations } = sink);
    append({ event: 'truncated', outcome: 'failed', reason: 'lines may be gone' }).catch(() => undefined);
  };

  const tellLost = (): void => {
    const missing = lost - toldLost;
    toldLost = lost;
    append({ event: 'resumed', outcome: 'done', lost: missing }).catch(() => undefined);
  };

  const writeLast = async (): Promise<void> => {
    await append({ event: 'stopped', outcome: 'done' }).catch(() => undefined);
    await writing;
  };

  return {
    async record(event) {
      if (queued > maxBacklog) {
        lost += 1;
        throw unavailable(new Error('too many events wait already'));
      }
      return append(event);
    },
    assertWritable() {
      if (lastError !== undefined) throw unavailable(new Error(lastError));
    },
    get head() {
      return written;
    },
    get health() {
      return { ok: lastError === undefined, lines: written.seq, lost, truncations: sink.truncations, lastError };
    },
    reopen() {
      sink.reopen();
      writing ??= write();
    },
    async close() {
      clearInterval(looking);
      // A sink that hangs must not keep the process from ending.
      await within(patience, writeLast());
      await within(patience, sink.close()).catch(() => undefined);
    },
  };
}

/** Settles as `work` does, and after so many milliseconds in any case. */
async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, over]).finally(() => clearTimeout(timer));
}

/** A Kubernetes name: readable, and unique. */
function chainName(host: string): string {
  const readable = host
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  return `${readable === '' ? 'replica' : readable}-${randomBytes(6).toString('hex')}`;
}

function unavailable(cause: unknown): KleisError {
  return new KleisError('audit_unavailable', 'The broker cannot write its audit at the moment.', {
    detail: reasonOf(cause),
    cause,
    retryAfter: 5,
  });
}

function reasonOf(error: unknown): string {
  const inner = error instanceof SinkError ? error.cause : error;
  const { code, message } = inner as NodeJS.ErrnoException;
  return clean(code ?? message);
}

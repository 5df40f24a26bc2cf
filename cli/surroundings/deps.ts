import type { ReadStream, WriteStream } from 'node:tty';
import type { Report } from './report.ts';

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** What the program takes from its surroundings: everything that a test may want to be another, and nothing else. */
export interface Deps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  readonly clock: Clock;
  readonly platform: NodeJS.Platform;
  readonly pid: number;
  readonly ppid: number;
  /** When this program was started, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** The program that started this one has ended, so that nobody waits for an answer any more. */
  readonly parentIsGone: () => boolean;
  /** What a person reads: stderr, never stdout. */
  readonly report: Report;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

import type { Readable } from 'node:stream';
import type { WriteStream } from 'node:tty';

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** What the broker takes from its surroundings. */
export interface Deps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: WriteStream;
  /** Logs, and what a person reads. */
  readonly stderr: WriteStream;
  readonly clock: Clock;
  /** Of this machine or pod: names its part of the audit. */
  readonly host: string;
  /** Its number; 0 is root. Undefined where users have none. */
  readonly user: number | undefined;
  /** Aborted by SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
  /** SIGHUP; returns what takes the listener away. */
  onHangUp(listener: () => void): () => void;
}

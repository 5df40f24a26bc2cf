import { parseObject } from '../../shared/json.ts';
import { asText } from '../../shared/text.ts';
import { hash } from 'node:crypto';
import type { AuditEvent } from './event.ts';

/** Where a chain stands: what the next line names as its predecessor, and what an anchor holds. */
export interface Head {
  /** One for each start of a replica; a Kubernetes name. */
  readonly chain: string;
  /** Of the last line; the first is 1. */
  readonly seq: number;
  /** Of the last line, in hex; 64 zeros before the first. */
  readonly hash: string;
}

/** A line as it was read back. */
export interface Sealed {
  readonly chain: string;
  readonly seq: number;
  readonly previous: string;
  readonly hash: string;
  /** The hash is that of the text. */
  readonly intact: boolean;
  readonly event: string;
  readonly time: string;
}

const noHash = '0'.repeat(64);
const ending = /^(.*),"hash":"([0-9a-f]{64})"\}$/s;

export function startOfChain(chain: string): Head {
  return { chain, seq: 0, hash: noHash };
}

/**
 * The next line of a chain, without its line feed. The hash is the last member and is over the text before it, so that
 * it can be checked without agreeing on a canonical form of JSON.
 */
export function seal(head: Head, event: AuditEvent, now: number): { readonly line: string; readonly head: Head } {
  const seq = head.seq + 1;
  const time = new Date(now).toISOString();
  const body = JSON.stringify({ time, chain: head.chain, seq, ...event, previous: head.hash });
  const own = hash('sha256', body);
  return { line: `${body.slice(0, -1)},"hash":"${own}"}`, head: { chain: head.chain, seq, hash: own } };
}

/** A line with all that it says. */
export interface SealedRecord {
  readonly sealed: Sealed;
  readonly record: Readonly<Record<string, unknown>>;
}

/** Undefined if it is no line of an audit. */
export function unseal(line: string): Sealed | undefined {
  return unsealRecord(line)?.sealed;
}

/** The same with what it says. */
export function unsealRecord(line: string): SealedRecord | undefined {
  const match = ending.exec(line);
  if (match === null) return undefined;
  const [, start = '', given = ''] = match;
  const body = `${start}}`;
  const record = parseObject(body);
  if (record === undefined) return undefined;
  const { chain, seq, previous, event, time } = record;
  if (typeof chain !== 'string' || typeof seq !== 'number' || typeof previous !== 'string') return undefined;
  if (!Number.isSafeInteger(seq) || seq < 1) return undefined;
  const intact = hash('sha256', body) === given;
  return { sealed: { chain, seq, previous, hash: given, intact, event: asText(event), time: asText(time) }, record };
}

export function isStart(head: Pick<Head, 'seq' | 'hash'>): boolean {
  return head.seq === 0 && head.hash === noHash;
}

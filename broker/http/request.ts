import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { Request, Response } from 'express';

/** What is known of a request before anything in it is believed. */
export interface RequestContext {
  /** Made here: what a caller sends could be somebody else's. */
  readonly requestId: string;
  /** W3C Trace Context, with a parent id of our own; undefined if the caller sent none that can be used. */
  readonly trace: Trace | undefined;
  readonly address: string;
  /** Aborted when the caller went away before the answer was sent. */
  readonly gone: AbortSignal;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

export interface Trace {
  readonly id: string;
  /** For the calls that are made for this request. */
  readonly headers: Readonly<Record<string, string>>;
}

const contexts = new WeakMap<Request, RequestContext>();

export function contextOf(request: Request): RequestContext {
  const context = contexts.get(request);
  if (context === undefined) throw new Error('a request without its context');
  return context;
}

export function openContext(request: Request, response: Response): RequestContext {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const context: RequestContext = {
    requestId: randomUUID(),
    trace: readTrace(request.get('traceparent'), request.get('tracestate')),
    address: addressOf(request),
    gone: gone.signal,
    startedAt: performance.now(),
  };
  contexts.set(request, context);
  return context;
}

/** What express found by the trusted proxies; a header can hold anything, so it must be an address. */
function addressOf(request: Request): string {
  const candidates = [request.ip, request.socket.remoteAddress].map((one) => withoutPort(one ?? ''));
  const found = candidates.find((one) => isIP(one) !== 0);
  return (found ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '');
}

/** Some proxies write `203.0.113.9:4711` or `[2001:db8::1]:4711` into X-Forwarded-For. */
export function withoutPort(address: string): string {
  const match = /^(?:([\d.]+):\d{1,5}|\[([\da-fA-F:.]+)\](?::\d{1,5})?)$/.exec(address);
  return match?.[1] ?? match?.[2] ?? address;
}

const unsampledZero = /^0+$/;

/** W3C Trace Context, section 3.2; of later versions the part that this one knows. */
export function readTrace(traceparent: string | undefined, tracestate: string | undefined): Trace | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceparent ?? '');
  if (match === null) return undefined;
  const [, version = '', id = '', parent = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (unsampledZero.test(id) || unsampledZero.test(parent)) return undefined;
  const span = randomUUID().replaceAll('-', '').slice(0, 16);
  const headers: Record<string, string> = {
    traceparent: `00-${id}-${unsampledZero.test(span) ? parent : span}-${flags}`,
  };
  // Opaque to us; passed on as it came if it is short and clean enough to stand in a header.
  if (tracestate !== undefined && /^[\x20-\x7e]{1,512}$/.test(tracestate)) headers['tracestate'] = tracestate;
  return { id, headers };
}

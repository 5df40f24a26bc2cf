import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { KleisError } from '../errors.ts';
import { KubeError } from './error.ts';
import { explainNetworkError, isTrustFailure, neverSent } from '../net/network-errors.ts';
import { isPassingStatus, readRetryAfter } from '../net/retry.ts';
import { clean } from '../text.ts';

// Not through createFetch: a mint is up to three calls and has one millisecond of processor time for all of them, of
// which a Response, its Headers and two AbortSignals for each call would take a third; and nothing but the socket can
// tell whether a write that failed may have been carried out.

export interface KubeRequest {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the call with its repetitions; 10 s if not given. */
  readonly timeout?: number;
  /** Bytes; 1 MiB if not given. */
  readonly maxBody?: number;
  /** To do it twice is harmless, so it is sent again when the connection was cut. GET always is. */
  readonly repeatable?: boolean;
}

export interface KubeAnswer<T> {
  readonly status: number;
  readonly body: T;
  /** The texts of `Warning: 299` headers, cleaned. */
  readonly warnings: readonly string[];
  /** The server's clock in milliseconds, to the second. */
  readonly date: number | undefined;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Where and how to send. */
export interface Target {
  readonly base: https.RequestOptions;
  /** Of every path. */
  readonly prefix: string;
  readonly authorization: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told of every new connection. */
  readonly connected: () => void;
}

/** Carries what only the client needs to know; whoever calls that gets `failure`. */
export class CallError extends Error {
  readonly failure: KubeError;
  readonly date: number | undefined;
  readonly kind: 'unsent' | 'cut' | 'late' | 'answer';

  constructor(failure: KubeError, kind: CallError['kind'], date?: number) {
    super(failure.message);
    this.failure = failure;
    this.kind = kind;
    this.date = date;
  }
}

class TooLarge extends Error {}

/** One request and its answer, sent once. Throws `CallError`. */
export function exchange<T>(
  { base, prefix, authorization, now, connected }: Target,
  method: Method,
  path: string,
  text: string | undefined,
  { query, headers: more, signal, maxBody = 1024 * 1024 }: KubeRequest,
  deadline: number,
): Promise<KubeAnswer<T>> {
  const headers: Record<string, string | number> = { accept: 'application/json', 'user-agent': 'kleis', ...more };
  if (authorization !== undefined) headers['authorization'] = authorization;
  if (text !== undefined) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = Buffer.byteLength(text);
  }
  const what = `${method} ${path}`;
  return new Promise((resolve, reject) => {
    let sent = false;
    let late: string | undefined;
    let settled = false;
    const call = https.request({ ...base, method, path: `${prefix}${path}${toQuery(query)}`, headers });
    const settle = () => {
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown) => {
      if (settled) return;
      settle();
      reject(networkFailure(error, what, base.host!, { sent, late, changes: method !== 'GET' }));
    };
    const stop = (why: string) => {
      late = why;
      call.destroy(new Error(why));
    };
    const onAbort = () => stop('it was given up');
    const timer = setTimeout(stop, Math.max(1, deadline - performance.now()), 'it did not answer in time');
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    call.once('socket', (socket) => {
      // Until the handshake is over nothing of the request has left this process.
      if ((socket as { secureConnecting?: boolean }).secureConnecting === true) {
        socket.once('secureConnect', () => {
          sent = true;
          connected();
        });
      } else sent = true;
    });
    call.once('error', fail);
    call.once('response', (message) => {
      collect(message, maxBody, (error, body) => {
        if (error !== undefined) {
          call.destroy();
          return fail(error);
        }
        if (settled) return;
        settle();
        try {
          resolve(readAnswer<T>(message, body, { what, changes: method !== 'GET', now: now() }));
        } catch (failure) {
          reject(failure);
        }
      });
    });
    call.end(text);
  });
}

function collect(
  message: IncomingMessage,
  maxBody: number,
  done: (error: Error | undefined, body: Buffer) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  message.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBody) done(new TooLarge(`it answers with more than ${maxBody} bytes`), chunk);
    else chunks.push(chunk);
  });
  message.once('end', () => done(undefined, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
  message.once('error', (error) => done(error, Buffer.alloc(0)));
  message.once('aborted', () => done(Object.assign(new Error('cut'), { code: 'ECONNRESET' }), Buffer.alloc(0)));
}

function networkFailure(
  error: unknown,
  what: string,
  host: string,
  { sent, late, changes }: { sent: boolean; late: string | undefined; changes: boolean },
): CallError {
  const { code = '' } = error as { code?: string };
  const explained = explainNetworkError(error, new URL(`https://${host.includes(':') ? `[${host}]` : host}`));
  const own = code === '' && !(error instanceof AggregateError) && !(error instanceof KleisError);
  const why = late ?? (own ? (error as Error).message : (explained.detail ?? explained.message));
  const failure = new KubeError(`${what}: ${clean(why)}.`, {
    ambiguous: sent && changes,
    retryable: !isTrustFailure(error),
    tooLarge: error instanceof TooLarge,
    cause: error,
  });
  const kind = !sent || neverSent(error) ? 'unsent' : own ? 'late' : 'cut';
  return new CallError(failure, late === undefined ? kind : 'late');
}

interface Asked {
  readonly what: string;
  readonly changes: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

function readAnswer<T>(message: IncomingMessage, body: Buffer, asked: Asked): KubeAnswer<T> {
  const status = message.statusCode ?? 0;
  const date = message.headers.date === undefined ? undefined : Date.parse(message.headers.date) || undefined;
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    value = undefined;
  }
  if (status >= 200 && status < 300 && typeof value === 'object' && value !== null) {
    return { status, body: value as T, warnings: warningsOf(message), date };
  }
  throw new CallError(refusal(message, status, value, asked), 'answer', date);
}

interface Status {
  readonly kind?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly kind?: unknown; readonly name?: unknown; readonly retryAfterSeconds?: unknown };
}

function refusal(message: IncomingMessage, status: number, value: unknown, { what, changes, now }: Asked): KubeError {
  const said = (value ?? {}) as Status;
  const isKube = said.kind === 'Status';
  const { kind, name } = (isKube ? said.details : undefined) ?? {};
  const reason = isKube && typeof said.reason === 'string' ? clean(said.reason, 60) : undefined;
  const text = isKube && typeof said.message === 'string' ? `: ${clean(said.message, 600)}` : '';
  return new KubeError(`${what}: HTTP ${status}${text}`, {
    status,
    reason,
    about: typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined,
    retryAfter: readRetryAfter(message.headers['retry-after'] ?? secondsOf(said), now),
    // etcd may have written what the API server then took too long to confirm; a proxy may have lost a good answer.
    ambiguous: changes && (status >= 500 || status < 400),
    retryable: isPassingStatus(status) || (status === 409 && reason !== 'AlreadyExists'),
  });
}

function secondsOf({ details }: Status): string | undefined {
  return typeof details?.retryAfterSeconds === 'number' ? String(details.retryAfterSeconds) : undefined;
}

function warningsOf(message: IncomingMessage): readonly string[] {
  if (message.headers['warning'] === undefined) return [];
  const values = message.headersDistinct['warning'] ?? [];
  // RFC 7234 section 5.5: code, agent, quoted text; the API server sends 299 and "-".
  return values.slice(0, 10).flatMap((value) =>
    Array.from(value.slice(0, 4096).matchAll(/\b\d{3} \S+ "((?:[^"\\]|\\.)*)"/g))
      .slice(0, 10)
      .map(([, text = '']) => clean(text.replace(/\\(.)/g, '$1'), 300)),
  );
}

function toQuery(query: KubeRequest['query']): string {
  if (query === undefined) return '';
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

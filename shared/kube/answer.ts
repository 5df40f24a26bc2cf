import type { Dispatcher } from 'undici';
import { explainNetworkError, isTrustFailure } from '../net/network-errors.ts';
import { isPassingStatus, readRetryAfter } from '../net/retry.ts';
import { clean } from '../text.ts';
import { KubeError } from './error.ts';

export interface KubeAnswer<T> {
  readonly status: number;
  readonly body: T;
  /** The texts of `Warning: 299` headers, cleaned. */
  readonly warnings: readonly string[];
  /** The server's clock in milliseconds, to the second. */
  readonly date: number | undefined;
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

/** The end that we ourselves put to a call. */
export class Stopped extends Error {
  readonly tooLarge: boolean;

  constructor(why: string, { tooLarge = false } = {}) {
    super(why);
    this.tooLarge = tooLarge;
  }
}

export type Headers = Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>[2];

interface Asked {
  /** For messages: method and path. */
  readonly what: string;
  /** It is no GET. */
  readonly changes: boolean;
}

/** Undici's own names for what happens to a connection; the other ones are those of Node. */
const reasons: Readonly<Record<string, string>> = {
  HTTPParserError: 'it does not speak HTTP there',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_DESTROYED: 'the connection was closed on this side',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of its answer are too long',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'its answer is longer or shorter than it says',
};

/** Where no whole answer came. `sent`: some of the request may have arrived. */
export function networkFailure(
  error: unknown,
  sent: boolean,
  { what, changes, server }: Asked & { readonly server: URL },
): CallError {
  const stopped = error instanceof Stopped;
  const failure = new KubeError(`${what}: ${clean(stopped ? error.message : reasonOf(error, server))}.`, {
    ambiguous: sent && changes,
    retryable: !isTrustFailure(error),
    tooLarge: stopped && error.tooLarge,
    cause: error,
  });
  return new CallError(failure, stopped ? 'late' : sent ? 'cut' : 'unsent');
}

function reasonOf(error: unknown, server: URL): string {
  const { code, name } = error as { readonly code?: string; readonly name?: string };
  const own = reasons[code ?? name ?? ''];
  if (own !== undefined) return own;
  const { detail, message } = explainNetworkError(error, server);
  return detail ?? message;
}

/** Throws `CallError` where it is no success, or no JSON. */
export function readAnswer(
  status: number,
  headers: Headers,
  body: Buffer,
  asked: Asked & { readonly now: () => number },
): KubeAnswer<never> {
  const date = headers['date'] === undefined ? undefined : Date.parse(String(headers['date'])) || undefined;
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    value = undefined;
  }
  if (status >= 200 && status < 300 && typeof value === 'object' && value !== null) {
    return { status, body: value as never, warnings: warningsOf(headers['warning']), date };
  }
  throw new CallError(refusal(status, headers, value, asked), 'answer', date);
}

interface Status {
  readonly kind?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly kind?: unknown; readonly name?: unknown; readonly retryAfterSeconds?: unknown };
}

function refusal(
  status: number,
  headers: Headers,
  value: unknown,
  { what, changes, now }: Asked & { readonly now: () => number },
): KubeError {
  const said = (value ?? {}) as Status;
  const isKube = said.kind === 'Status';
  const { kind, name } = (isKube ? said.details : undefined) ?? {};
  const reason = isKube && typeof said.reason === 'string' ? clean(said.reason, 60) : undefined;
  const text = isKube && typeof said.message === 'string' ? `: ${clean(said.message, 600)}` : '';
  return new KubeError(`${what}: HTTP ${status}${text}`, {
    status,
    reason,
    about: typeof kind === 'string' && typeof name === 'string' ? { kind, name } : undefined,
    retryAfter: readRetryAfter([headers['retry-after']].flat()[0] ?? secondsOf(said), now()),
    // etcd may have written what the API server then took too long to confirm; a proxy may have lost a good answer.
    ambiguous: changes && (status >= 500 || status < 400),
    retryable: isPassingStatus(status) || (status === 409 && reason !== 'AlreadyExists'),
  });
}

function secondsOf({ details }: Status): string | undefined {
  return typeof details?.retryAfterSeconds === 'number' ? String(details.retryAfterSeconds) : undefined;
}

const none: readonly string[] = [];

function warningsOf(header: string | string[] | undefined): readonly string[] {
  if (header === undefined) return none;
  // RFC 7234 section 5.5: code, agent, quoted text; the API server sends 299 and "-".
  return [header]
    .flat()
    .slice(0, 10)
    .flatMap((value) =>
      Array.from(value.slice(0, 4096).matchAll(/\b\d{3} \S+ "((?:[^"\\]|\\.)*)"/g))
        .slice(0, 10)
        .map(([, text = '']) => clean(text.replace(/\\(.)/g, '$1'), 300)),
    );
}

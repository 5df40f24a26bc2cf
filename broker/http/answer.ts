import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';
import type { KleisError } from '../../shared/errors.ts';
import type { ErrorResponse } from '../../shared/protocol.ts';
import { failedOf } from '../policy/explain.ts';

/** What a route answers with. */
export interface Answer {
  readonly status: number;
  /** With its charset, which is UTF-8. */
  readonly type: string;
  readonly body: string;
  /** They take the place of those that every answer has. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** `Cache-Control`; if not given, nobody keeps it. */
  readonly cache?: string;
  /** Nobody is to send anything more on the connection. */
  readonly last?: boolean;
}

export function json(body: object, status = 200): Answer {
  return { status, type: 'application/json; charset=utf-8', body: JSON.stringify(body) };
}

/** The one form of everything that is not 2xx. `detail` and `cause` stay here. */
export function refusal(error: KleisError, requestId: string): Answer {
  const { code, message, hint, oauth, status } = error;
  const failed = failedOf(error);
  const body: ErrorResponse = {
    error: oauth,
    // All that most clients of OAuth print.
    error_description: describe(`${message} ${hint} (request ${requestId})`),
    code,
    message,
    hint,
    request_id: requestId,
    ...(failed && { failed }),
  };
  return {
    ...json(body, status),
    headers: {
      ...retryHeader(error),
      ...(status === 401 && { 'WWW-Authenticate': `Bearer error="${oauth}"` }),
    },
    // Who has too much to send is not to keep a connection from others.
    last: status === 429,
  };
}

/** RFC 9110 section 10.2.3; two seconds where it is only known to be over soon. */
export function retryHeader({ status, retryAfter }: KleisError): { readonly 'Retry-After'?: string } {
  return retryAfter !== undefined || status === 503 ? { 'Retry-After': String(retryAfter ?? 2) } : {};
}

/** With every answer; names and values in turn. */
const protection = Object.entries(headersOfHelmet()).flat();
const never = ['Cache-Control', 'no-store', 'Pragma', 'no-cache'];

/** They are the same for all requests: it is asked once. */
function headersOfHelmet(): Record<string, string> {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  const directives = { defaultSrc: ["'none'"], frameAncestors: ["'none'"] };
  const protect = helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    referrerPolicy: { policy: 'no-referrer' },
  });
  protect(request, response, (fault) => {
    if (fault !== undefined) throw fault;
  });
  return Object.fromEntries(response.getHeaderNames().map((name) => [name, String(response.getHeader(name))]));
}

export function send(
  response: ServerResponse,
  { status, type, body, headers, cache, last = false }: Answer,
  { requestId, draining }: { readonly requestId: string; readonly draining: boolean },
): void {
  const keep = cache === undefined ? never : ['Cache-Control', cache];
  const common = headers === undefined ? protection : protectionBeside(headers);
  const head = [...common, ...keep, 'X-Request-Id', requestId];
  for (const [name, value] of Object.entries(headers ?? {})) for (const each of [value].flat()) head.push(name, each);
  if (last || draining) head.push('Connection', 'close');
  // RFC 9110 section 15.4.5: they would be those of the body that is not sent.
  if (status !== 304) head.push('Content-Type', type, 'Content-Length', String(Buffer.byteLength(body)));
  response.writeHead(status, head);
  // A text goes out with its headers in one piece. Of the answer to a HEAD Node leaves it away.
  response.end(body);
}

function protectionBeside(headers: NonNullable<Answer['headers']>): string[] {
  const given = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  return protection.filter((_, index) => !given.has(protection[index - (index % 2)]!.toLowerCase()));
}

/** RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E. */
function describe(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

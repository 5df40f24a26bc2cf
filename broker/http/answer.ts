import type { Response } from 'express';
import type { KleisError } from '../../shared/errors.ts';
import type { ErrorResponse } from '../../shared/protocol.ts';
import { failedOf } from '../policy/explain.ts';

/** What a route answers with. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function json(body: object, status = 200): Answer {
  return { status, type: 'application/json', body: JSON.stringify(body) };
}

/** The one form of everything that is not 2xx. `detail` and `cause` stay here. */
export function refusal(error: KleisError, requestId: string): Answer {
  const { code, message, hint, oauth, status, retryAfter } = error;
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
      ...((retryAfter !== undefined || status === 503) && { 'Retry-After': String(retryAfter ?? 2) }),
      // Who has too much to send is not to keep a connection from others.
      ...(status === 429 && { Connection: 'close' }),
      ...(status === 401 && { 'WWW-Authenticate': `Bearer error="${oauth}"` }),
    },
  };
}

export function send(response: Response, { status, type, body, headers = {} }: Answer): void {
  response.status(status).set(headers).type(type).send(body);
}

/** RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E. */
function describe(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

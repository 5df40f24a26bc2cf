import type { Response } from 'express';
import type { KleisError } from '../../shared/errors.ts';
import type { ErrorResponse } from '../../shared/protocol.ts';
import { failedOf } from '../policy/explain.ts';

export function sendJson(response: Response, status: number, body: object): void {
  response.status(status).type('application/json').send(JSON.stringify(body));
}

/** The one form of everything that is not 2xx. `detail` and `cause` stay here. */
export function sendError(response: Response, error: KleisError, requestId: string): void {
  const { code, message, hint, oauth, status, retryAfter } = error;
  const failed = failedOf(error);
  const body: ErrorResponse = {
    error: oauth,
    error_description: describe(`${message} ${hint}`),
    code,
    message,
    hint,
    request_id: requestId,
    ...(failed && { failed }),
  };
  if (retryAfter !== undefined || status === 503) response.set('Retry-After', String(retryAfter ?? 2));
  if (status === 401) response.set('WWW-Authenticate', `Bearer error="${oauth}"`);
  sendJson(response, status, body);
}

/** RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E. */
function describe(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

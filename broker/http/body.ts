import type { IncomingMessage } from 'node:http';
import { KleisError } from '../../shared/errors.ts';

const formType = /^application\/x-www-form-urlencoded[ \t]*(?:;|$)/i;

/**
 * The body of a form, at most so many bytes. What is beyond them is read off and not kept. Throws `request_malformed`,
 * `request_too_large`, `caller_gone`.
 */
export async function readBody(request: IncomingMessage, max: number): Promise<Buffer> {
  const { 'content-type': type = '', 'content-encoding': encoding = '' } = request.headers;
  if (!formType.test(type)) {
    throw new KleisError('request_malformed', 'The request is not application/x-www-form-urlencoded.');
  }
  if (!/^(?:identity)?$/i.test(encoding)) {
    throw new KleisError('request_malformed', 'The body is compressed, which is not supported.');
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const gone = (): void => reject(new KleisError('caller_gone', 'The request ended in its middle.'));
    if (request.destroyed) return gone();
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= max) chunks.push(chunk);
    });
    request.once('close', gone);
    request.once('end', () => {
      request.off('close', gone);
      if (length > max) reject(new KleisError('request_too_large', `The body is longer than ${max} bytes.`));
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    });
  });
}

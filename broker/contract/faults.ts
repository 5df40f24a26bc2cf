import { KleisError } from '../../shared/errors.ts';

export function malformed(message: string, hint?: string): KleisError {
  return new KleisError('request_malformed', message, hint === undefined ? {} : { hint });
}

import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';

/** RFC 6750 section 2.1. Undefined if the header is not there; throws `bearer_missing` if it is something else. */
export function readBearer(authorization: string | undefined): Secret | undefined {
  if (authorization === undefined) return undefined;
  const match = /^bearer ([\w.~+/-]+=*)$/i.exec(authorization);
  if (match?.[1] === undefined)
    throw new KleisError('bearer_missing', 'The Authorization header holds no bearer token.');
  return new Secret(match[1]);
}

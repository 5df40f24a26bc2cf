import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import type { AdminRule } from '../config/schema.ts';
import type { Subject } from '../issuers/issuers.ts';

/** RFC 6750 section 2.1. Undefined if the header is not there; throws `bearer_missing` if it is something else. */
export function readBearer(authorization: string | undefined): Secret | undefined {
  if (authorization === undefined) return undefined;
  const match = /^bearer ([\w.~+/-]+=*)$/i.exec(authorization);
  if (match?.[1] === undefined)
    throw new KleisError('bearer_missing', 'The Authorization header holds no bearer token.');
  return new Secret(match[1]);
}

/** Whether one of the configuration's rules names this subject; by type and value, as in grants. */
export function isAdmin({ issuer, claims }: Pick<Subject, 'issuer' | 'claims'>, admins: readonly AdminRule[]): boolean {
  return admins.some((rule) => {
    if (rule.issuer !== issuer || !Object.hasOwn(claims, rule.claim)) return false;
    const found = claims[rule.claim];
    return found === rule.value || (Array.isArray(found) && found.includes(rule.value));
  });
}

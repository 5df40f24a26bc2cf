import { isIP } from 'node:net';
import type { Store } from 'express-rate-limit';
import { ipKeyGenerator } from 'express-rate-limit';
import { KleisError } from '../../shared/errors.ts';
import type { BrokerConfig } from '../config/schema.ts';
import type { Subject } from '../issuers/issuers.ts';
import type { Counters } from '../service/counters.ts';

/** The same as express-rate-limit wants it; its own store keeps every address that ever came in two minutes. */
export function storeOf(counters: Counters): Store {
  return {
    increment: (key) => {
      const { hits, resetAt } = counters.increment(key);
      return { totalHits: hits, resetTime: new Date(resetAt) };
    },
    decrement: (key) => counters.decrement(key),
    resetKey: () => undefined,
  };
}

/** IPv6 is given out in networks: one customer has 2^72 addresses. */
export function keyOfAddress(address: string): string {
  return isIP(address) === 6 ? ipKeyGenerator(address, 56) : address;
}

/**
 * After verification: by issuer, and by tenant where the issuer's configuration names the claim. Never by a claim that
 * nobody verified: whoever sends those chooses whose allowance is used up. Strangers, of whom a public issuer has any
 * number, share one allowance for each issuer and use up nobody else's. Throws `rate_limited`.
 */
export function countSubject(
  counters: Counters,
  subject: Pick<Subject, 'issuer' | 'tenant'>,
  stranger: boolean,
  limits: BrokerConfig['limits'],
  now: number,
): void {
  const { issuer, tenant } = subject;
  if (stranger)
    return check(counters.increment(`strangers ${issuer}`), limits.perIssuer, now, 'strangers of an issuer');
  // The tenant first: what one tenant sends too much of must not count against the others.
  if (tenant !== undefined) {
    check(counters.increment(`tenant ${JSON.stringify([issuer, tenant])}`), limits.perTenant, now, 'tenant');
  }
  check(counters.increment(`issuer ${issuer}`), limits.perIssuer, now, 'issuer');
}

function check(count: { hits: number; resetAt: number }, limit: number, now: number, by: string): void {
  if (count.hits <= limit) return;
  throw tooMany(by, Math.max(1, Math.ceil((count.resetAt - now) / 1000)));
}

export function tooMany(by: string, retryAfter: number): KleisError {
  return new KleisError('rate_limited', 'There were too many requests within a minute.', {
    detail: `limit by ${by}`,
    retryAfter,
  });
}

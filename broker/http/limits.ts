import { isIP } from 'node:net';
import { KleisError } from '../../shared/errors.ts';
import type { Subject } from '../issuers/issuers.ts';
import type { Services } from '../service/services.ts';

/** IPv6 is given out in networks: one customer has 2^72 addresses. The first 56 bits of such an address. */
export function keyOfAddress(address: string): string {
  if (isIP(address) !== 6) return address;
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right !== undefined) {
    // An IPv4 address at its end takes the place of two.
    const after = right === '' ? 0 : right.split(':').length + Number(right.includes('.'));
    groups.push(...Array.from({ length: 8 - groups.length - after }, () => '0'), ...right.split(':'));
  }
  const [a, b, c, d] = groups.map((group) => Number.parseInt(group, 16));
  return [a, b, c, d! & 0xff00].map((group) => group!.toString(16)).join(':');
}

/**
 * After verification: by issuer, and by tenant where the issuer's configuration names the claim. Never by a claim that
 * nobody verified: whoever sends those chooses whose allowance is used up. Strangers, of whom a public issuer has any
 * number, share one allowance for each issuer and use up nobody else's. Throws `rate_limited`.
 */
export function countSubject(
  services: CountingServices,
  { issuer, tenant }: Pick<Subject, 'issuer' | 'tenant'>,
  stranger: boolean,
): void {
  const { perIssuer, perTenant } = services.loaded.config.limits;
  if (stranger) return count(services, `strangers ${issuer}`, perIssuer, 'strangers');
  // The tenant first: what one tenant sends too much of must not count against the others.
  if (tenant !== undefined) count(services, `tenant ${JSON.stringify([issuer, tenant])}`, perTenant, 'tenant');
  count(services, `issuer ${issuer}`, perIssuer, 'issuer');
}

type CountingServices = Pick<Services, 'counters' | 'telemetry' | 'loaded' | 'clock'>;

function count({ counters, telemetry, clock }: CountingServices, key: string, limit: number, by: string): void {
  const { hits, resetAt } = counters.increment(key);
  if (hits <= limit) return;
  telemetry.limited(by);
  throw tooMany(by, resetAt - clock.now());
}

/** `left`: milliseconds of the minute. */
export function tooMany(by: string, left: number): KleisError {
  return new KleisError('rate_limited', 'There were too many requests within a minute.', {
    detail: `limit by ${by}`,
    retryAfter: Math.max(1, Math.ceil(left / 1000)),
  });
}

import type { BrokerConnection } from './broker-client.ts';
import { readRevocation } from './broker-client.ts';
import { KleisError } from './errors.ts';
import { isObject } from './json.ts';
import { inParallel } from './parallel.ts';
import { type LeaseView, type RevokeResponse, routes } from './protocol.ts';
import type { Secret } from './secret.ts';
import { clean } from './text.ts';

/** A broker, asked by one of its admins. */
export interface Admin {
  readonly broker: BrokerConnection;
  readonly bearer: Secret;
}

export interface LeaseFilter {
  readonly grant?: string | undefined;
  /** As the issuer says it, whole or up to one of its colons. */
  readonly subject?: string | undefined;
  readonly state?: string | undefined;
}

const pageSize = 500;
/** A million leases; nobody has so many. */
const mostPages = 2_000;
/** Of those that were asked for: more than a person, or the memory of a small machine, can take in. */
const mostLeases = 200_000;

/** All pages. Throws what the broker says, `broker_invalid`. */
export async function allLeases({ broker, bearer }: Admin, filter: LeaseFilter = {}): Promise<LeaseView[]> {
  const leases: LeaseView[] = [];
  const seen = new Set<string>();
  for (let next: string | undefined; ;) {
    const query = new URLSearchParams({ limit: String(pageSize) });
    for (const [name, value] of Object.entries({ ...filter, continue: next })) {
      if (value !== undefined) query.set(name, value);
    }
    const { body } = await broker.request({ method: 'GET', path: `${routes.leases}?${query.toString()}`, bearer });
    const page: unknown = body['leases'];
    if (!Array.isArray(page) || page.length > pageSize || !page.every(isObject)) {
      throw broker.notABroker('it gives no list of leases');
    }
    leases.push(...page.map(readLease));
    if (leases.length > mostLeases) throw broker.notABroker('its list of leases has no end');
    if (typeof body['continue'] !== 'string') return leases;
    next = body['continue'];
    if (seen.has(next) || seen.size === mostPages) throw broker.notABroker('its list of leases has no end');
    seen.add(next);
  }
}

function readLease(item: Readonly<Record<string, unknown>>): LeaseView {
  const text = (name: string): string => clean(item[name] ?? '', 400);
  return {
    id: text('id'),
    grant: text('grant'),
    cluster: text('cluster'),
    state: text('state'),
    account: text('account'),
    holder: text('holder'),
    created: text('created'),
    expires: text('expires'),
    revocable: item['revocable'] === true,
    ...(item['why'] !== undefined && { why: text('why') }),
  };
}

/** What became of one lease. */
export type Ended =
  | (RevokeResponse & { readonly id: string })
  | { readonly id: string; readonly revoked: false; readonly error: string };

/**
 * Ends them, whichever of them cannot be ended. `code`: 0 if all of them are dead or will be at once, else the exit code
 * of one that failed.
 */
export async function endLeases(
  { broker, bearer }: Admin,
  ids: readonly string[],
): Promise<{ readonly results: readonly Ended[]; readonly code: number }> {
  let code = 0;
  const results = await inParallel(ids, 4, async (id): Promise<Ended> => {
    try {
      const path = `${routes.leases}/${encodeURIComponent(id)}`;
      return { ...readRevocation(await broker.request({ method: 'DELETE', path, bearer }), broker), id };
    } catch (error) {
      // The others are to end all the same.
      if (!(error instanceof KleisError)) throw error;
      code = error.exitCode;
      return { id, revoked: false, error: error.message };
    }
  });
  return { results, code };
}

/** For people. */
export function describeEnd(ended: Ended): string {
  if ('error' in ended) return ended.error;
  if (ended.reason === 'expired') return 'it had expired';
  return (ended.dead_within ?? 0) === 0 ? 'dead' : `dead within ${ended.dead_within} s`;
}

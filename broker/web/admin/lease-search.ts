import { isOneOf } from '../../../shared/text.ts';
import { leaseOrders, type LeaseSearch, type ShownState, shownStates } from '../../leases/overview-page.ts';
import type { Wanted } from '../../leases/matching.ts';
import { readPage } from '../view/table.tsx';
import type { Query, Visit } from '../view/visit.ts';

/** What an admin looks for, as the address says it. A value that is none of ours counts as left out. */
export function readLeaseSearch({ query }: Pick<Visit, 'query'>): LeaseSearch {
  const [order = '', direction = ''] = (query('sort') ?? '').split('-');
  return {
    ...readWanted({ query }),
    state: readState(query('state')),
    text: query('text', longest.text),
    order: isOneOf(leaseOrders, order) ? order : 'created',
    descending: isOneOf(leaseOrders, order) ? direction === 'down' : true,
    page: readPage(query('page')),
    pageSize,
  };
}

/** The part of it that says which leases are meant when all of them are revoked. */
export function readWanted({ query }: Pick<Visit, 'query'>): Wanted {
  return {
    grant: query('grant', longest.name),
    cluster: query('cluster', longest.name),
    issuer: query('issuer', longest.name),
    subject: query('subject', longest.subject),
  };
}

/** The same, as an address has it; `page` goes back to the first where anything else changes. */
export function queryOf(search: LeaseSearch, change: Partial<LeaseSearch> = {}): Query {
  const { state, text, order, descending, page, ...wanted } = { ...search, page: 1, ...change };
  return {
    ...queryOfWanted(wanted),
    state: state ?? 'any',
    text,
    sort: order === 'created' && descending ? undefined : sortOf({ order, descending }),
    page: page === 1 ? undefined : page,
  };
}

/** As an address has it. */
export function sortOf({ order, descending }: Pick<LeaseSearch, 'order' | 'descending'>): string {
  return `${order}-${descending ? 'down' : 'up'}`;
}

export function queryOfWanted({ grant, cluster, issuer, subject }: Wanted): Query {
  return { grant, cluster, issuer, subject };
}

export function isEmpty({ grant, cluster, issuer, subject }: Wanted): boolean {
  return [grant, cluster, issuer, subject].every((part) => part === undefined);
}

/** Characters. */
const longest = { name: 253, subject: 2048, text: 200 };
const pageSize = 50;

/** Live ones, where nothing is said. */
function readState(text: string | undefined): ShownState | undefined {
  if (text === 'any') return undefined;
  return isOneOf(shownStates, text) ? text : 'live';
}

import { type PageOf, pageOf } from '../../../shared/paging.ts';
import type { Warning } from '../../config/load.ts';
import type { CompiledGrant } from '../../policy/compile.ts';
import type { GrantUse } from '../../service/recent.ts';

export type GrantOrder = 'name' | 'used' | 'allowed' | 'denied' | 'warnings';

export const grantOrders: readonly GrantOrder[] = ['name', 'used', 'allowed', 'denied', 'warnings'];

export interface GrantSearch {
  /** Stands somewhere in the name. */
  readonly text: string | undefined;
  readonly cluster: string | undefined;
  readonly issuer: string | undefined;
  /** `warned`: something is unwise about it; `unused`: nothing was minted of it here since the start. */
  readonly only: 'warned' | 'unused' | undefined;
  readonly order: GrantOrder;
  /** From 1 on. */
  readonly page: number;
  readonly pageSize: number;
}

export interface GrantRow {
  readonly grant: CompiledGrant;
  readonly warnings: readonly Warning[];
  readonly use: GrantUse | undefined;
}

/** One page of the grants that fit. Ten thousand take some milliseconds. */
export function searchGrants(
  grants: Iterable<CompiledGrant>,
  warnings: ReadonlyMap<string, readonly Warning[]>,
  useOf: (grant: string) => GrantUse | undefined,
  search: GrantSearch,
): PageOf<GrantRow> {
  const text = search.text?.toLowerCase() ?? '';
  const rows: GrantRow[] = [];
  for (const grant of grants) {
    if (text !== '' && !grant.name.includes(text)) continue;
    if (search.cluster !== undefined && grant.cluster !== search.cluster) continue;
    if (search.issuer !== undefined && grant.issuer !== search.issuer) continue;
    const row = { grant, warnings: warnings.get(grant.name) ?? [], use: useOf(grant.name) };
    if (search.only === 'warned' && row.warnings.length === 0) continue;
    if (search.only === 'unused' && row.use?.lastAt !== undefined) continue;
    rows.push(row);
  }
  const keyOf = keys[search.order];
  rows.sort((one, other) => keyOf(other) - keyOf(one) || (one.grant.name < other.grant.name ? -1 : 1));
  return pageOf(rows, search.page, search.pageSize);
}

/** What there is most of stands first; by name where that is equal. */
const keys: Readonly<Record<GrantOrder, (row: GrantRow) => number>> = {
  name: () => 0,
  used: ({ use }) => use?.lastAt ?? 0,
  allowed: ({ use }) => use?.allowed ?? 0,
  denied: ({ use }) => use?.denied ?? 0,
  warnings: ({ warnings }) => warnings.length,
};

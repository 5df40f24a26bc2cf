import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LeaseRow } from '../../../broker/leases/overview.ts';
import {
  type LeaseSearch,
  leaseOrders,
  searchLeases,
  shownStates,
  stateOf,
} from '../../../broker/leases/overview-page.ts';

const now = Date.UTC(2026, 0, 1);
const row = (more: Partial<LeaseRow> = {}): LeaseRow => ({
  name: 'l1',
  grant: 'deploy-web',
  cluster: 'prod',
  state: 'active',
  account: 'kleis-identities/deploy-web',
  holder: 'ci repo:acme/web',
  acquiredAt: now - 60_000,
  endsAt: now + 60_000,
  revocable: true,
  why: undefined,
  ...more,
});
const usual: LeaseSearch = { order: 'created', descending: true, page: 1, pageSize: 50 };
const namesOf = async (rows: readonly LeaseRow[], search: Partial<LeaseSearch>) =>
  (await searchLeases(rows, { ...usual, ...search }, now)).rows.map(({ name }) => name);

const anyRow: fc.Arbitrary<LeaseRow> = fc.record({
  name: fc.uuid(),
  grant: fc.constantFrom('a', 'b', 'c'),
  cluster: fc.constantFrom('prod', 'test'),
  state: fc.constantFrom('active' as const, 'revoked' as const, 'revoking' as const),
  account: fc.constant('ns/name'),
  holder: fc.constantFrom('ci x', 'ci x:y', 'gh x', 'gh z'),
  acquiredAt: fc.integer({ min: now - 9, max: now }),
  endsAt: fc.integer({ min: now - 9, max: now + 9 }),
  revocable: fc.boolean(),
  why: fc.constant(undefined),
});
const anySearch = fc.record({
  order: fc.constantFrom(...leaseOrders),
  descending: fc.boolean(),
  state: fc.option(fc.constantFrom(...shownStates), { nil: undefined }),
  grant: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
  cluster: fc.option(fc.constant('prod'), { nil: undefined }),
  issuer: fc.option(fc.constantFrom('ci', 'gh'), { nil: undefined }),
  subject: fc.option(fc.constantFrom('x', 'z', 'y'), { nil: undefined }),
});

describe('a search among leases', () => {
  it('gives each lease that fits once, on some page, in order, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(anyRow, { selector: ({ name }) => name }), anySearch, async (rows, search) => {
        const all: LeaseRow[] = [];
        let pages = 1;
        for (let page = 1; page <= pages; page += 1) {
          const found = await searchLeases(rows, { ...search, page, pageSize: 3 }, now);
          ({ pages } = found);
          expect(found.page).toBe(page);
          all.push(...found.rows);
        }
        const { state, grant, cluster, issuer, subject, order, descending } = search;
        const fitting = rows.filter(
          (each) =>
            (state === undefined || stateOf(each, now) === state) &&
            (grant === undefined || each.grant === grant) &&
            (cluster === undefined || each.cluster === cluster) &&
            (issuer === undefined || each.holder.startsWith(`${issuer} `)) &&
            (subject === undefined || new RegExp(` ${subject}(:|$)`).test(each.holder)),
        );
        expect(all.map(({ name }) => name).toSorted()).toEqual(fitting.map(({ name }) => name).toSorted());
        const keyOf = ({ acquiredAt, endsAt, grant: of, holder }: LeaseRow) =>
          ({ created: acquiredAt, expires: endsAt, grant: of, subject: holder.slice(3) })[order];
        const keys = all.map(keyOf);
        const sorted = keys.toSorted((one, other) => (one < other ? -1 : Number(one > other)));
        expect(keys).toEqual(descending ? sorted.toReversed() : sorted);
      }),
    );
  });

  it('looks for a text in the id, the subject and the account, in capitals or not', async () => {
    const rows = [
      row({ name: 'labc' }),
      row({ name: 'l2', holder: 'ci Boss' }),
      row({ name: 'l3', account: 'ns/acc' }),
    ];
    expect(await namesOf(rows, { text: 'bOSS ' })).toEqual(['l2']);
    expect(await namesOf(rows, { text: 'ABC' })).toEqual(['labc']);
    expect(await namesOf(rows, { text: 'ns/a' })).toEqual(['l3']);
    expect(await namesOf(rows, { text: 'x'.repeat(10_000) })).toEqual([]);
    expect(await namesOf(rows, { text: ' ' })).toHaveLength(3);
  });

  it('gives the last page where there is none of that number', async () => {
    const rows = Array.from({ length: 5 }, (_, index) => row({ name: `l${index}`, acquiredAt: now - index }));
    expect(await searchLeases(rows, { ...usual, page: 99, pageSize: 2 }, now)).toMatchObject({
      page: 3,
      pages: 3,
      found: 5,
      rows: [{ name: 'l4' }],
    });
    expect(await searchLeases([], { ...usual, page: 0 }, now)).toEqual({ rows: [], found: 0, page: 1, pages: 1 });
  });

  it('among a hundred thousand lets others have their turn all the while', async () => {
    const rows = Array.from({ length: 100_000 }, (_, index) =>
      row({ name: `l${index}`, holder: `ci repo:acme/${(index * 7919) % 100_000}` }),
    );
    let turns = 0;
    let going = true;
    const count = (): void => {
      turns += 1;
      if (going) setImmediate(count);
    };
    setImmediate(count);
    const { found } = await searchLeases(rows, { ...usual, order: 'subject', text: 'acme' }, now);
    going = false;
    expect(found).toBe(100_000);
    expect(turns).toBeGreaterThan(45);
  });
});

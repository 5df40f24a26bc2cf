import { isOneOf } from '../../../shared/text.ts';
import { CompiledPolicy } from '../../policy/compile.ts';
import { viewOfGrant, warningsByGrant } from '../../routes/grants.ts';
import { Choice, Line } from '../view/choice.tsx';
import { Badge, EmptyState, Time, Two, Words } from '../view/components.tsx';
import { FilterForm } from '../view/forms.tsx';
import { type Column, readPage, Table } from '../view/table.tsx';
import { type GrantOrder, grantOrders, type GrantRow, type GrantSearch, searchGrants } from './grant-search.ts';
import { PageLinks } from './page-links.tsx';
import { PlaceChoices } from './places.tsx';
import { adminTexts } from './texts.ts';
import type { Page, PersonVisit, Query } from '../view/visit.ts';

const texts = adminTexts.grants;
const path = '/ui/admin/grants';
const pageSize = 50;

/** Every grant, how it is used, and what is unwise about it. */
export const grantsPage: Page = {
  who: 'admin',
  event: 'grants',
  work(visit, trail) {
    trail.add({ detail: 'all grants' });
    const { loaded, recent } = visit.services;
    const search = readSearch(visit);
    const all = Object.keys(loaded.config.grants).length;
    const found = searchGrants(CompiledPolicy.grants(loaded.policy), warningsByGrant(loaded), recent.use, search);
    const { rows, page, pages } = found;
    const link = (change: Partial<GrantSearch>) => visit.href(path, queryOf(search, change));
    return visit.page({
      title: texts.title,
      lead: texts.lead(recent.since),
      body: (
        <>
          <Filters visit={visit} search={search} />
          <section class="stack" aria-labelledby="found">
            <h2 id="found">{texts.found(found.found, all)}</h2>
            {rows.length === 0 ? (
              <EmptyState title={all === 0 ? texts.none : texts.noneFits} />
            ) : (
              <Table
                label={texts.title}
                columns={columns(visit, search, link)}
                rows={rows}
                keyOf={({ grant }) => grant.name}
              />
            )}
            <PageLinks label={texts.title} page={page} pages={pages} link={(to) => link({ page: to })} />
          </section>
        </>
      ),
    });
  },
};

const onlys = ['warned', 'unused'] as const;

function readSearch({ query }: PersonVisit): GrantSearch {
  const [order, only] = [query('sort'), query('only')];
  return {
    text: query('text'),
    cluster: query('cluster', 253),
    issuer: query('issuer', 253),
    only: isOneOf(onlys, only) ? only : undefined,
    order: isOneOf(grantOrders, order) ? order : 'name',
    page: readPage(query('page')),
    pageSize,
  };
}

function queryOf(search: GrantSearch, change: Partial<GrantSearch> = {}): Query {
  const { text, cluster, issuer, only, order, page } = { ...search, page: 1, ...change };
  return {
    text,
    cluster,
    issuer,
    only,
    sort: order === 'name' ? undefined : order,
    page: page === 1 ? undefined : page,
  };
}

function columns(
  { href, services }: PersonVisit,
  search: GrantSearch,
  link: (change: Partial<GrantSearch>) => string,
): Column<GrantRow>[] {
  const { heads } = texts;
  const now = services.clock.now();
  const sort = (order: GrantOrder): Column<GrantRow>['sort'] => {
    const direction = order === 'name' ? 'ascending' : 'descending';
    return { href: link({ order }), now: search.order === order ? direction : undefined };
  };
  return [
    {
      label: heads.name,
      head: true,
      sort: sort('name'),
      cell: ({ grant }) => {
        const { name, issuer, account, access = [] } = viewOfGrant(grant);
        return (
          <div class="stack-tight">
            <div>{name}</div>
            <div class="soft small">{texts.on(account, grant.cluster)}</div>
            <div class="soft small">{texts.for(issuer)}</div>
            {access.length > 0 && <div class="soft small">{access.join('; ')}</div>}
          </div>
        );
      },
    },
    {
      label: heads.lives,
      cell: ({ grant }) => (
        <Two
          first={texts.lives(grant.usualTtl, grant.maxTtl)}
          second={grant.config.revocable ? undefined : texts.notRevocable}
        />
      ),
    },
    {
      label: heads.used,
      sort: sort('used'),
      cell: ({ use }) =>
        use?.lastAt === undefined ? <span class="soft">{texts.never}</span> : <Time at={use.lastAt} now={now} />,
    },
    {
      label: heads.allowed,
      kind: 'number',
      sort: sort('allowed'),
      cell: ({ use }) => adminTexts.number(use?.allowed ?? 0),
    },
    {
      label: heads.denied,
      kind: 'number',
      sort: sort('denied'),
      cell: ({ use }) => adminTexts.number(use?.denied ?? 0),
    },
    { label: heads.warnings, sort: sort('warnings'), cell: (row) => <Warnings row={row} /> },
    {
      label: heads.action,
      kind: 'action',
      cell: ({ grant: { name: grant } }) => (
        <div class="row">
          <a class="button button-plain button-small" href={href('/ui/admin/leases', { grant })}>
            {texts.leases}
            <span class="visually-hidden"> {texts.of(grant)}</span>
          </a>
          <a class="button button-plain button-small" href={href('/ui/admin/explain', { grant })}>
            {texts.explain}
            <span class="visually-hidden"> {texts.of(grant)}</span>
          </a>
        </div>
      ),
    },
  ];
}

function Warnings({ row: { grant, warnings } }: { readonly row: GrantRow }) {
  if (warnings.length === 0) return <span class="soft">{texts.noWarnings}</span>;
  const shown = viewOfGrant(grant, warnings).warnings ?? [];
  return (
    <details class="more">
      <summary>
        <Badge tone="warn">{texts.warnings(warnings.length)}</Badge>
        <span class="visually-hidden"> {texts.of(grant.name)}</span>
      </summary>
      <ul class="list small">
        {shown.map(({ code, message }, index) => (
          <li key={index}>
            <Words text={message} /> <code>{code}</code>
          </li>
        ))}
      </ul>
    </details>
  );
}

const sorts = Object.entries(texts.sorts).map(([value, label]) => ({ value, label }));

function Filters({ visit, search }: { readonly visit: PersonVisit; readonly search: GrantSearch }) {
  const { filters } = texts;
  const { text, cluster, issuer, only } = search;
  const onlyOptions = [{ value: '', label: filters.all }, ...onlys.map((value) => ({ value, label: filters[value] }))];
  return (
    <section class="card">
      <FilterForm visit={visit} path={path} clear={[text, cluster, issuer, only].some((part) => part !== undefined)}>
        <Line name="text" label={filters.text} value={text} placeholder={filters.textExample} />
        <PlaceChoices visit={visit} chosen={search} words={filters} />
        <Choice name="only" label={filters.only} value={only ?? ''} options={onlyOptions} />
        <Choice name="sort" label={filters.sort} value={search.order} options={sorts} />
      </FilterForm>
    </section>
  );
}

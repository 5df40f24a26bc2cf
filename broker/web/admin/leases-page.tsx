import type { PageOf } from '../../../shared/paging.ts';
import { shorten } from '../../../shared/text.ts';
import { issuerOf, subjectOf } from '../../leases/holder.ts';
import type { LeaseRow, LookedAt } from '../../leases/overview.ts';
import { type LeaseOrder, type LeaseSearch, searchLeases, shownStates, stateOf } from '../../leases/overview-page.ts';
import { Choice, Line } from '../view/choice.tsx';
import { EmptyState, Notice, Time, Two, Words } from '../view/components.tsx';
import { FilterForm } from '../view/forms.tsx';
import { type Column, Table } from '../view/table.tsx';
import { isEmpty, queryOf, queryOfWanted, readLeaseSearch, sortOf } from './lease-search.ts';
import { StateBadge } from './state-badge.tsx';
import { PageLinks } from './page-links.tsx';
import { PlaceChoices } from './places.tsx';
import { adminTexts } from './texts.ts';
import type { Page, PersonVisit } from '../view/visit.ts';

const texts = adminTexts.leases;
const path = '/ui/admin/leases';
/** Milliseconds that a page waits for a reading to end: most brokers have few leases. */
const patience = 700;

/** Who has which token now. */
export const leasesPage: Page = {
  who: 'admin',
  event: 'leases',
  async work(visit, trail) {
    const search = readLeaseSearch(visit);
    const { grant, subject } = search;
    if (grant !== undefined) trail.add({ grant: shorten(grant, 80) });
    if (subject !== undefined) trail.add({ detail: `of the subject ${shorten(subject, 200)}` });
    const { overview, clock } = visit.services;
    const looked = await overview.look(patience);
    const found = await searchLeases(looked.rows, search, clock.now());
    return visit.page({
      title: texts.title,
      lead: texts.lead,
      body: <Leases visit={visit} search={search} looked={looked} found={found} />,
    });
  },
};

type Link = (change: Partial<LeaseSearch>) => string;

function Leases({
  visit,
  search,
  looked,
  found,
}: {
  readonly visit: PersonVisit;
  readonly search: LeaseSearch;
  readonly looked: LookedAt;
  readonly found: PageOf<LeaseRow>;
}) {
  const now = visit.services.clock.now();
  const link: Link = (change) => visit.href(path, queryOf(search, change));
  const { page, pages, rows } = found;
  return (
    <>
      <Filters visit={visit} search={search} />
      <section class="stack" aria-labelledby="found">
        <div class="row apart">
          <h2 id="found">{texts.found(found.found, looked.rows.length)}</h2>
          {!isEmpty(search) && found.found > 0 && (
            <a class="button button-plain" href={visit.href(`${path}/revoke-all`, queryOfWanted(search))}>
              {texts.revokeAll}
            </a>
          )}
        </div>
        <Reading looked={looked} again={link({ page })} now={now} />
        {rows.length === 0 ? (
          <EmptyState title={emptiness(looked)} />
        ) : (
          <Table
            label={texts.title}
            columns={columns(visit, search, link, now)}
            rows={rows}
            keyOf={({ name }) => name}
          />
        )}
        <PageLinks label={texts.title} page={page} pages={pages} link={(to) => link({ page: to })} />
      </section>
    </>
  );
}

function emptiness({ rows, whole, underWay }: LookedAt): string {
  if (!whole && underWay !== undefined) return texts.noneYet;
  return rows.length === 0 ? texts.none : texts.noneFits;
}

function columns({ href }: PersonVisit, search: LeaseSearch, link: Link, now: number): Column<LeaseRow>[] {
  const { heads } = texts;
  const sort = (order: LeaseOrder): Column<LeaseRow>['sort'] => {
    const sorted = search.order === order ? (search.descending ? 'descending' : 'ascending') : undefined;
    // Times of creation begin with the latest, all else with the first.
    const descending = sorted === undefined ? order === 'created' : !search.descending;
    return { href: link({ order, descending }), now: sorted };
  };
  return [
    {
      label: heads.subject,
      head: true,
      sort: sort('subject'),
      cell: ({ holder }) => {
        const [subject, issuer] = [subjectOf(holder), issuerOf(holder)];
        return <Two first={<a href={link({ subject, issuer })}>{subject}</a>} second={issuer} />;
      },
    },
    {
      label: heads.grant,
      sort: sort('grant'),
      cell: ({ grant, account, cluster }) => (
        <Two first={<a href={link({ grant })}>{grant}</a>} second={texts.on(account, cluster)} />
      ),
    },
    { label: heads.created, sort: sort('created'), cell: ({ acquiredAt }) => <Time at={acquiredAt} now={now} /> },
    { label: heads.expires, sort: sort('expires'), cell: ({ endsAt }) => <Time at={endsAt} now={now} /> },
    {
      label: heads.state,
      cell: (row) => <Two first={<StateBadge state={stateOf(row, now)} />} second={row.why} />,
    },
    {
      label: heads.action,
      kind: 'action',
      cell: ({ name, state, holder, grant }) => (
        <a class="button button-plain button-small" href={href(`${path}/revoke`, { id: name })}>
          {state === 'active' ? texts.revoke : texts.show}
          <span class="visually-hidden"> {texts.ofLease(subjectOf(holder), grant)}</span>
        </a>
      ),
    },
  ];
}

/** Of when the list is, and how much of it there is. */
function Reading({ looked, again, now }: { readonly looked: LookedAt; readonly again: string; readonly now: number }) {
  const { at, whole, cut, fault, underWay, rows } = looked;
  return (
    <>
      {fault !== undefined && (
        <Notice tone="bad" live>
          <strong>{texts.faultTitle}</strong>
          <p>{texts.fault(fault)}</p>
        </Notice>
      )}
      {cut && (
        <Notice tone="warn">
          <p>
            <Words text={texts.cut(rows.length)} />
          </p>
        </Notice>
      )}
      <p class="soft small" role="status">
        {whole || cut || (fault !== undefined && rows.length > 0) ? (
          <>
            {texts.asOf} <Time at={at} now={now} />.
          </>
        ) : (
          fault === undefined && texts.partial
        )}
        {underWay !== undefined && ` ${texts.underWay(underWay)}`} <a href={again}>{texts.again}</a>
      </p>
    </>
  );
}

const sorts = Object.entries(texts.sorts).map(([value, label]) => ({ value, label }));

function Filters({ visit, search }: { readonly visit: PersonVisit; readonly search: LeaseSearch }) {
  const { state, grant, cluster, issuer, subject, text } = search;
  const { filters } = texts;
  const isChosen = [grant, cluster, issuer, subject].some((part) => part !== undefined);
  const states = [
    ...shownStates.map((each) => ({ value: each, label: texts.states[each] })),
    { value: 'any', label: texts.anyState },
  ];
  return (
    <section class="card">
      <FilterForm
        visit={visit}
        path={path}
        keep={{ sort: queryOf(search)['sort'] }}
        clear={isChosen || text !== undefined || state !== 'live'}
      >
        <Line name="text" label={filters.text} value={text} placeholder={filters.textExample} />
        <Choice name="state" label={filters.state} value={state ?? 'any'} options={states} />
        <details class="more wide" open={isChosen}>
          <summary>{filters.more}</summary>
          <div class="fields">
            <Line name="grant" label={filters.grant} value={grant} />
            <Line name="subject" label={filters.subject} value={subject} placeholder={filters.subjectExample} />
            <PlaceChoices visit={visit} chosen={search} words={filters} />
            {/* Where there is little room, the table has no heads to sort by. */}
            <Choice name="sort" label={filters.sort} value={sortOf(search)} options={sorts} />
          </div>
        </details>
      </FilterForm>
    </section>
  );
}

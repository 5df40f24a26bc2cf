import type { ComponentChildren } from 'preact';
import { isObject } from '../../../shared/json.ts';
import { pageOf } from '../../../shared/paging.ts';
import { clean, isOneOf } from '../../../shared/text.ts';
import { claimText, type Said, textOf, whoOf, whyOf } from '../../audit/describe.ts';
import { CompiledPolicy } from '../../policy/compile.ts';
import type { Services } from '../../service/services.ts';
import { Choice, Line } from '../view/choice.tsx';
import { Badge, EmptyState, Facts, Time, type Tone, Two } from '../view/components.tsx';
import { FilterForm } from '../view/forms.tsx';
import { type Column, readPage, Table } from '../view/table.tsx';
import { PageLinks } from './page-links.tsx';
import { adminTexts } from './texts.ts';
import type { Page, PersonVisit, Query } from '../view/visit.ts';

const texts = adminTexts.decisions;
const path = '/ui/admin/decisions';
const pageSize = 50;

/** What this replica decided lately, and why. */
export const decisionsPage: Page = {
  who: 'admin',
  event: 'none',
  work(visit) {
    const { recent, clock } = visit.services;
    const search = readSearch(visit);
    const all = recent.decisions();
    const found = all.filter((said) => fits(said, search));
    const { rows, page, pages } = pageOf(found, search.page, pageSize);
    const link = (to: number) => visit.href(path, { ...queryOf(search), page: to });
    return visit.page({
      title: texts.title,
      lead: texts.lead(recent.since),
      body: (
        <>
          <Filters visit={visit} search={search} />
          <section class="stack" aria-labelledby="found">
            <h2 id="found">{texts.found(found.length, all.length)}</h2>
            {rows.length === 0 ? (
              <EmptyState title={all.length === 0 ? texts.none : texts.noneFits} />
            ) : (
              <Table
                label={texts.title}
                columns={columns(visit, clock.now())}
                rows={rows}
                keyOf={(said) => `${textOf(said, 'chain')} ${String(said['seq'])}`}
              />
            )}
            <PageLinks label={texts.title} page={page} pages={pages} link={link} />
          </section>
        </>
      ),
    });
  },
};

type EventName = keyof typeof texts.events;
type Outcome = keyof typeof texts.outcomes;
const events = Object.keys(texts.events) as EventName[];
const outcomes = Object.keys(texts.outcomes) as Outcome[];

interface Search {
  readonly text: string | undefined;
  readonly event: EventName | undefined;
  readonly outcome: Outcome | undefined;
  readonly page: number;
}

function readSearch({ query }: PersonVisit): Search {
  const [event, outcome] = [query('event'), query('outcome')];
  return {
    text: query('text'),
    event: isOneOf(events, event) ? event : undefined,
    outcome: isOneOf(outcomes, outcome) ? outcome : undefined,
    page: readPage(query('page')),
  };
}

function queryOf({ text, event, outcome }: Search): Query {
  return { text, event, outcome };
}

function fits(said: Said, { text, event, outcome }: Search): boolean {
  if (event !== undefined && said['event'] !== event) return false;
  if (outcome !== undefined && said['outcome'] !== outcome) return false;
  if (text === undefined) return true;
  const parts = [
    whoOf(said),
    textOf(said, 'grant'),
    whyOf(said),
    ...['address', 'requestId', 'lease'].map((name) => textOf(said, name)),
  ];
  return parts.join('\n').toLowerCase().includes(text.toLowerCase());
}

const tones: Readonly<Record<Outcome, Tone>> = { allowed: 'good', done: 'info', denied: 'bad', failed: 'warn' };

function columns(visit: PersonVisit, now: number): Column<Said>[] {
  const { heads } = texts;
  return [
    { label: heads.time, cell: (said) => <Time at={timeOf(said)} now={now} /> },
    {
      label: heads.outcome,
      cell: ({ outcome }) =>
        isOneOf(outcomes, asName(outcome)) && (
          <Badge tone={tones[asName(outcome) as Outcome]}>{texts.outcomes[asName(outcome) as Outcome]}</Badge>
        ),
    },
    {
      label: heads.what,
      cell: (said) => (
        <Two
          first={isOneOf(events, asName(said['event'])) ? texts.events[asName(said['event']) as EventName] : ''}
          second={textOf(said, 'grant') || undefined}
        />
      ),
    },
    {
      label: heads.who,
      head: true,
      cell: (said) => (
        <Two
          first={textOf(said, 'subject') || <span class="soft">{texts.nobody}</span>}
          second={textOf(said, 'issuer', 80) || textOf(said, 'address') || undefined}
        />
      ),
    },
    { label: heads.why, cell: (said) => <Why said={said} visit={visit} /> },
  ];
}

function Why({ said, visit }: { readonly said: Said; readonly visit: PersonVisit }) {
  const { facts } = texts;
  const all: [string, ComponentChildren][] = [];
  const add = (name: string, text: string): void => void (text !== '' && all.push([name, text]));
  add(facts.grant, textOf(said, 'grant'));
  add(facts.cluster, textOf(said, 'cluster'));
  add(facts.account, textOf(said, 'account'));
  const lease = textOf(said, 'lease', 80);
  if (lease !== '') all.push([facts.lease, <a href={visit.href('/ui/admin/leases/revoke', { id: lease })}>{lease}</a>]);
  add(facts.expires, textOf(said, 'expires'));
  add(facts.address, textOf(said, 'address'));
  add(facts.detail, textOf(said, 'detail', 600));
  add(facts.request, textOf(said, 'requestId'));
  add(facts.trace, textOf(said, 'traceId'));
  add(facts.line, texts.line(textOf(said, 'chain'), String(said['seq'])));
  const grant = textOf(said, 'grant');
  return (
    <div class="stack-tight">
      <div>{whyOf(said)}</div>
      <details class="more">
        <summary>
          {texts.details}
          <span class="visually-hidden"> {texts.ofLine(String(said['seq']))}</span>
        </summary>
        <div class="stack">
          <Claims said={said} services={visit.services} />
          <Facts wide facts={all} />
          {said['event'] === 'exchange' && grant !== '' && (
            <a href={visit.href('/ui/admin/explain', { grant })}>{texts.explain(grant)}</a>
          )}
        </div>
      </details>
    </div>
  );
}

interface Claim {
  readonly claim: string;
  readonly seen: string;
  readonly expected: string;
}

/** The claims that the decision looked at, and what the grant asks of them, if it is the same configuration still. */
function Claims({ said, services }: { readonly said: Said; readonly services: Services }) {
  const { failed, claims } = said;
  const demands = demandsOf(said, services);
  const row = (claim: string, seen: string): Claim => ({ claim, seen, expected: demands.get(claim) ?? '' });
  const rows: Claim[] = Array.isArray(failed)
    ? failed.filter(isObject).map((each) => row(textOf(each, 'claim', 100), textOf(each, 'seen')))
    : isObject(claims)
      ? Object.entries(claims).map(([name, value]) => row(clean(name, 100), clean(claimText(value))))
      : [];
  if (rows.length === 0) return null;
  const { claims: heads } = texts;
  return (
    <Facts
      facts={rows.map(({ claim, seen, expected }) => [
        claim,
        <>
          {heads.seen} <code>{seen}</code>
          {expected !== '' && (
            <>
              {heads.expected} <code>{expected}</code>
            </>
          )}
        </>,
      ])}
    />
  );
}

function demandsOf(said: Said, { loaded }: Services): ReadonlyMap<string, string> {
  const grant = said['policy'] === loaded.hash ? CompiledPolicy.grant(loaded.policy, textOf(said, 'grant')) : undefined;
  return new Map(grant?.claims.map(({ name, expected }) => [name, expected]));
}

function timeOf(said: Said): number {
  return Date.parse(textOf(said, 'time')) || 0;
}

const asName = (value: unknown): string => (typeof value === 'string' ? value : '');

function Filters({ visit, search }: { readonly visit: PersonVisit; readonly search: Search }) {
  const { filters } = texts;
  const { text, event, outcome } = search;
  const options = <T extends string>(names: readonly T[], words: Readonly<Record<T, string>>) => [
    { value: '', label: filters.any },
    ...names.map((value) => ({ value, label: words[value] })),
  ];
  return (
    <section class="card">
      <FilterForm visit={visit} path={path} clear={[text, event, outcome].some((part) => part !== undefined)}>
        <Line name="text" label={filters.text} value={text} placeholder={filters.textExample} />
        <Choice name="event" label={filters.event} value={event ?? ''} options={options(events, texts.events)} />
        <Choice
          name="outcome"
          label={filters.outcome}
          value={outcome ?? ''}
          options={options(outcomes, texts.outcomes)}
        />
      </FilterForm>
    </section>
  );
}

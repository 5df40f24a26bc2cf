import type { ComponentChildren } from 'preact';
import { clean } from '../../../shared/text.ts';
import type { Session } from '../session/session.ts';
import { distance, texts } from './texts.ts';
import type { PersonVisit, Query, Visit } from './visit.ts';

type Children = { readonly children?: ComponentChildren };

/** `level`: of its heading; 2 if not given. */
export function Card({
  title,
  aside,
  children,
  id,
  level = 2,
}: Children & {
  readonly title?: ComponentChildren;
  readonly aside?: ComponentChildren;
  readonly id?: string;
  readonly level?: 2 | 3;
}) {
  const Heading = level === 2 ? 'h2' : 'h3';
  return (
    <section class="card" id={id}>
      {(title !== undefined || aside !== undefined) && (
        <div class="card-head">
          {title !== undefined && <Heading>{title}</Heading>}
          {aside !== undefined && <div class="row">{aside}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'info';

export function Badge({ tone = 'plain', children }: Children & { readonly tone?: Tone }) {
  return <span class={tone === 'plain' ? 'badge' : `badge badge-${tone}`}>{children}</span>;
}

/** `live`: it says what the last action came to, and is read out. */
export function Notice({
  tone = 'info',
  live = false,
  children,
}: Children & { readonly tone?: Tone; readonly live?: boolean }) {
  return (
    <div class={`notice notice-${tone}`} role={live ? 'status' : undefined}>
      {children}
    </div>
  );
}

/** A text to copy; the button works with scripts, and one click marks the whole text without them. */
export function Command({ id, text, label }: { readonly id: string; readonly text: string; readonly label: string }) {
  return (
    <div class="command">
      <code id={id}>{text}</code>
      <button class="button button-plain" type="button" hidden data-copy={id} data-copied={texts.copied}>
        <span role="status">{texts.copy}</span> <span class="visually-hidden">{label}</span>
      </button>
    </div>
  );
}

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly content: ComponentChildren;
}

/** A choice of which one is shown, four at most; radio buttons, so that it needs no script. */
export function Tabs({
  name,
  legend,
  tabs,
  selected,
}: {
  readonly name: string;
  readonly legend: string;
  readonly tabs: readonly Tab[];
  readonly selected?: string | undefined;
}) {
  const first = tabs.find(({ id }) => id === selected) ?? tabs[0];
  return (
    <fieldset class="tabs">
      <legend>{legend}</legend>
      {tabs.flatMap(({ id, label }) => [
        <input
          key={`${id}-input`}
          type="radio"
          name={name}
          id={`${name}-${id}`}
          checked={id === first?.id}
          autocomplete="off"
        />,
        <label key={`${id}-label`} for={`${name}-${id}`}>
          {label}
        </label>,
      ])}
      {tabs.map(({ id, content }, index) => (
        <div key={id} class={`tab tab-${index + 1}`}>
          {content}
        </div>
      ))}
    </fieldset>
  );
}

export interface Column<Row> {
  readonly label: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly kind?: 'text' | 'number' | 'action' | undefined;
  /** The cell that names the row. */
  readonly head?: boolean;
  /** The head is a link that sorts by it; `now` says how it is sorted at the moment. */
  readonly sort?: { readonly href: string; readonly now: 'ascending' | 'descending' | undefined } | undefined;
}

/** On a narrow screen each row becomes a card, and a table for a screen reader all the same. */
export function Table<Row>({
  label,
  columns,
  rows,
  keyOf,
}: {
  /** What it is a table of; for screen readers. */
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
}) {
  return (
    <div class="table-frame">
      <table role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ label: name, kind, sort }) => (
              <th
                key={name}
                scope="col"
                role="columnheader"
                class={kind === 'number' ? 'number' : undefined}
                aria-sort={sort?.now}
              >
                <Head name={name} kind={kind} sort={sort} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={keyOf(row)} role="row">
              {columns.map((column) => (
                <Cell key={column.label} column={column} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Head({
  name,
  kind,
  sort,
}: {
  readonly name: string;
  readonly kind: Column<never>['kind'] | undefined;
  readonly sort: Column<never>['sort'] | undefined;
}) {
  if (kind === 'action') return <span class="visually-hidden">{name}</span>;
  if (sort === undefined) return <>{name}</>;
  const arrow = sort.now === undefined ? '' : sort.now === 'ascending' ? '↑' : '↓';
  return (
    <a href={sort.href}>
      {name} <span aria-hidden="true">{arrow}</span>
    </a>
  );
}

function Cell<Row>({ column, row }: { readonly column: Column<Row>; readonly row: Row }) {
  const { label, cell, kind, head } = column;
  if (head === true) {
    return (
      <th scope="row" role="rowheader" data-label={label}>
        <div>{cell(row)}</div>
      </th>
    );
  }
  return (
    <td role="cell" class={kind === 'number' ? 'number' : kind === 'action' ? 'alone' : undefined} data-label={label}>
      <div>{cell(row)}</div>
    </td>
  );
}

/** Name and value. */
export function Facts({
  facts,
  wide = false,
}: {
  readonly facts: readonly (readonly [name: string, value: ComponentChildren])[];
  readonly wide?: boolean;
}) {
  return (
    <dl class={wide ? 'facts facts-wide' : 'facts'}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Milliseconds since the epoch; how far off it is, and exactly when. */
export function Time({ at, now }: { readonly at: number; readonly now: number }) {
  const exact = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
  return (
    <time dateTime={exact} title={exact}>
      {distance(at, now)}
    </time>
  );
}

/** From outside: one line, cut where it is longer. The whole of it stands in the title if that is longer. */
export function Outside({ text, max = 120 }: { readonly text: string; readonly max?: number }) {
  const short = clean(text, max);
  const whole = clean(text, 1000);
  return <span title={short === whole ? undefined : whole}>{short}</span>;
}

/** A text with commands and values of a configuration in backticks. */
export function Words({ text }: { readonly text: string }) {
  return (
    <>{text.split(/`([^`]+)`/).map((part, index) => (index % 2 === 0 ? part : <code key={index}>{part}</code>))}</>
  );
}

export function EmptyState({ title, children }: Children & { readonly title: string }) {
  return (
    <section class="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** A form that does something: it brings back what proves that a page of this session made it. */
export function ActionForm({
  visit,
  path,
  fields = {},
  children,
}: Children & {
  readonly visit: Pick<Visit, 'href'> & { readonly session: Session };
  readonly path: string;
  readonly fields?: Readonly<Record<string, string>>;
}) {
  return (
    <form method="post" action={visit.href(path)}>
      <input type="hidden" name="csrf" value={visit.session.csrf} />
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {children}
    </form>
  );
}

/** Asked for first, and then done: works without scripts. */
export function Confirm({
  visit,
  path,
  fields,
  ask,
  why,
  yes,
  about,
}: {
  readonly visit: PersonVisit;
  readonly path: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly ask: string;
  readonly why: string;
  readonly yes: string;
  /** What it is about, for who does not see where the button stands. */
  readonly about: string;
}) {
  return (
    <details class="confirm">
      <summary class="button button-plain button-small">
        {ask} <span class="visually-hidden">{about}</span>
      </summary>
      <ActionForm visit={visit} path={path} fields={fields ?? {}}>
        <p class="small">{why}</p>
        <button class="button button-danger button-small" type="submit">
          {yes} <span class="visually-hidden">{about}</span>
        </button>
      </ActionForm>
    </details>
  );
}

/** A label and what it is the label of, which has that id. */
export function Field({
  id,
  label,
  hint,
  children,
}: Children & { readonly id: string; readonly label: string; readonly hint?: string }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** Asks for the same page again with what was chosen: a GET, which changes nothing. */
export function FilterForm({
  visit,
  path,
  keep = {},
  children,
  clear,
}: Children & {
  readonly visit: Pick<Visit, 'href'>;
  readonly path: string;
  /** What stays as it is. */
  readonly keep?: Query;
  /** Whether there is something to take back. */
  readonly clear: boolean;
}) {
  return (
    <form class="fields" method="get" action={visit.href(path)} role="search">
      {Object.entries(keep).map(
        ([name, value]) => value !== undefined && <input key={name} type="hidden" name={name} value={value} />,
      )}
      {children}
      <div class="row">
        <button class="button" type="submit">
          {texts.search}
        </button>
        {clear && (
          <a class="button button-plain" href={visit.href(path)}>
            {texts.clear}
          </a>
        )}
      </div>
    </form>
  );
}

export function Pager({
  label,
  status,
  previous,
  next,
}: {
  readonly label: string;
  /** Where one is: `1 to 50 of 1,200`. */
  readonly status: string;
  readonly previous?: string | undefined;
  readonly next?: string | undefined;
}) {
  return (
    <nav class="pager" aria-label={label}>
      <span class="soft small">{status}</span>
      <span class="row">
        {previous !== undefined && (
          <a class="button button-plain" href={previous} rel="prev">
            {texts.earlier}
          </a>
        )}
        {next !== undefined && (
          <a class="button button-plain" href={next} rel="next">
            {texts.later}
          </a>
        )}
      </span>
    </nav>
  );
}

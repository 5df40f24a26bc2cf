import type { ComponentChildren } from 'preact';
import { texts } from './texts.ts';

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

/** Which page the address asks for: whole numbers from 1 on. */
export function readPage(text: string | undefined): number {
  return /^[1-9]\d{0,6}$/.test(text ?? '') ? Number(text) : 1;
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

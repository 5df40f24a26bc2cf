import type { Session } from '../session/session.ts';
import type { Children } from './components.tsx';
import { texts } from './texts.ts';
import type { PersonVisit, Query, Visit } from './visit.ts';

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

import type { ComponentChildren } from 'preact';
import { clean } from '../../../shared/text.ts';
import { distance, texts } from './texts.ts';

export type Children = { readonly children?: ComponentChildren };

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

/** What it is, and below it what is worth knowing beside that. */
export function Two({ first, second }: { readonly first: ComponentChildren; readonly second?: ComponentChildren }) {
  return (
    <div class="stack-tight">
      <div>{first}</div>
      {second !== undefined && <div class="soft small">{second}</div>}
    </div>
  );
}

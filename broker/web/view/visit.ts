import type { ComponentChildren } from 'preact';
import type { AuditEvent } from '../../audit/event.ts';
import type { Answer } from '../../http/answer.ts';
import type { Form } from '../../http/form.ts';
import type { Call } from '../../http/request.ts';
import type { Trail } from '../../http/trail.ts';
import type { Health } from '../../service/health.ts';
import type { Services } from '../../service/services.ts';
import type { Seal } from '../session/seal.ts';
import type { Session } from '../session/session.ts';
import type { Provider } from '../session/provider.ts';

/** What goes into an address after its `?`; undefined leaves a name out. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** One page: what stands on it, within the frame that all have. */
export interface Content {
  /** Of the tab in the browser, and of the page. */
  readonly title: string;
  /** One sentence below the title. */
  readonly lead?: string | undefined;
  readonly body: ComponentChildren;
  /** 200 if not given. */
  readonly status?: number;
}

/** One request for a page, and what the page is made with. */
export interface Visit {
  readonly call: Call;
  readonly services: Services;
  /** Of this replica, now. */
  readonly health: () => Health;
  /** The address of a page of ours, like `/ui/access`. */
  readonly href: (path: string, query?: Query) => string;
  /** A parameter of the address, if it came once: one line, at most so many characters (200 if not given). */
  readonly query: (name: string, max?: number) => string | undefined;
  /** The page as an answer, in the frame that all have. */
  readonly page: (content: Content) => Answer;
  /** After a POST, or to where something is now: a GET of a page of ours. */
  readonly redirect: (path: string, query?: Query) => Answer;
}

/** Of somebody who has signed in. */
export interface PersonVisit extends Visit {
  readonly session: Session;
}

/** A form that was sent: from a page of ours, in this session. */
export interface FormVisit extends PersonVisit {
  readonly form: Form;
  readonly provider: Provider;
}

/** What the pages of the sign-in itself need beside that. */
export interface OpenVisit extends Visit {
  readonly session: Session | undefined;
  readonly cookies: ReadonlyMap<string, string>;
  readonly seal: Seal;
  readonly provider: Provider;
  /** Where somebody may be sent after a sign-in: the address of a page for people, and nothing else. */
  readonly backTo: (path: string | undefined) => string | undefined;
}

type EventName = AuditEvent['event'] | 'none';
type Work<V> = (visit: V, trail: Trail) => Answer | Promise<Answer>;

/** One method of one page. Whose it is, is seen to before it is made. */
export type Page =
  | { readonly who: 'anyone'; readonly event: EventName; readonly work: Work<OpenVisit> }
  | { readonly who: 'person' | 'admin'; readonly event: EventName; readonly work: Work<PersonVisit> };

/** What a form does. Each leaves an event. */
export interface Action {
  readonly who: 'person' | 'admin';
  readonly event: AuditEvent['event'];
  readonly work: Work<FormVisit>;
}

/** One address of the page. */
export interface Place {
  readonly GET?: Page;
  readonly POST?: Action;
  /** What the navigation calls it, for whom its GET is. */
  readonly nav?: string;
}

/** By path. */
export type PageTable = Readonly<Record<string, Place>>;

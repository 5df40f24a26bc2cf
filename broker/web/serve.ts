import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { audited, type Route, unaudited } from '../http/audited.ts';
import { type Answer, retryHeader } from '../http/answer.ts';
import { countSubject } from '../http/limits.ts';
import type { Call } from '../http/request.ts';
import { openTrail, type Trail } from '../http/trail.ts';
import type { PersonRoutes } from '../routes/pages.ts';
import type { Health } from '../service/health.ts';
import type { Services } from '../service/services.ts';
import { assetAt } from './view/assets.ts';
import { faultContent } from './fault.tsx';
import { checkForm } from './session/forms.ts';
import { renderPage } from './view/frame.tsx';
import { pageHeaders } from './view/headers.ts';
import { pages } from './pages.ts';
import type { ProviderDeps } from './session/provider.ts';
import { createSurroundings, type Surroundings } from './surroundings.ts';
import type { Action, Content, OpenVisit, Page, PageTable, PersonVisit, Query } from './view/visit.ts';

/** What stays the same for all requests. */
interface Site {
  readonly table: PageTable;
  readonly health: () => Health;
}

/** Serves the pages of a table. The settings are those in force at each request. */
export function servePages(
  deps: Omit<ProviderDeps, 'readSecret'> & Pick<Site, 'health'>,
  table: PageTable = pages,
): PersonRoutes {
  const site: Site = { table, health: deps.health };
  const surroundingsOf = createSurroundings(deps);
  return {
    async serve(call, services) {
      const asset = call.method === 'GET' ? assetAt(call.pathname) : undefined;
      if (asset !== undefined) return asset;
      const found = Object.hasOwn(table, call.pathname) ? table[call.pathname]! : undefined;
      if (found === undefined)
        throw new KleisError('route_unknown', 'There is no such page.', { hint: 'Begin at the start page.' });
      const visit = openVisit(call, services, site, await surroundingsOf(call, services));
      if (call.method === 'POST') {
        if (found.POST === undefined) throw unsupported('GET');
        return actionRoute(found.POST, visit).handle(call, services);
      }
      if (found.GET === undefined) throw unsupported('POST');
      const isStranger = found.GET.who !== 'anyone' && visit.session === undefined;
      if (isStranger) return visit.redirect('/ui/sign-in', { back: pathWithQuery(call) });
      return pageRoute(found.GET, visit).handle(call, services);
    },

    async fault(error, call, services) {
      // What is wrong may be the very thing that a session is opened with.
      const around = await surroundingsOf(call, services).catch(() => undefined);
      const { page, href } = openVisit(call, services, site, around);
      const signIn = around !== undefined && around.session === undefined;
      const answer = page(faultContent(error, call, { signIn, start: href('/'), again: href('/ui/sign-in') }));
      const headers = { ...answer.headers, ...headersOf(error, call, table) };
      return { ...answer, headers, last: error.status === 429 };
    },
  };
}

function unsupported(method: string): KleisError {
  return new KleisError('method_unsupported', `This page takes ${method}.`, { hint: 'Begin at the start page.' });
}

function headersOf(error: KleisError, { pathname }: Call, table: PageTable): Answer['headers'] {
  return {
    ...retryHeader(error),
    // RFC 9110 section 15.5.6.
    ...(error.status === 405 && {
      Allow: Object.keys(table[pathname] ?? {})
        .filter((name) => name !== 'nav')
        .join(', '),
    }),
  };
}

/** GET of a page. */
function pageRoute(page: Page, visit: OpenVisit): Route {
  const work = async (_: Call, services: Services, trail: Trail): Promise<Answer> => {
    if (page.who === 'anyone') return page.work(visit, trail);
    return page.work(admit(visit, page.who, services, trail), trail);
  };
  return page.event === 'none'
    ? unaudited(async (call, services) => work(call, services, trailOf(call, services)))
    : audited(page.event, work);
}

/** POST of a form: every outcome leaves an event. */
function actionRoute(action: Action, visit: OpenVisit): Route {
  return audited(action.event, async (call, services, trail) => {
    const person = admit(visit, action.who, services, trail);
    const form = await call.form();
    checkForm(call, form, person.session, services.loaded.config.publicUrl);
    return action.work({ ...person, form, provider: visit.provider }, trail);
  });
}

/** Throws `sign_in_needed`, `admin_only`, `rate_limited`. */
function admit(visit: OpenVisit, who: 'person' | 'admin', services: Services, trail: Trail): PersonVisit {
  const { session } = visit;
  if (session === undefined) throw signInNeeded();
  const { subject, admin } = session;
  trail.addSubject(subject);
  countSubject(services, subject, !admin);
  if (who === 'admin' && !admin) throw new KleisError('admin_only', 'This page is for admins of the broker.');
  return { ...visit, session };
}

function signInNeeded(): KleisError {
  return new KleisError('sign_in_needed', 'You are not signed in, or not any more.', {
    hint: 'Sign in, and do it again.',
  });
}

const trailOf = (call: Call, { loaded }: Services): Trail => openTrail(call, loaded.hash);

const hostless = 'https://kleis.invalid';
const longestBack = 1000;

/** The address itself, unless it is longer than anything that a page of ours makes. */
function pathWithQuery({ pathname, query }: Call): string {
  const text = `${pathname}${search(query)}`;
  return text.length > longestBack ? pathname : text;
}

function search(query: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(query).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries).toString()}`;
}

function openVisit(
  call: Call,
  services: Services,
  { table, health }: Site,
  around: Surroundings | undefined,
): OpenVisit {
  const { config } = services.loaded;
  const base = new URL(config.publicUrl).pathname.replace(/\/$/, '');
  const href = (path: string, query: Query = {}): string => {
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ''));
    return `${base}${path}${search(mapValues(given))}`;
  };
  const { session } = around ?? {};
  const signOutAt = session === undefined ? undefined : around?.provider.endSessionUrl();
  const navigation = Object.entries(table).flatMap(([path, { GET: page, nav }]) => {
    if (nav === undefined || page === undefined || session === undefined) return [];
    const admin = page.who === 'admin';
    return admin && !session.admin ? [] : [{ path, label: nav, admin }];
  });
  return {
    call,
    services,
    health,
    href,
    query(name, max = 200) {
      const value = Object.hasOwn(call.query, name) ? call.query[name] : undefined;
      const text = typeof value === 'string' ? clean(value, max) : '';
      return text === '' ? undefined : text;
    },
    page(content: Content) {
      const frame = { href, session, here: call.pathname, navigation, signOutAt: signOutAt?.origin };
      return {
        status: content.status ?? 200,
        type: 'text/html; charset=utf-8',
        body: renderPage(content, frame),
        headers: pageHeaders(signOutAt),
      };
    },
    redirect: (path, query) => ({
      status: 303,
      type: 'text/plain; charset=utf-8',
      body: '',
      headers: { Location: href(path, query) },
    }),
    // Without it there is a page that says what is wrong, and nothing else.
    ...(around as Surroundings),
    backTo(path = '') {
      const url = path.length <= longestBack && URL.canParse(path, hostless) ? new URL(path, hostless) : undefined;
      if (url?.origin !== hostless || !Object.hasOwn(table, url.pathname)) return undefined;
      const who = table[url.pathname]!.GET?.who;
      return who === undefined || who === 'anyone' ? undefined : `${url.pathname}${url.search}`;
    },
  };
}

function mapValues(query: Query): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));
}

import { KleisError } from '../../shared/errors.ts';
import { routes } from '../../shared/protocol.ts';
import type { Answer } from '../http/answer.ts';
import type { Route } from '../http/audited.ts';
import { unaudited } from '../http/audited.ts';
import type { AppParts, RouteTable } from '../http/base.ts';
import type { Call } from '../http/request.ts';
import type { Services } from '../service/services.ts';
import { startPage } from './start-page.ts';

/** The web page, which stands above the routes. */
export interface PersonRoutes {
  /** Throws `KleisError`. */
  serve(call: Call, services: Services): Promise<Answer>;
  /** What is wrong, as a page. */
  fault(error: KleisError, call: Call, services: Services): Promise<Answer>;
}

/** Loads it: a broker whose configuration has no `web` never does. */
export type LoadPages = () => Promise<PersonRoutes>;

/** The addresses of the page, whether there is one or not: a reload may bring it, or take it away. */
export function pageRoutes(load: LoadPages): RouteTable {
  // It makes one event or none for each of its pages.
  const page: Route = { event: 'none', handle: async (call, services) => (await load()).serve(call, services) };
  const start = unaudited(async () => startPage());
  const absent = unaudited(async () => {
    throw new KleisError('route_unknown', 'This broker has no web page.', {
      hint: 'Its administrator can give it one: `web` in its configuration.',
    });
  });
  const where = (otherwise: Route): Route => ({
    event: 'none',
    handle: async (call, services) => (hasPage(services) ? page : otherwise).handle(call, services),
  });
  return {
    [routes.home]: { GET: where(start) },
    [`${routes.web}{/*rest}`]: { GET: where(absent), POST: where(absent) },
  };
}

/** Whoever looks at a page reads what is wrong as a page. */
export function tellOnPages(load: LoadPages): NonNullable<AppParts['tell']> {
  return (error, call, services) => {
    const { pathname } = call;
    const isPage = pathname === routes.home || pathname === routes.web || pathname.startsWith(`${routes.web}/`);
    if (!isPage || !hasPage(services)) return undefined;
    return load().then(async (pages) => pages.fault(error, call, services));
  };
}

function hasPage({ loaded }: Services): boolean {
  return loaded.config.web !== undefined;
}

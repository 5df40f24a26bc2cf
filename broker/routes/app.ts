import type { Express } from 'express';
import { routes } from '../../shared/protocol.ts';
import { audited, bySignIn, unaudited } from '../http/audited.ts';
import { createBase, type RouteTable, type Service } from '../http/base.ts';
import { isProxy, limitAddresses, refuseClearText } from '../http/guards.ts';
import type { Counters } from '../service/counters.ts';
import type { Health } from '../service/health.ts';
import { exchange } from './exchange.ts';
import { explain } from './explain.ts';
import { listGrants } from './grants.ts';
import { kubeconfig } from './kubeconfig.ts';
import { endLease, listLeases } from './leases.ts';
import { oauthMetadata } from './oauth-metadata.ts';
import { healthz, metrics, readyz, type Reader } from './operations.ts';
import { openApi } from './openapi.ts';
import { type LoadPages, pageRoutes, tellOnPages } from './pages.ts';
import { revoke } from './revoke.ts';
import { describeAccess, describeBroker } from './well-known.ts';

/** What the routes are served from; each of its parts may be another at the next request. */
export interface Broker extends Service {
  readonly health: () => Health;
  /** By address, before anything is verified. */
  readonly addresses: Counters;
}

export interface AppOptions {
  /** It is served over TLS, or to this machine alone; if not, only trusted proxies may speak to it. */
  readonly confidential: boolean;
  /** `/metrics` and the details of `/readyz` are on an address of their own. */
  readonly operationsElsewhere: boolean;
  readonly loadPages: LoadPages;
}

/** Every address of the API; contract/operations.ts says what each is for. */
export function publicRoutes(broker: Broker, reader: Reader): RouteTable {
  return {
    [routes.token]: { POST: audited('exchange', exchange) },
    [routes.revoke]: { POST: audited('revoke', revoke) },
    [routes.explain]: { POST: audited('explain', explain) },
    [routes.leases]: { GET: audited('leases', listLeases) },
    [`${routes.leases}/:id`]: { DELETE: audited('revoke', endLease) },
    [routes.grants]: { GET: audited('grants', listGrants) },
    [routes.kubeconfig]: { GET: audited('kubeconfig', kubeconfig) },
    [routes.wellKnown]: { GET: bySignIn(unaudited(describeBroker), audited('grants', describeAccess)) },
    [`${routes.oauthMetadata}{/*rest}`]: { GET: unaudited(oauthMetadata) },
    [routes.openApi]: { GET: unaudited(openApi) },
    ...operations(broker, reader),
  };
}

/** Those for who runs it, also at an address that only operators reach. */
function operations(broker: Broker, reader: Reader): RouteTable {
  return {
    [routes.healthz]: { GET: unaudited(healthz) },
    [routes.readyz]: { GET: unaudited(readyz(broker.health, reader)) },
    [routes.metrics]: { GET: unaudited(metrics(reader)) },
  };
}

export function createApp(broker: Broker, { confidential, operationsElsewhere, loadPages }: AppOptions): Express {
  const current = () => broker.current;
  return createBase(broker, {
    // Asked at each request, since a reload may name others.
    trustProxy: (address, hop) => isProxy(current(), address, hop),
    guards: [limitAddresses(current, broker.addresses), refuseClearText(current, confidential)],
    routes: { ...publicRoutes(broker, operationsElsewhere ? 'nobody' : 'admins'), ...pageRoutes(loadPages) },
    tell: tellOnPages(loadPages),
  });
}

export function createOperationsApp(broker: Broker): Express {
  return createBase(broker, { trustProxy: false, routes: operations(broker, 'everybody') });
}

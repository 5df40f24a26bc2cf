// Apart from serve.ts, which loads it with all of Express while the clusters answer.
import { isLoopback } from '../../shared/net/url.ts';
import { parseAddress } from '../config/address.ts';
import { isProxy } from '../http/guards.ts';
import { listen, type Listening } from '../http/listener.ts';
import { type Broker, createApp, createOperationsApp } from '../routes/app.ts';
import type { PersonRoutes } from '../routes/pages.ts';
import type { Deps } from '../surroundings.ts';

/** Where the broker takes requests. */
export interface Addresses {
  readonly main: Listening;
  /** For /metrics, if that has an address of its own. */
  readonly operations: Listening | undefined;
}

/** Throws `KleisError` when an address or a certificate cannot be used; then none is open. */
export async function openAddresses(
  broker: Broker,
  { env, clock }: Pick<Deps, 'env' | 'clock'>,
  condition: { main: Listening | undefined; certificateFault: string | undefined },
): Promise<Addresses> {
  const { loaded } = broker.current;
  const { listen: where, metrics } = loaded.config;
  let pages: Promise<PersonRoutes> | undefined;
  const loadPages = async (): Promise<PersonRoutes> =>
    (pages ??= import('../web/serve.ts').then(({ servePages }) =>
      servePages({ env, now: () => clock.now(), health: broker.health }),
    ));
  const confidential = where.tls !== undefined || isLoopback(parseAddress(where.address)?.host);
  const main = await listen({
    address: where.address,
    tls: where.tls,
    isProxy: (address) => isProxy(broker.current, address),
    app: createApp(broker, { confidential, operationsElsewhere: metrics !== undefined, loadPages }),
    onCertificate(fault) {
      condition.certificateFault = fault && `${fault.message} The old one stays in use.`;
    },
  });
  condition.main = main;
  if (metrics === undefined) return { main, operations: undefined };
  try {
    return { main, operations: await listen({ address: metrics.listen, app: createOperationsApp(broker) }) };
  } catch (error) {
    await main.drain(0);
    throw error;
  }
}

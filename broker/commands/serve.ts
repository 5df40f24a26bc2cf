import packageJson from '../../package.json' with { type: 'json' };
import { exitCodes } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Broker } from '../routes/app.ts';
import { compose, type Composition } from '../service/compose.ts';
import { loadConfig } from '../config/load.ts';
import type { Deps } from '../surroundings.ts';
import { containerFaults } from '../service/container.ts';
import { revokeDropped } from '../service/dropped-grants.ts';
import { assessHealth, type HealthInputs } from '../service/health.ts';
import { watchHealth } from '../service/health-log.ts';
import { publishHealth } from '../service/health-metrics.ts';
import { renewOwnToken } from '../cluster/own-token.ts';
import { createCounters } from '../service/counters.ts';
import type { Listening } from '../http/listener.ts';
import type { Addresses } from './addresses.ts';
import { startSweeper } from '../leases/sweep.ts';

export interface ServeFlags {
  /** A file, or a folder of them. */
  readonly config: string;
}

/** Milliseconds. Kubernetes gives 30 s from SIGTERM on. */
const patience = { requests: 20_000, background: 5_000, operations: 1_000 };
const stateCheckEvery = 15_000;
const droppedEvery = 10 * 60_000;
const renewEvery = 60_000;
const lookEvery = 10_000;

/** What only the running service knows of its own health. */
interface Condition {
  draining: boolean;
  stateFault: string | undefined;
  stateAsked: boolean;
  certificateFault: string | undefined;
  /** ms */
  sweptAt: number;
  main: Listening | undefined;
}

/** Runs until it is told to end. Throws ConfigFaults and `KleisError` when it cannot begin. */
export async function serve({ config: location }: ServeFlags, deps: Deps): Promise<number> {
  const startedAt = performance.now();
  const ending = new AbortController();
  const first = await loadConfig(location);
  const composition = await compose(location, first, deps, ending.signal);
  const { log, background } = composition.current;
  for (const { fault, next } of containerFaults(deps)) log.warn({ next }, fault);
  const condition: Condition = {
    draining: false,
    stateFault: 'It was not asked yet.',
    stateAsked: false,
    certificateFault: undefined,
    sweptAt: deps.clock.now(),
    main: undefined,
  };
  const broker = createBroker(composition, condition, deps);

  // The clusters have been asked by the time that what answers callers is loaded.
  const stopWork = startWork(composition, condition, ending.signal);
  let open: Addresses;
  try {
    const { openAddresses } = await import('./addresses.ts');
    open = await openAddresses(broker, deps, condition);
  } catch (error) {
    ending.abort();
    await stopWork();
    await composition.close();
    throw error;
  }
  const { main, operations } = open;
  const version = packageJson.version;
  log.info({ address: main.url, operations: operations?.url, version, hash: first.hash }, 'listening');
  void watchHealth({
    assess: broker.health,
    log,
    clock: deps.clock,
    facts: () => ({
      grants: Object.keys(broker.current.loaded.config.grants).length,
      milliseconds: Math.round(performance.now() - startedAt),
    }),
    signal: ending.signal,
  });
  const unlisten = deps.onHangUp(() => {
    composition.current.audit.reopen();
    void composition.source.check();
    void main.reloadCertificate();
    void composition.current.files.look();
  });

  await aborted(deps.signal);
  condition.draining = true;
  log.info({ reason: String(deps.signal.reason) }, 'ending');
  unlisten();
  ending.abort();
  const [whole] = await Promise.all([main.drain(patience.requests), stopWork()]);
  const settled = await background.settle(patience.background);
  await composition.close();
  await operations?.drain(patience.operations);
  log.info({ cut: !whole, unfinished: !settled }, 'ended');
  return exitCodes.ok;
}

function createBroker(composition: Composition, condition: Condition, { clock }: Deps): Broker {
  const { source } = composition;
  const inputs = (): HealthInputs => ({
    services: composition.current,
    reload: source.state,
    draining: condition.draining,
    stateFault: condition.stateFault,
    stateAsked: condition.stateAsked,
    anchorFault: composition.current.anchoring?.health.lastError,
    anchoredAt: composition.current.anchoring?.health.at,
    certificate: condition.main?.certificate,
    certificateFault: condition.certificateFault,
    sweptAt: condition.sweptAt,
    usage: () => composition.usage(),
  });
  const { telemetry } = composition.current;
  telemetry.onScrape(() => publishHealth(telemetry, inputs()));
  return {
    get current() {
      return composition.current;
    },
    get draining() {
      return condition.draining;
    },
    health: () => assessHealth(inputs()),
    addresses: createCounters(() => clock.now()),
  };
}

/** Starts what goes on by itself; gives what ends it. */
function startWork(composition: Composition, condition: Condition, signal: AbortSignal): () => Promise<void> {
  const { leases, issuers, files, telemetry, background, clock, log } = composition.current;
  issuers.start();
  leases.clusters.start();
  const checkState = async (): Promise<void> => {
    condition.stateFault = await leases.store.check().then(
      () => undefined,
      (error: unknown) => clean(error instanceof Error ? error.message : error, 400),
    );
    condition.stateAsked = true;
  };
  const dropped = async () => revokeDropped(composition.current, leases, signal);
  const timers = [
    every(stateCheckEvery, () => void checkState()),
    every(droppedEvery, () => void background.run('revoke what was dropped', dropped)),
    every(renewEvery, () => renewOwnTokens(composition)),
    every(lookEvery, () => void files.look()),
  ];
  const sweeper = startSweeper(leases, {
    onRound(result) {
      if (result instanceof Error) return log.warn({ reason: clean(result.message, 400) }, 'leases could not be swept');
      telemetry.swept(result.removed);
      const { failed, fault } = result;
      if (fault === undefined) condition.sweptAt = clock.now();
      else log.warn({ failed, reason: clean(fault.message, 400) }, 'some leases could not be swept');
    },
  });
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await sweeper.stop();
  };
}

/** Of the clusters that the broker signs in to with a token that it renews. */
function renewOwnTokens({ current: { leases, background, clock, log } }: Composition): void {
  for (const cluster of leases.clusters.all()) {
    void background.run(`renew the token for cluster ${cluster.name}`, async () => {
      const until = await renewOwnToken(cluster, clock.now());
      if (until !== undefined)
        log.info({ cluster: cluster.name, until: new Date(until).toISOString() }, 'own token renewed');
    });
  }
}

/** Now and then. */
function every(interval: number, work: () => void): NodeJS.Timeout {
  work();
  return setInterval(work, interval).unref();
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

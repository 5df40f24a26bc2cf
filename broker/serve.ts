import packageJson from '../package.json' with { type: 'json' };
import { exitCodes } from '../shared/errors.ts';
import { createFetch } from '../shared/http.ts';
import type { KubeClient } from '../shared/kube.ts';
import { isLoopback } from '../shared/proxy.ts';
import { clean } from '../shared/text.ts';
import { createApp, createOperationsApp, type Broker } from './app.ts';
import { kubeAnchors, startAnchoring, type Anchoring } from './audit/anchors.ts';
import { openAuditLog } from './audit/log.ts';
import { createBackground } from './background.ts';
import { createClusterPlaces } from './cluster-places.ts';
import { openClusters, type Clusters } from './clusters.ts';
import { parseAddress } from './config/address.ts';
import { formatFault } from './config/documents.ts';
import { type LoadedConfig, loadConfig } from './config/load.ts';
import { watchConfig, type ConfigSource, type GrantChanges } from './config/reload.ts';
import type { BrokerConfig } from './config/schema.ts';
import type { Deps } from './deps.ts';
import { pullDroppedSwitches, revokeDropped } from './dropped.ts';
import { assessHealth, type HealthInputs, publishHealth } from './health.ts';
import { createCounters } from './limits.ts';
import { createLog } from './log.ts';
import { listen, type Listening } from './server.ts';
import type { Services } from './services.ts';
import { createKubernetesStore } from './state/kubernetes.ts';
import { createMemoryStore } from './state/memory.ts';
import type { LeaseServices } from './state/revoke.ts';
import type { LeaseStore } from './state/store.ts';
import { startSweeper } from './state/sweep.ts';
import { createIssuers } from './subject/issuers.ts';
import { createTelemetry } from './telemetry.ts';

export interface ServeFlags {
  /** A file, or a folder of them. */
  readonly config: string;
}

/** Kubernetes gives 30 s from SIGTERM on. */
const patience = { requests: 20_000, background: 5_000 };
const stateCheckEvery = 15_000;
const droppedEvery = 10 * 60_000;

/** Runs until it is told to end. Throws ConfigFaults and `KleisError` when it cannot begin. */
export async function serve({ config: location }: ServeFlags, deps: Deps): Promise<number> {
  const startedAt = performance.now();
  const { clock, env, stderr, signal } = deps;
  const first = await loadConfig(location);
  printWarnings(first, stderr);
  const log = createLog(stderr, env);
  const now = () => clock.now();
  const { version } = packageJson;
  const audit = await openAuditLog({
    file: first.config.audit.file,
    stdout: deps.stdout,
    now,
    host: deps.host,
    version,
  });
  const telemetry = createTelemetry();
  const background = createBackground((what, reason) => log.warn({ what, reason }, 'work in the background failed'));
  const clusters = openClusters(first.config.clusters, { clock, env });
  const store = openStore(first.config, clusters);
  const issuerDeps = {
    clock,
    fetchFor: (options: Omit<Parameters<typeof createFetch>[0], 'env'>) => createFetch({ ...options, env }),
  };
  const common = {
    leases: { store, clusters, clock },
    audit,
    telemetry,
    counters: createCounters(now),
    clock,
    log,
    background,
  };
  let current: Services = {
    ...common,
    loaded: first,
    issuers: createIssuers(Object.values(first.config.issuers), issuerDeps),
  };
  const ending = new AbortController();
  let draining = false;
  let stateFault: string | undefined = 'It was not asked yet.';
  let certificateFault: string | undefined;
  let main: Listening | undefined;

  function change(next: LoadedConfig, changes: GrantChanges): void {
    const { config: before } = current.loaded;
    const old = new Map(clusters.all().map((cluster) => [cluster.name, cluster]));
    const issuers = createIssuers(Object.values(next.config.issuers), issuerDeps, current.issuers);
    clusters.update(next.config.clusters);
    current.issuers.close();
    issuers.start();
    current = { ...common, loaded: next, issuers };
    printWarnings(next, stderr);
    const { dropped, changed } = changes;
    log.info(
      { hash: next.hash, grants: Object.keys(next.config.grants).length, dropped, changed },
      'new configuration',
    );
    const late = needRestart(before, next.config);
    if (late.length > 0) log.warn({ settings: late }, 'these settings take effect when the broker is started anew');
    void background.run('record the configuration', async () =>
      audit.record({ event: 'config', outcome: 'done', policy: next.hash }),
    );
    if (dropped.length === 0) return;
    // A cluster that went with its grants is still known here, and its client works for another minute.
    const reachable = { ...clusters, get: (name: string) => clusters.get(name) ?? old.get(name) };
    const leases: LeaseServices = { ...common.leases, clusters: reachable };
    const services = current;
    void background.run('revoke what was dropped', async () => {
      await pullDroppedSwitches(services, leases, before, dropped);
      await revokeDropped(services, leases, ending.signal);
    });
  }

  const source: ConfigSource = await watchConfig(location, first, {
    now,
    onChange: change,
    onFault({ faults }) {
      log.error(
        { faults: faults.slice(0, 20).map(formatFault) },
        'the configuration cannot be used; the last good one stays',
      );
    },
  });
  const anchoring = startAnchors(first.config, clusters, () => audit.head, now);
  const inputs = (): HealthInputs => ({
    services: current,
    reload: source.state,
    draining,
    stateFault,
    anchorFault: anchoring?.health.lastError,
    anchoredAt: anchoring?.health.at,
    certificateExpires: main?.certificateExpires,
    certificateFault,
  });
  const broker: Broker = {
    get current() {
      return current;
    },
    get draining() {
      return draining;
    },
    health: () => assessHealth(inputs()),
    addresses: createCounters(now),
    places: createClusterPlaces(env),
  };
  telemetry.onScrape(() => publishHealth(telemetry, inputs()));

  const { listen: where, metrics } = first.config;
  const elsewhere = metrics !== undefined;
  const confidential = where.tls !== undefined || isLoopback(parseAddress(where.address)?.host ?? '');
  const operations = elsewhere
    ? await listen({ address: metrics.listen, listener: createOperationsApp(broker) })
    : undefined;
  main = await listen({
    address: where.address,
    tls: where.tls,
    listener: createApp(broker, { confidential, operationsElsewhere: elsewhere }),
    onCertificate(fault) {
      certificateFault = fault === undefined ? undefined : fault.message;
      if (fault !== undefined)
        log.error({ fault: certificateFault }, 'the renewed certificate cannot be used; the old one stays');
    },
  });
  log.info({ address: main.url, operations: operations?.url, version, hash: first.hash }, 'listening');

  current.issuers.start();
  clusters.start();
  const checkState = async (): Promise<void> => {
    stateFault = await store.check().then(
      () => undefined,
      (error: unknown) => clean(error instanceof Error ? error.message : error, 400),
    );
  };
  const round = async (): Promise<void> => {
    await revokeDropped(current, common.leases, ending.signal);
  };
  const repeated = [
    every(stateCheckEvery, () => void checkState()),
    every(droppedEvery, () => void background.run('revoke what was dropped', round)),
  ];
  const sweeper = startSweeper(common.leases, {
    onRound(result) {
      if (result instanceof Error) return log.warn({ reason: clean(result.message, 400) }, 'leases could not be swept');
      telemetry.swept(result.removed);
      if (result.fault)
        log.warn({ failed: result.failed, reason: clean(result.fault.message, 400) }, 'some leases stay');
    },
  });
  void announce(broker, startedAt, deps, ending.signal);
  const unlisten = deps.onHangUp(() => {
    void source.check();
    void main?.reloadCertificate();
  });

  await ended(signal);
  draining = true;
  log.info({ reason: String(signal.reason) }, 'ending');
  unlisten();
  ending.abort();
  source.close();
  for (const timer of repeated) clearInterval(timer);
  const [whole] = await Promise.all([main.drain(patience.requests), sweeper.stop()]);
  const settled = await background.settle(patience.background);
  current.issuers.close();
  anchoring?.stop();
  await audit.close();
  await anchoring?.anchor();
  clusters.close();
  await operations?.drain(1000);
  log.info({ cut: !whole, unfinished: !settled }, 'ended');
  return exitCodes.ok;

  function every(interval: number, work: () => void): NodeJS.Timeout {
    work();
    return setInterval(work, interval).unref();
  }
}

function printWarnings({ warnings }: LoadedConfig, stderr: NodeJS.WritableStream): void {
  for (const warning of warnings) stderr.write(`${formatFault(warning)} (warning ${warning.code})\n`);
}

function openStore({ state }: BrokerConfig, clusters: Clusters): LeaseStore {
  if ('memory' in state) return createMemoryStore();
  const { cluster, namespace } = state;
  return createKubernetesStore({ kube: follow(clusters, cluster), cluster, namespace });
}

function startAnchors(
  { state }: BrokerConfig,
  clusters: Clusters,
  head: Parameters<typeof startAnchoring>[1],
  now: () => number,
): Anchoring | undefined {
  if ('memory' in state) return undefined;
  return startAnchoring(kubeAnchors(follow(clusters, state.cluster), state.namespace, now), head, { now });
}

/** The client of a cluster, also when a new configuration brings another one. */
function follow(clusters: Clusters, name: string): KubeClient {
  let last = clusters.get(name)!.kube;
  const kube = (): KubeClient => (last = clusters.get(name)?.kube ?? last);
  return {
    request: async (...call) => kube().request(...call),
    skew: () => kube().skew(),
    connectedAt: () => kube().connectedAt(),
    token: async () => kube().token(),
    fault: () => kube().fault(),
    close: () => undefined,
  };
}

/** What is opened once, at the start. */
function needRestart(before: BrokerConfig, after: BrokerConfig): string[] {
  return (['listen', 'state', 'audit', 'metrics'] as const).filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
}

/** Says once when it takes requests. */
async function announce(broker: Broker, startedAt: number, { clock }: Deps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !broker.health().ready) await clock.sleep(20, signal).catch(() => undefined);
  if (signal.aborted) return;
  const { log, loaded } = broker.current;
  const milliseconds = Math.round(performance.now() - startedAt);
  log.info({ grants: Object.keys(loaded.config.grants).length, milliseconds }, 'ready');
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

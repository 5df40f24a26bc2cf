import packageJson from '../../package.json' with { type: 'json' };
import { createFetch } from '../../shared/net/http.ts';
import type { KubeClient } from '../../shared/kube/client.ts';
import { type Anchoring, kubeAnchors, startAnchoring } from '../audit/anchors.ts';
import { openAuditLog } from '../audit/log.ts';
import { createBackground } from './background.ts';
import { type Clusters, openClusters } from '../cluster/clusters.ts';
import { createClusterPlaces } from '../cluster/public-addresses.ts';
import type { ConfigChanges } from '../config/changes.ts';
import { formatFault } from '../config/documents.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type ConfigSource, type GrantChanges, watchConfig } from '../config/reload.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { Deps } from '../surroundings.ts';
import { createDropped, pullDroppedSwitches, revokeDropped } from './dropped-grants.ts';
import { createCounters } from './counters.ts';
import { createLog } from './log.ts';
import { createRecent } from './recent.ts';
import { followFiles } from './followed-files.ts';
import { createRightsReview } from './rights.ts';
import type { Services } from './services.ts';
import { createKubernetesStore } from '../leases/kubernetes.ts';
import { createOverview, noteChanges } from '../leases/overview.ts';
import { limitLive, type LiveUsage } from '../leases/live-limits.ts';
import { createMemoryStore } from '../leases/memory.ts';
import type { LeaseServices } from '../leases/lifecycle.ts';
import type { LeaseStore } from '../leases/store.ts';
import { createIssuers, type IssuerDeps } from '../issuers/issuers.ts';
import { createPublicIssuers } from '../issuers/public-issuers.ts';
import { wantsSpans } from './spans.ts';
import { createTelemetry } from './telemetry.ts';

/** What a broker works with, following its configuration. */
export interface Composition {
  /** Of the configuration in force. */
  readonly current: Services;
  readonly source: ConfigSource;
  /** Of live leases, as of now. */
  usage(): LiveUsage;
  /** Lets go of everything, with a last line in the audit and its anchor. */
  close(): Promise<void>;
}

/** Milliseconds at the end for spans that are not sent yet. */
const spanPatience = 3_000;

/** Opens what `first` says. `signal` ends what goes on by itself. Throws `config_invalid`. */
export async function compose(
  location: string,
  first: LoadedConfig,
  deps: Deps,
  signal: AbortSignal,
): Promise<Composition> {
  const { clock, env, stderr, stdout, host } = deps;
  const now = () => clock.now();
  printWarnings(first, stderr);
  const log = createLog(stderr, env);
  const { version } = packageJson;
  const recent = createRecent(now());
  const { file } = first.config.audit;
  const audit = await openAuditLog({ file, policy: first.hash, stdout, now, host, version, onLine: recent.note });
  const background = createBackground((what, reason) => log.warn({ what, reason }, 'work in the background failed'));
  const telemetry = createTelemetry();
  const spans = wantsSpans(env) ? (await import('./otlp.ts')).startSpans({ env, log, version, host }) : undefined;
  let inForce = first.config;
  const reviewRights = createRightsReview(() => inForce, now);
  const clusters = openClusters(first.config.clusters, { clock, env, reviewRights });
  const store = limitLive(openStore(first.config, clusters, now), {
    limits: () => current.loaded.config.limits.leases,
    now,
    background: (what, work) => void background.run(what, work),
    onLimit: (by) => telemetry.limited(by),
  });
  const overview = createOverview(store, { now });
  const leases: LeaseServices = { store: noteChanges(store, overview), clusters };
  const anchoring = startAnchors(first.config, clusters, () => audit.head, now);
  const gone = createDropped(now);
  const files = followFiles(() => inForce, now);
  const common = {
    leases,
    places: createClusterPlaces(env, now),
    publicIssuers: createPublicIssuers(files.authority),
    files,
    dropped: gone,
    audit,
    anchoring,
    recent,
    overview,
    telemetry,
    spans,
    counters: createCounters(now),
    clock,
    log,
    background,
  };
  const issuerDeps: IssuerDeps = {
    clock,
    fetchFor: (options) => createFetch({ ...options, env, now: () => clock.now() }),
    connectionTo: (name) => clusters.get(name)?.kube,
  };
  const issuersOf = ({ config }: LoadedConfig, previous?: Services) =>
    createIssuers(Object.values(config.issuers), issuerDeps, previous?.issuers);
  let current: Services = { ...common, loaded: first, issuers: issuersOf(first) };

  function change(next: LoadedConfig, { dropped, changed }: GrantChanges, described: ConfigChanges): void {
    const before = current.loaded.config;
    const old = new Map(clusters.all().map((cluster) => [cluster.name, cluster]));
    inForce = next.config;
    clusters.update(next.config.clusters);
    const issuers = issuersOf(next, current);
    for (const cluster of clusters.all()) void cluster.probe();
    gone.follow(next.config, dropped);
    current.issuers.close();
    issuers.start();
    current = { ...common, loaded: next, issuers };
    printWarnings(next, stderr);
    const { hash } = next;
    log.info({ hash, ...described, material: changed }, 'new configuration');
    const late = needRestart(first.config, next.config);
    if (late.length > 0) log.warn({ settings: late }, 'these settings take effect when the broker is started anew');
    const services = current;
    void background.run('follow the new configuration', async () => {
      await audit.record({ event: 'config', outcome: 'done', policy: hash }).catch(() => undefined);
      if (dropped.length === 0) return;
      // A cluster that went with its grants is still known here, and its client works for another minute.
      const known = { ...clusters, get: (name: string) => clusters.get(name) ?? old.get(name) };
      await pullDroppedSwitches(services, { ...leases, clusters: known }, before, dropped);
      await revokeDropped(services, { ...leases, clusters: known }, signal);
    });
  }

  const source = await watchConfig(location, first, {
    now,
    onChange: change,
    onFault({ faults }) {
      const lines = faults.slice(0, 20).map(formatFault);
      log.error({ faults: lines }, 'the configuration cannot be used; the last good one stays');
    },
  });
  return {
    get current() {
      return current;
    },
    source,
    usage: () => store.usage(),
    async close() {
      source.close();
      overview.forget();
      current.issuers.close();
      anchoring?.stop();
      const sent = spans?.end(spanPatience);
      await audit.close();
      await anchoring?.anchor();
      clusters.close();
      await sent;
    },
  };
}

function printWarnings({ warnings }: LoadedConfig, stderr: NodeJS.WritableStream): void {
  for (const warning of warnings) stderr.write(`${formatFault(warning)} (warning ${warning.code})\n`);
}

function openStore({ state }: BrokerConfig, clusters: Clusters, now: () => number): LeaseStore {
  if ('memory' in state) return createMemoryStore(now);
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
    time: () => kube().time(),
    skew: () => kube().skew(),
    connectedAt: () => kube().connectedAt(),
    token: async () => kube().token(),
    lifetime: () => kube().lifetime(),
    fault: () => kube().fault(),
    close: () => undefined,
  };
}

/** What is opened once, at the start. */
function needRestart(started: BrokerConfig, next: BrokerConfig): string[] {
  return (['listen', 'state', 'audit', 'metrics'] as const).filter(
    (name) => JSON.stringify(started[name]) !== JSON.stringify(next[name]),
  );
}

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry, type RegistryContentType } from 'prom-client';

/**
 * What Prometheus sees. Labels hold names of the configuration and our own words, nothing that a caller chose; but for the
 * id of a trace, 32 hex digits, of which an exemplar keeps the latest for each bucket.
 */
export interface Telemetry {
  /** One outcome of one request; the grant only where it is one of the configuration. */
  settled(
    event: string,
    labels: { outcome: string; reason: string; grant: string; issuer: string },
    seconds: number,
    traceId?: string,
  ): void;
  minted(cluster: string, outcome: 'ok' | 'failed', seconds: number, traceId?: string): void;
  revoked(result: string): void;
  limited(by: string): void;
  swept(removed: number): void;
  /** `true` or `false` becomes 1 or 0; undefined takes the value away. */
  set(gauge: GaugeName, labels: Readonly<Record<string, string>>, value: number | boolean | undefined): void;
  /** Takes away values with labels that are no longer there. */
  clear(gauge: GaugeName): void;
  /**
   * The text that Prometheus reads, after `refresh` has set what is looked at only then. In OpenMetrics, with exemplars, if
   * the header `Accept` names that.
   */
  read(accept: string | undefined): Promise<{ readonly type: string; readonly text: string }>;
  onScrape(refresh: () => void): void;
}

type Metrics = Record<string, readonly [help: string, labels: readonly string[]]>;

const counters = {
  exchanges_total: [
    'Outcomes of POST /token; the reason is the code of the error.',
    ['outcome', 'reason', 'grant', 'issuer'],
  ],
  requests_total: ['Outcomes of every request that leaves an event of the audit.', ['event', 'outcome', 'reason']],
  revocations_total: ['Outcomes of revoking.', ['result']],
  rate_limited_total: [
    'Requests that were one too many: by address, issuer, tenant, strangers, leases_per_grant, leases_per_subject.',
    ['by'],
  ],
  leases_swept_total: ['Leases removed after their end.', []],
} as const satisfies Metrics;

const histograms = {
  exchange_duration_seconds: ['How long POST /token took.', ['outcome']],
  mint_duration_seconds: ['How long the cluster took to mint.', ['cluster', 'outcome']],
} as const satisfies Metrics;

const gauges = {
  issuer_up: ['Whether the keys of the issuer could be loaded at the last attempt.', ['issuer']],
  issuer_keys: ['Keys of the issuer that can be used.', ['issuer']],
  cluster_up: ['Whether the cluster answered the last time that it was asked.', ['cluster']],
  cluster_clock_skew_seconds: ["How far the cluster's clock is ahead of ours.", ['cluster']],
  cluster_rights_missing: ['What the broker may not do there and needs to.', ['cluster']],
  admission_policy_in_force: ['Whether the cluster confines the broker.', ['cluster']],
  admission_policy_required: ['Whether nothing is minted where the admission policy is not in force.', []],
  state_up: ['Whether the leases could be reached the last time that they were asked for.', []],
  ready: ['Whether this replica takes requests.', []],
  config_ok: ['Whether the files say something that can be used.', []],
  config_last_good_timestamp_seconds: ['When what is in force was last seen in the files.', []],
  config_denies_timestamp_seconds: ['When everything is denied unless the files are mended.', []],
  config_info: ['The configuration that is in force.', ['hash']],
  config_grants: ['Grants of the configuration in force.', []],
  audit_ok: ['Whether the audit can be written.', []],
  audit_lines: ['Lines of the audit that this replica has written.', []],
  audit_lost: ['Outcomes that could not be recorded since the start.', []],
  audit_truncations: ['How often somebody cut the audit file short: lines may be gone.', []],
  audit_anchor_ok: ['Whether the audit could be anchored in the cluster at the last attempt.', []],
  audit_anchor_timestamp_seconds: ['When the audit was last anchored in the cluster.', []],
  cluster_credential_expires_timestamp_seconds: [
    'When the credential expires with which the broker signs in to the cluster.',
    ['cluster'],
  ],
  cluster_credential_renewal_due_timestamp_seconds: [
    'From when on that credential should have been renewed.',
    ['cluster'],
  ],
  certificate_ok: ['Whether the files of the certificate for HTTPS can be used.', []],
  certificate_expires_timestamp_seconds: ['When the certificate for HTTPS expires.', []],
  certificate_renewal_due_timestamp_seconds: ['From when on it should have been renewed.', []],
  sweep_last_success_timestamp_seconds: ['When ended leases were last removed without a fault, or the start.', []],
  leases_live: ['Live leases, as far as this replica knows of them.', ['grant']],
  lease_limit_used_ratio: ['Of the grant or subject with the most live leases: the used part of its limit.', ['by']],
  build_info: ['Which version this is.', ['version']],
} as const satisfies Metrics;

type AnyRegistry = Registry<RegistryContentType>;

export type GaugeName = keyof typeof gauges;

const prefix = 'kleis_broker_';

/** All of them but those of Node's process, for the page that lists them. */
export const metrics = Object.entries({ counter: counters, histogram: histograms, gauge: gauges }).flatMap(
  ([kind, all]: [string, Metrics]) =>
    Object.entries(all).map(([name, [help, labels]]) => ({ name: `${prefix}${name}`, kind, labels, help })),
);

// From a denial, which takes one, to an API server that is nearly down.
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createTelemetry(): Telemetry {
  // Others take no exemplars.
  const registry: AnyRegistry = new Registry<RegistryContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = (name: keyof typeof counters) => {
    const [help, labelNames] = counters[name];
    return new Counter<string>({ name: `${prefix}${name}`, help, labelNames, registers });
  };
  const histogram = (name: keyof typeof histograms) => {
    const [help, labelNames] = histograms[name];
    const how = { buckets, registers, enableExemplars: true };
    return new Histogram<string>({ name: `${prefix}${name}`, help, labelNames, ...how });
  };
  const requests = counter('requests_total');
  const exchanges = counter('exchanges_total');
  const duration = histogram('exchange_duration_seconds');
  const mints = histogram('mint_duration_seconds');
  const revocations = counter('revocations_total');
  const limited = counter('rate_limited_total');
  const swept = counter('leases_swept_total');
  const byName = new Map(
    metrics
      .filter(({ kind }) => kind === 'gauge')
      .map(({ name, help, labels }) => [name, new Gauge<string>({ name, help, labelNames: labels, registers })]),
  );
  const text = viewOf(registry, Registry.PROMETHEUS_CONTENT_TYPE);
  const openMetrics = viewOf(registry, Registry.OPENMETRICS_CONTENT_TYPE);
  let refresh: (() => void) | undefined;

  return {
    settled(event, labels, seconds, traceId) {
      const { outcome, reason } = labels;
      requests.inc({ event, outcome, reason });
      if (event === 'revoke') revocations.inc({ result: reason });
      if (event !== 'exchange') return;
      exchanges.inc(labels);
      duration.observe({ labels: { outcome }, value: seconds, exemplarLabels: exemplarOf(traceId) });
    },
    minted(cluster, outcome, seconds, traceId) {
      mints.observe({ labels: { cluster, outcome }, value: seconds, exemplarLabels: exemplarOf(traceId) });
    },
    revoked: (result) => revocations.inc({ result }),
    limited: (by) => limited.inc({ by }),
    swept: (removed) => swept.inc(removed),
    set(name, labels, value) {
      const gauge = byName.get(`${prefix}${name}`);
      if (value === undefined) gauge?.remove(labels);
      else gauge?.set(labels, Number(value));
    },
    clear: (name) => byName.get(`${prefix}${name}`)?.reset(),
    async read(accept = '') {
      refresh?.();
      const wanted = accept.includes('application/openmetrics-text') ? openMetrics : text;
      return { type: wanted.contentType, text: await wanted.metrics() };
    },
    onScrape(next) {
      refresh = next;
    },
  };
}

const none = {};

function exemplarOf(traceId: string | undefined): Readonly<Record<string, string>> {
  return traceId === undefined ? none : { trace_id: traceId };
}

/**
 * The same metrics, to be written in one of two formats. For OpenMetrics prom-client takes `_total` off the name of a
 * counter for good: each format gets others, which stand for the real ones.
 */
function viewOf(real: AnyRegistry, contentType: RegistryContentType): AnyRegistry {
  const view: AnyRegistry = new Registry<RegistryContentType>();
  view.setContentType(contentType);
  for (const metric of real.getMetricsAsArray()) view.registerMetric(Object.create(metric) as Counter);
  return view;
}

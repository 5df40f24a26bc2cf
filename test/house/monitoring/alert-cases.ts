/** When each alert is to fire and to end, as promtool tries it: minutes since the beginning, a sample each minute. */
export interface AlertCase {
  readonly alert: string;
  /** Values in promtool's notation, by series; `replica` without a pod is that of `instance="a"`. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes. It is not there yet, it fires, it is over. */
  readonly before: number;
  readonly fires: number;
  readonly ends: number;
  /** Of the alert, beside its severity. */
  readonly labels: Readonly<Record<string, string>>;
}

const replica = { job: 'kleis-broker', instance: 'a' };
const job = { job: 'kleis-broker' };

function name(metric: string, labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries({ ...replica, ...labels }).map(([label, value]) => `${label}="${value}"`);
  return `${metric}{${pairs.join(',')}}`;
}

/** So many minutes of one value after the other. */
function held(...spans: readonly (readonly [value: number, minutes: number])[]): string {
  return spans.map(([value, minutes]) => `${value}+0x${minutes - 1}`).join(' ');
}

/** A counter that grows by so much each minute, for so many minutes. */
function growing(...spans: readonly (readonly [by: number, minutes: number])[]): string {
  let value = 0;
  const parts: string[] = [];
  for (const [by, minutes] of spans) {
    parts.push(`${value}+${by}x${minutes - 1}`);
    value += by * minutes;
  }
  return parts.join(' ');
}

/** Well for 10 minutes, unwell for 30, well again. */
const dips = held([1, 10], [0, 30], [1, 30]);
/** For a `for` of up to 15 minutes. */
const times = { before: 9, fires: 35, ends: 55 };
/** What was to happen at that time (s), and is put off after 40 minutes. */
const overdue = held([600, 40], [1e9, 30]);

const simple = (alert: string, metric: string, values: string, labels = {}): AlertCase => ({
  alert,
  series: { [name(metric, labels)]: values },
  ...times,
  labels: { ...replica, ...labels },
});

const prod = { cluster: 'prod' };
const github = { issuer: 'github' };
const bucketsOf = (slow: number): Record<string, string> =>
  Object.fromEntries(
    [
      ['1', growing([60, 10], [60 - slow, 30], [60, 30])],
      ['5', growing([60, 70])],
      ['+Inf', growing([60, 70])],
    ].map(([le = '', values = '']) => [
      name('kleis_broker_mint_duration_seconds_bucket', { ...prod, outcome: 'ok', le }),
      values,
    ]),
  );

export const alertCases: readonly AlertCase[] = [
  {
    alert: 'KleisBrokerAbsent',
    series: { [name('kleis_broker_ready')]: `${held([1, 10])} _x30 ${held([1, 30])}` },
    ...times,
    labels: {},
  },
  simple('KleisBrokerTargetDown', 'up', dips),
  {
    alert: 'KleisBrokerNoneReady',
    series: {
      [name('kleis_broker_ready')]: held([1, 5], [0, 35], [1, 30]),
      [name('kleis_broker_ready', { instance: 'b' })]: dips,
    },
    ...times,
    labels: job,
  },
  {
    ...simple('KleisBrokerNotReady', 'kleis_broker_ready', dips),
    series: {
      [name('kleis_broker_ready')]: dips,
      [name('kleis_broker_ready', { instance: 'b' })]: held([1, 70]),
    },
  },
  simple('KleisBrokerStateUnreachable', 'kleis_broker_state_up', dips),
  {
    ...simple(
      'KleisBrokerSweepStuck',
      'kleis_broker_sweep_last_success_timestamp_seconds',
      held([300, 60], [3600, 30]),
    ),
    before: 34,
    fires: 45,
    ends: 61,
  },
  {
    ...simple('KleisBrokerBusy', 'nodejs_eventloop_lag_p99_seconds', held([0.02, 10], [0.4, 30], [0.02, 30])),
    series: {
      [name('nodejs_eventloop_lag_p99_seconds')]: held([0.02, 10], [0.4, 30], [0.02, 30]),
      [name('kleis_broker_ready')]: held([1, 70]),
      // Not ours.
      [name('nodejs_eventloop_lag_p99_seconds', { job: 'shop' })]: held([0.9, 70]),
    },
  },
  simple('KleisBrokerClusterDown', 'kleis_broker_cluster_up', dips, prod),
  simple('KleisBrokerClockSkew', 'kleis_broker_cluster_clock_skew_seconds', held([1, 10], [-25, 30], [2, 30]), prod),
  {
    alert: 'KleisBrokerPolicyMissing',
    series: {
      [name('kleis_broker_admission_policy_in_force', prod)]: dips,
      [name('kleis_broker_admission_policy_required')]: held([1, 70]),
      // Where it is optional, its absence was chosen.
      [name('kleis_broker_admission_policy_in_force', { ...prod, instance: 'b' })]: held([0, 70]),
      [name('kleis_broker_admission_policy_required', { instance: 'b' })]: held([0, 70]),
    },
    ...times,
    labels: { ...replica, ...prod },
  },
  simple('KleisBrokerRightsMissing', 'kleis_broker_cluster_rights_missing', held([0, 10], [3, 30], [0, 30]), prod),
  simple('KleisBrokerCredentialEnds', 'kleis_broker_cluster_credential_renewal_due_timestamp_seconds', overdue, prod),
  {
    alert: 'KleisBrokerMintsFail',
    series: {
      [name('kleis_broker_mint_duration_seconds_count', { ...prod, outcome: 'ok' })]: growing([60, 70]),
      [name('kleis_broker_mint_duration_seconds_count', { ...prod, outcome: 'failed' })]: growing(
        [1, 10],
        [20, 30],
        [1, 30],
      ),
    },
    ...times,
    labels: { ...job, ...prod },
  },
  { alert: 'KleisBrokerMintsSlow', series: bucketsOf(10), ...times, labels: { ...job, ...prod } },
  simple('KleisBrokerIssuerDown', 'kleis_broker_issuer_up', dips, github),
  simple('KleisBrokerIssuerWithoutKeys', 'kleis_broker_issuer_keys', held([2, 10], [0, 30], [2, 30]), github),
  simple('KleisBrokerConfigurationBad', 'kleis_broker_config_ok', dips),
  {
    // It would deny everything after five hours; the files are mended after two.
    ...simple(
      'KleisBrokerConfigurationEnds',
      'kleis_broker_config_denies_timestamp_seconds',
      `_x9 ${held([18_000, 110])} _x60`,
    ),
    before: 59,
    fires: 70,
    ends: 130,
  },
  {
    alert: 'KleisBrokerConfigurationStale',
    series: {
      [name('kleis_broker_config_last_good_timestamp_seconds')]: `0+60x9 ${held([600, 30])} 2400+60x30`,
      [name('kleis_broker_config_ok')]: held([1, 80]),
    },
    before: 24,
    fires: 35,
    ends: 55,
    labels: replica,
  },
  {
    alert: 'KleisBrokerConfigurationsDiffer',
    series: {
      [name('kleis_broker_config_info', { hash: 'old' })]: `${held([1, 40])} _x30`,
      [name('kleis_broker_config_info', { hash: 'new' })]: `_x39 ${held([1, 30])}`,
      [name('kleis_broker_config_info', { instance: 'b', hash: 'old' })]: `${held([1, 10])} _x60`,
      [name('kleis_broker_config_info', { instance: 'b', hash: 'new' })]: `_x9 ${held([1, 60])}`,
    },
    ...times,
    labels: job,
  },
  simple('KleisBrokerCertificateEnds', 'kleis_broker_certificate_renewal_due_timestamp_seconds', overdue),
  simple('KleisBrokerCertificateBad', 'kleis_broker_certificate_ok', dips),
  simple('KleisBrokerAuditNotWritten', 'kleis_broker_audit_ok', dips),
  { ...simple('KleisBrokerAuditLost', 'kleis_broker_audit_lost', held([0, 10], [7, 90])), fires: 12, ends: 60 },
  { ...simple('KleisBrokerAuditCut', 'kleis_broker_audit_truncations', held([0, 10], [1, 90])), fires: 12, ends: 60 },
  simple('KleisBrokerAuditAnchorsStale', 'kleis_broker_audit_anchor_ok', dips),
  {
    alert: 'KleisBrokerExchangesFail',
    series: {
      [name('kleis_broker_exchanges_total', { outcome: 'allowed', reason: 'ok', grant: 'g', issuer: 'i' })]: growing([
        60, 70,
      ]),
      [name('kleis_broker_exchanges_total', {
        outcome: 'failed',
        reason: 'cluster_unavailable',
        grant: 'g',
        issuer: 'i',
      })]: growing([1, 10], [20, 30], [1, 30]),
    },
    ...times,
    labels: job,
  },
  {
    // Six a minute is usual here; twice as many is no news, ten times as many is.
    alert: 'KleisBrokerDenialsSpike',
    series: {
      [name('kleis_broker_exchanges_total', { outcome: 'denied', reason: 'grant_denied', grant: '', issuer: 'i' })]:
        growing([6, 180], [12, 60], [60, 45], [6, 60]),
      [name('kleis_broker_exchanges_total', { outcome: 'denied', reason: 'rate_limited', grant: '', issuer: 'i' })]:
        growing([600, 345]),
    },
    before: 239,
    fires: 265,
    ends: 300,
    labels: job,
  },
  {
    alert: 'KleisBrokerReplays',
    series: {
      [name('kleis_broker_exchanges_total', {
        outcome: 'denied',
        reason: 'subject_replayed',
        grant: 'g',
        issuer: 'github',
      })]: growing([0, 10], [2, 30], [0, 40]),
    },
    ...times,
    ends: 60,
    labels: { ...job, ...github },
  },
  {
    alert: 'KleisBrokerRateLimited',
    series: { [name('kleis_broker_rate_limited_total', { by: 'tenant' })]: growing([0, 10], [30, 30], [0, 40]) },
    ...times,
    labels: { ...job, by: 'tenant' },
  },
  {
    alert: 'KleisBrokerLeasesNearLimit',
    series: {
      [name('kleis_broker_lease_limit_used_ratio', { by: 'grant' })]: held([0.3, 10], [0.9, 30], [0.3, 30]),
      [name('kleis_broker_lease_limit_used_ratio', { by: 'grant', instance: 'b' })]: held([0.3, 70]),
    },
    ...times,
    labels: { ...job, by: 'grant' },
  },
];

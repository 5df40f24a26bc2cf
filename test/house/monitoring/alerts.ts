/** The rules that Prometheus is given for the broker; docs/runbook.md has a paragraph for each alert. */
export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it must be so, as Prometheus writes it. */
  readonly for: string;
  /** `critical`: callers are refused, or what happened cannot be proved. `warning`: it will come to that. */
  readonly severity: 'critical' | 'warning';
  /** One sentence, with `{{ $labels.NAME }}`. */
  readonly summary: string;
}

export interface Recording {
  readonly record: string;
  readonly expr: string;
}

export interface Group<Rule> {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** Labels that tell replicas apart, where they are looked at together. */
const replicas = 'instance, pod, node';

export const recordings: Group<Recording> = {
  name: 'kleis-broker.records',
  rules: [
    {
      record: 'job_outcome:kleis_broker_exchanges:rate5m',
      expr: `sum without (${replicas}, grant, issuer, reason) (rate(kleis_broker_exchanges_total[5m]))`,
    },
    {
      record: 'job:kleis_broker_denials:rate5m',
      expr: `sum without (${replicas}, grant, issuer, reason, outcome) (rate(kleis_broker_exchanges_total{outcome="denied",reason!="rate_limited"}[5m]))`,
    },
    {
      record: 'job_cluster_outcome:kleis_broker_mints:rate5m',
      expr: `sum without (${replicas}) (rate(kleis_broker_mint_duration_seconds_count[5m]))`,
    },
    {
      record: 'job_cluster:kleis_broker_mint_duration_seconds:p95_5m',
      expr: `histogram_quantile(0.95, sum without (${replicas}, outcome) (rate(kleis_broker_mint_duration_seconds_bucket[5m])))`,
    },
    {
      record: 'job:kleis_broker_exchange_duration_seconds:p95_5m',
      expr: `histogram_quantile(0.95, sum without (${replicas}, outcome) (rate(kleis_broker_exchange_duration_seconds_bucket{outcome="allowed"}[5m])))`,
    },
  ],
};

const availability: Group<Alert> = {
  name: 'kleis-broker.availability',
  rules: [
    {
      name: 'KleisBrokerAbsent',
      expr: 'absent(kleis_broker_ready)',
      for: '5m',
      severity: 'critical',
      summary: 'Prometheus sees no broker at all.',
    },
    {
      name: 'KleisBrokerTargetDown',
      expr: 'up{job="kleis-broker"} == 0',
      for: '3m',
      severity: 'warning',
      summary: 'The metrics of {{ $labels.instance }} cannot be read.',
    },
    {
      name: 'KleisBrokerNoneReady',
      expr: `max without (${replicas}) (kleis_broker_ready) == 0`,
      for: '2m',
      severity: 'critical',
      summary: 'No replica of {{ $labels.job }} takes requests.',
    },
    {
      name: 'KleisBrokerNotReady',
      expr: 'kleis_broker_ready == 0',
      for: '5m',
      severity: 'warning',
      summary: 'The replica {{ $labels.instance }} takes no requests.',
    },
    {
      name: 'KleisBrokerStateUnreachable',
      expr: 'kleis_broker_state_up == 0',
      for: '3m',
      severity: 'critical',
      summary: 'The replica {{ $labels.instance }} cannot reach the leases.',
    },
    {
      name: 'KleisBrokerSweepStuck',
      expr: 'time() - kleis_broker_sweep_last_success_timestamp_seconds > 1800',
      for: '5m',
      severity: 'warning',
      summary: 'The replica {{ $labels.instance }} has not removed ended leases for half an hour.',
    },
    {
      name: 'KleisBrokerBusy',
      expr: 'nodejs_eventloop_lag_p99_seconds > 0.25 and on (job, instance) kleis_broker_ready',
      for: '10m',
      severity: 'warning',
      summary: 'Requests to {{ $labels.instance }} wait for its processor.',
    },
  ],
};

const clusters: Group<Alert> = {
  name: 'kleis-broker.clusters',
  rules: [
    {
      name: 'KleisBrokerClusterDown',
      expr: 'kleis_broker_cluster_up == 0',
      for: '5m',
      severity: 'critical',
      summary: 'The cluster {{ $labels.cluster }} does not answer {{ $labels.instance }}.',
    },
    {
      name: 'KleisBrokerClockSkew',
      expr: 'abs(kleis_broker_cluster_clock_skew_seconds) > 10',
      for: '10m',
      severity: 'warning',
      summary:
        'The clocks of {{ $labels.instance }} and of the cluster {{ $labels.cluster }} are more than 10 s apart.',
    },
    {
      name: 'KleisBrokerPolicyMissing',
      expr: 'kleis_broker_admission_policy_in_force == 0 and on (job, instance) kleis_broker_admission_policy_required == 1',
      for: '5m',
      severity: 'critical',
      summary: 'The admission policy that confines the broker is not in force in the cluster {{ $labels.cluster }}.',
    },
    {
      name: 'KleisBrokerRightsMissing',
      expr: 'kleis_broker_cluster_rights_missing > 0',
      for: '10m',
      severity: 'warning',
      summary: 'The broker lacks rights in the cluster {{ $labels.cluster }}.',
    },
    {
      name: 'KleisBrokerCredentialEnds',
      expr: 'kleis_broker_cluster_credential_renewal_due_timestamp_seconds < time()',
      for: '1m',
      severity: 'critical',
      summary: 'What {{ $labels.instance }} signs in to the cluster {{ $labels.cluster }} with ends soon.',
    },
    {
      name: 'KleisBrokerMintsFail',
      expr: 'sum without (outcome) (job_cluster_outcome:kleis_broker_mints:rate5m{outcome="failed"}) / sum without (outcome) (job_cluster_outcome:kleis_broker_mints:rate5m) > 0.05',
      for: '10m',
      severity: 'critical',
      summary: 'More than 5 % of the tokens asked of the cluster {{ $labels.cluster }} are not made.',
    },
    {
      name: 'KleisBrokerMintsSlow',
      expr: 'job_cluster:kleis_broker_mint_duration_seconds:p95_5m > 2',
      for: '10m',
      severity: 'warning',
      summary: 'One in 20 tokens of the cluster {{ $labels.cluster }} takes more than 2 s.',
    },
  ],
};

const issuers: Group<Alert> = {
  name: 'kleis-broker.issuers',
  rules: [
    {
      name: 'KleisBrokerIssuerDown',
      expr: 'kleis_broker_issuer_up == 0',
      for: '15m',
      severity: 'warning',
      summary: 'The keys of the issuer {{ $labels.issuer }} cannot be loaded.',
    },
    {
      name: 'KleisBrokerIssuerWithoutKeys',
      expr: 'kleis_broker_issuer_keys == 0',
      for: '5m',
      severity: 'critical',
      summary: 'The broker has no keys of the issuer {{ $labels.issuer }}: its tokens are refused.',
    },
  ],
};

const configuration: Group<Alert> = {
  name: 'kleis-broker.configuration',
  rules: [
    {
      name: 'KleisBrokerConfigurationBad',
      expr: 'kleis_broker_config_ok == 0',
      for: '5m',
      severity: 'warning',
      summary: 'The configuration of {{ $labels.instance }} cannot be used; the last good one is in force.',
    },
    {
      name: 'KleisBrokerConfigurationEnds',
      expr: 'kleis_broker_config_denies_timestamp_seconds - time() < 14400',
      for: '1m',
      severity: 'critical',
      summary: 'The last good configuration of {{ $labels.instance }} holds for less than four hours.',
    },
    {
      name: 'KleisBrokerConfigurationStale',
      expr: 'time() - kleis_broker_config_last_good_timestamp_seconds > 900 and on (job, instance) kleis_broker_config_ok == 1',
      for: '5m',
      severity: 'warning',
      summary: 'The replica {{ $labels.instance }} has not looked at its configuration for 15 minutes.',
    },
    {
      name: 'KleisBrokerConfigurationsDiffer',
      expr: `count without (hash) (count without (${replicas}) (kleis_broker_config_info)) > 1`,
      for: '15m',
      severity: 'warning',
      summary: 'The replicas of {{ $labels.job }} decide by different configurations.',
    },
    {
      name: 'KleisBrokerCertificateEnds',
      expr: 'kleis_broker_certificate_renewal_due_timestamp_seconds < time()',
      for: '15m',
      severity: 'critical',
      summary: 'The certificate of {{ $labels.instance }} ends soon, and nothing has renewed it.',
    },
    {
      name: 'KleisBrokerCertificateBad',
      expr: 'kleis_broker_certificate_ok == 0',
      for: '5m',
      severity: 'warning',
      summary: 'The renewed certificate of {{ $labels.instance }} cannot be used; the old one stays in use.',
    },
  ],
};

const audit: Group<Alert> = {
  name: 'kleis-broker.audit',
  rules: [
    {
      name: 'KleisBrokerAuditNotWritten',
      expr: 'kleis_broker_audit_ok == 0',
      for: '1m',
      severity: 'critical',
      summary: 'The replica {{ $labels.instance }} cannot write its audit, and mints nothing.',
    },
    {
      name: 'KleisBrokerAuditLost',
      expr: 'increase(kleis_broker_audit_lost[30m]) > 0',
      for: '0m',
      severity: 'critical',
      summary: 'Outcomes of requests to {{ $labels.instance }} are not in its audit.',
    },
    {
      name: 'KleisBrokerAuditCut',
      expr: 'increase(kleis_broker_audit_truncations[30m]) > 0',
      for: '0m',
      severity: 'critical',
      summary: 'Somebody cut the audit file of {{ $labels.instance }} short.',
    },
    {
      name: 'KleisBrokerAuditAnchorsStale',
      expr: 'kleis_broker_audit_anchor_ok == 0',
      for: '10m',
      severity: 'warning',
      summary: 'The replica {{ $labels.instance }} cannot anchor its audit in the cluster.',
    },
  ],
};

const requests: Group<Alert> = {
  name: 'kleis-broker.requests',
  rules: [
    {
      name: 'KleisBrokerExchangesFail',
      expr: 'sum without (outcome) (job_outcome:kleis_broker_exchanges:rate5m{outcome="failed"}) / sum without (outcome) (job_outcome:kleis_broker_exchanges:rate5m) > 0.05',
      for: '10m',
      severity: 'critical',
      summary:
        'More than 5 % of the requests for a token to {{ $labels.job }} fail for a reason that is not the callers’.',
    },
    {
      name: 'KleisBrokerDenialsSpike',
      expr: 'job:kleis_broker_denials:rate5m > 0.1 unless job:kleis_broker_denials:rate5m <= 5 * avg_over_time(job:kleis_broker_denials:rate5m[1d] offset 1h)',
      for: '10m',
      severity: 'warning',
      summary: 'The broker {{ $labels.job }} denies five times as many requests as on the day before.',
    },
    {
      name: 'KleisBrokerReplays',
      expr: `sum without (${replicas}, grant, outcome, reason) (increase(kleis_broker_exchanges_total{reason="subject_replayed"}[15m])) > 5`,
      for: '0m',
      severity: 'warning',
      summary: 'Tokens of the issuer {{ $labels.issuer }} that were used already come again.',
    },
    {
      name: 'KleisBrokerRateLimited',
      expr: `sum without (${replicas}) (rate(kleis_broker_rate_limited_total[10m])) > 0.1`,
      for: '10m',
      severity: 'warning',
      summary: 'Requests to {{ $labels.job }} are refused since there are too many ({{ $labels.by }}).',
    },
    {
      name: 'KleisBrokerLeasesNearLimit',
      expr: `max without (${replicas}) (kleis_broker_lease_limit_used_ratio) > 0.8`,
      for: '5m',
      severity: 'warning',
      summary: 'One {{ $labels.by }} has more than 80 % of the live leases that it may have.',
    },
  ],
};

export const alertGroups: readonly Group<Alert>[] = [availability, clusters, issuers, configuration, audit, requests];

export const alerts: readonly Alert[] = alertGroups.flatMap(({ rules }) => rules);

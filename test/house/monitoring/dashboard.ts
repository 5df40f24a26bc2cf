/** The Grafana dashboard, from what is worth a look; `broker/deploy/monitoring/dashboard.json` is made from it. */
export interface Query {
  readonly expr: string;
  /** `{{ label }}` of what the expression leaves. */
  readonly legend: string;
  /** A row for each of them, as they are now. */
  readonly instant?: boolean;
  /** Traces of single requests, as points. */
  readonly exemplar?: boolean;
}

interface Panel {
  readonly kind: 'timeseries' | 'stat' | 'state-timeline';
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  /** Of 24. */
  readonly width: number;
  readonly height: number;
  readonly queries: readonly Query[];
  /** From this value on red; below it green. */
  readonly redFrom?: number;
  /** 0 is red and 1 green, with these words. */
  readonly words?: { readonly bad: string; readonly good: string };
  readonly stacked?: boolean;
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const of = 'job=~"$job"';
const every = '$__rate_interval';
const wellWords = { bad: 'no', good: 'yes' };

/** Whether something is well, over time: a line for each of it. */
const state = (title: string, description: string, queries: readonly Query[], width = 12): Panel => ({
  kind: 'state-timeline',
  title,
  description,
  unit: 'none',
  width,
  height: 7,
  queries,
  words: wellWords,
});

const graph = (
  title: string,
  description: string,
  unit: string,
  queries: readonly Query[],
  more: Partial<Panel> = {},
): Panel => ({ kind: 'timeseries', title, description, unit, width: 12, height: 8, queries, ...more });

const stat = (title: string, description: string, unit: string, expr: string, more: Partial<Panel> = {}): Panel => ({
  kind: 'stat',
  title,
  description,
  unit,
  width: 4,
  height: 4,
  queries: [{ expr, legend: '', instant: true }],
  ...more,
});

const quantile = (q: number, metric: string, by: string) =>
  `histogram_quantile(${q}, sum by (${by}) (rate(${metric}[${every}])))`;

const atAGlance: Row = {
  title: 'At a glance',
  panels: [
    stat('Replicas ready', 'They take requests.', 'none', `sum(kleis_broker_ready{${of}})`),
    stat('Replicas not ready', '', 'none', `count(kleis_broker_ready{${of}} == 0) or vector(0)`, { redFrom: 1 }),
    stat(
      'Tokens a minute',
      'Exchanges that were allowed.',
      'none',
      `60 * sum(rate(kleis_broker_exchanges_total{${of},outcome="allowed"}[${every}])) or vector(0)`,
    ),
    stat(
      'Failed',
      'Of all exchanges: for a reason that is not the caller’s.',
      'percentunit',
      `(sum(rate(kleis_broker_exchanges_total{${of},outcome="failed"}[${every}])) or vector(0)) / sum(rate(kleis_broker_exchanges_total{${of}}[${every}]))`,
      { redFrom: 0.05 },
    ),
    stat(
      'Live leases',
      'Of all grants, as the replica says that knows of most.',
      'none',
      `max(sum by (instance) (kleis_broker_leases_live{${of}})) or vector(0)`,
    ),
    stat(
      'Limit used',
      'Live leases of the grant or subject that has most, of those that it may have.',
      'percentunit',
      `max(kleis_broker_lease_limit_used_ratio{${of}})`,
      { redFrom: 0.8 },
    ),
    state('What a replica needs', 'As /readyz says it.', [
      { expr: `kleis_broker_ready{${of}}`, legend: '{{instance}} ready' },
      { expr: `kleis_broker_config_ok{${of}}`, legend: '{{instance}} configuration' },
      { expr: `kleis_broker_audit_ok{${of}}`, legend: '{{instance}} audit' },
      { expr: `kleis_broker_audit_anchor_ok{${of}}`, legend: '{{instance}} anchors' },
      { expr: `kleis_broker_state_up{${of}}`, legend: '{{instance}} leases' },
      { expr: `kleis_broker_certificate_ok{${of}}`, legend: '{{instance}} certificate' },
    ]),
    state('Clusters and issuers', 'As the replica sees it that sees least.', [
      { expr: `min by (cluster) (kleis_broker_cluster_up{${of}})`, legend: '{{cluster}} answers' },
      { expr: `min by (cluster) (kleis_broker_admission_policy_in_force{${of}})`, legend: '{{cluster}} policy' },
      { expr: `min by (issuer) (kleis_broker_issuer_up{${of}})`, legend: '{{issuer}} keys' },
    ]),
  ],
};

const exchanges: Row = {
  title: 'Exchanges',
  panels: [
    graph(
      'By outcome',
      'denied: the caller’s fault. failed: the broker’s, or that of what it depends on.',
      'reqps',
      [{ expr: `sum by (outcome) (rate(kleis_broker_exchanges_total{${of}}[${every}]))`, legend: '{{outcome}}' }],
      { stacked: true },
    ),
    graph('Denied and failed, by reason', 'The codes of docs/broker.md.', 'reqps', [
      {
        expr: `sum by (outcome, reason) (rate(kleis_broker_exchanges_total{${of},outcome!="allowed"}[${every}]))`,
        legend: '{{outcome}}: {{reason}}',
      },
    ]),
    graph(
      'How long an allowed one takes',
      'The points are requests with a trace: their id stands in the log and in the audit.',
      's',
      [0.5, 0.95, 0.99].map((q) => ({
        expr: quantile(q, `kleis_broker_exchange_duration_seconds_bucket{${of},outcome="allowed"}`, 'le'),
        legend: `p${q * 100}`,
        exemplar: true,
      })),
    ),
    graph('By grant', 'The ten with most.', 'reqps', [
      {
        expr: `topk(10, sum by (grant) (rate(kleis_broker_exchanges_total{${of},grant!=""}[${every}])))`,
        legend: '{{grant}}',
      },
    ]),
    graph('By issuer', '', 'reqps', [
      {
        expr: `sum by (issuer, outcome) (rate(kleis_broker_exchanges_total{${of},issuer!=""}[${every}]))`,
        legend: '{{issuer}}: {{outcome}}',
      },
    ]),
    graph('One too many', 'Refused by a limit; `by` says which.', 'reqps', [
      { expr: `sum by (by) (rate(kleis_broker_rate_limited_total{${of}}[${every}]))`, legend: '{{by}}' },
    ]),
    graph('All requests', 'Every request that leaves an event in the audit.', 'reqps', [
      {
        expr: `sum by (event, outcome) (rate(kleis_broker_requests_total{${of}}[${every}]))`,
        legend: '{{event}}: {{outcome}}',
      },
    ]),
    graph('Revoked', '', 'reqps', [
      { expr: `sum by (result) (rate(kleis_broker_revocations_total{${of}}[${every}]))`, legend: '{{result}}' },
    ]),
  ],
};

const clusters: Row = {
  title: 'Clusters and leases',
  panels: [
    graph('How long a cluster takes to mint', '', 's', [
      {
        expr: quantile(0.5, `kleis_broker_mint_duration_seconds_bucket{${of}}`, 'le, cluster'),
        legend: '{{cluster}} p50',
      },
      {
        expr: quantile(0.95, `kleis_broker_mint_duration_seconds_bucket{${of}}`, 'le, cluster'),
        legend: '{{cluster}} p95',
        exemplar: true,
      },
    ]),
    graph('Tokens by cluster', '', 'reqps', [
      {
        expr: `sum by (cluster, outcome) (rate(kleis_broker_mint_duration_seconds_count{${of}}[${every}]))`,
        legend: '{{cluster}}: {{outcome}}',
      },
    ]),
    graph('Clocks', 'How far the clock of the cluster is ahead of the broker’s. Beyond 30 s nothing is minted.', 's', [
      { expr: `kleis_broker_cluster_clock_skew_seconds{${of}}`, legend: '{{cluster}} {{instance}}' },
    ]),
    graph('Rights that are missing', 'Apply what `kleis-broker rbac` prints.', 'none', [
      { expr: `max by (cluster) (kleis_broker_cluster_rights_missing{${of}})`, legend: '{{cluster}}' },
    ]),
    graph('Live leases by grant', 'The ten with most, as the replica says that knows of most.', 'none', [
      { expr: `topk(10, max by (grant) (kleis_broker_leases_live{${of}}))`, legend: '{{grant}}' },
    ]),
    graph('Removed after their end', 'And for how long none could be.', 'none', [
      { expr: `sum(increase(kleis_broker_leases_swept_total{${of}}[${every}]))`, legend: 'removed' },
      {
        expr: `(time() - kleis_broker_sweep_last_success_timestamp_seconds{${of}}) / 60`,
        legend: '{{instance}} minutes without',
      },
    ]),
  ],
};

const time: Row = {
  title: 'What ends',
  panels: [
    graph('Time left', 'Of the certificate for HTTPS, and of what the broker signs in to clusters with.', 's', [
      {
        expr: `kleis_broker_certificate_expires_timestamp_seconds{${of}} - time()`,
        legend: '{{instance}} certificate',
      },
      {
        expr: `kleis_broker_cluster_credential_expires_timestamp_seconds{${of}} - time()`,
        legend: '{{instance}} {{cluster}}',
      },
    ]),
    graph('Time until it should have been renewed', 'Below 0 nobody has.', 's', [
      {
        expr: `kleis_broker_certificate_renewal_due_timestamp_seconds{${of}} - time()`,
        legend: '{{instance}} certificate',
      },
      {
        expr: `kleis_broker_cluster_credential_renewal_due_timestamp_seconds{${of}} - time()`,
        legend: '{{instance}} {{cluster}}',
      },
    ]),
    graph('Age of the configuration', 'Since it was last seen to be what the files say.', 's', [
      { expr: `time() - kleis_broker_config_last_good_timestamp_seconds{${of}}`, legend: '{{instance}}' },
      {
        expr: `kleis_broker_config_denies_timestamp_seconds{${of}} - time()`,
        legend: '{{instance}} until everything is denied',
      },
    ]),
    graph('Configurations in force', 'More than one, for longer than a rollout takes, is a fault.', 'none', [
      { expr: `count by (hash) (kleis_broker_config_info{${of}})`, legend: '{{hash}}' },
      { expr: `max(kleis_broker_config_grants{${of}})`, legend: 'grants' },
    ]),
  ],
};

const audit: Row = {
  title: 'Audit',
  panels: [
    graph('Lines', '', 'ops', [{ expr: `rate(kleis_broker_audit_lines{${of}}[${every}])`, legend: '{{instance}}' }]),
    graph('Lost and cut', 'Outcomes that are in no audit; how often somebody cut the file short.', 'none', [
      { expr: `kleis_broker_audit_lost{${of}}`, legend: '{{instance}} lost' },
      { expr: `kleis_broker_audit_truncations{${of}}`, legend: '{{instance}} cut' },
    ]),
    graph('Age of the anchor', 'It moves only when there are new lines.', 's', [
      { expr: `time() - kleis_broker_audit_anchor_timestamp_seconds{${of}}`, legend: '{{instance}}' },
    ]),
  ],
};

const processes: Row = {
  title: 'Processes',
  panels: [
    graph('Processor', 'Of one core.', 'percentunit', [
      {
        expr: `rate(process_cpu_seconds_total{${of}}[${every}]) and on (job, instance) kleis_broker_ready{${of}}`,
        legend: '{{instance}}',
      },
    ]),
    graph('Memory', '', 'bytes', [
      {
        expr: `process_resident_memory_bytes{${of}} and on (job, instance) kleis_broker_ready{${of}}`,
        legend: '{{instance}}',
      },
    ]),
    graph('How long work waits for the processor', '', 's', [
      {
        expr: `nodejs_eventloop_lag_p99_seconds{${of}} and on (job, instance) kleis_broker_ready{${of}}`,
        legend: '{{instance}} p99',
      },
    ]),
    graph('Versions', '', 'none', [
      { expr: `count by (version) (kleis_broker_build_info{${of}})`, legend: '{{version}}' },
    ]),
  ],
};

const rows: readonly Row[] = [atAGlance, exchanges, clusters, time, audit, processes];

/** Every expression, as it stands in the dashboard. */
export const dashboardQueries: readonly Query[] = rows.flatMap(({ panels }) =>
  panels.flatMap(({ queries }) => queries),
);

const source = { type: 'prometheus', uid: '${datasource}' };

/** The JSON model of Grafana 10 and later. */
export function dashboard(): object {
  let id = 0;
  let y = 0;
  const panels: object[] = [];
  for (const { title, panels: those } of rows) {
    panels.push({ id: (id += 1), type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    let [x, high] = [0, 0];
    for (const panel of those) {
      if (x + panel.width > 24) {
        y += high;
        [x, high] = [0, 0];
      }
      panels.push(panelModel(panel, (id += 1), { x, y, w: panel.width, h: panel.height }));
      x += panel.width;
      high = Math.max(high, panel.height);
    }
    y += high;
  }
  return {
    uid: 'kleis-broker',
    title: 'Kleis broker',
    description: 'Short-lived, scoped access to Kubernetes: what the broker gives, denies and needs.',
    tags: ['kleis', 'kubernetes'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    links: [
      {
        type: 'link',
        title: 'Runbook',
        url: 'https://github.com/kleis-dev/kleis/blob/main/docs/runbook.md',
        icon: 'doc',
        targetBlank: true,
      },
    ],
    annotations: {
      list: [
        {
          name: 'New configuration',
          datasource: source,
          enable: true,
          iconColor: 'blue',
          expr: `count by (hash) (kleis_broker_config_info{${of}}) unless count by (hash) (kleis_broker_config_info{${of}} offset 1m)`,
          titleFormat: 'New configuration',
          textFormat: '{{hash}}',
          step: '60s',
        },
      ],
    },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', hide: 0 },
        {
          name: 'job',
          label: 'Job',
          type: 'query',
          datasource: source,
          definition: 'label_values(kleis_broker_ready, job)',
          query: { query: 'label_values(kleis_broker_ready, job)', refId: 'job' },
          refresh: 2,
          sort: 1,
          multi: true,
          includeAll: true,
          allValue: '.+',
          current: { selected: true, text: 'All', value: '$__all' },
          hide: 0,
        },
      ],
    },
    panels,
  };
}

function panelModel(panel: Panel, id: number, gridPos: object): object {
  const { kind, title, description, unit, queries } = panel;
  return {
    id,
    type: kind,
    title,
    ...(description !== '' && { description }),
    datasource: source,
    gridPos,
    targets: queries.map(({ expr, legend, instant = false, exemplar = false }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: source,
      editorMode: 'code',
      expr,
      legendFormat: legend,
      instant,
      range: !instant,
      ...(exemplar && { exemplar }),
    })),
    fieldConfig: { defaults: fieldDefaults(panel, unit), overrides: [] },
    options: optionsOf(panel),
  };
}

function fieldDefaults({ kind, redFrom, words, stacked = false }: Panel, unit: string): object {
  const steps = [
    { color: redFrom === undefined ? 'text' : 'green', value: null },
    ...(redFrom === undefined ? [] : [{ color: 'red', value: redFrom }]),
  ];
  const mappings = words && [
    {
      type: 'value',
      options: {
        '0': { text: words.bad, color: 'red', index: 0 },
        '1': { text: words.good, color: 'green', index: 1 },
      },
    },
  ];
  return {
    unit,
    ...(kind === 'timeseries' && {
      custom: {
        lineWidth: 1,
        fillOpacity: stacked ? 30 : 10,
        showPoints: 'never',
        stacking: { mode: stacked ? 'normal' : 'none' },
      },
    }),
    ...(kind === 'stat' && { color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps } }),
    ...(mappings && { mappings, color: { mode: 'fixed' }, custom: { fillOpacity: 80, lineWidth: 0 } }),
  };
}

function optionsOf({ kind }: Panel): object {
  if (kind === 'stat') {
    return { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'none', textMode: 'value' };
  }
  if (kind === 'state-timeline') {
    return { mergeValues: true, showValue: 'never', rowHeight: 0.8, legend: { showLegend: false } };
  }
  return {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  };
}

import { stringify } from 'yaml';
import { type Alert, alertGroups, alerts, type Group, recordings } from './alerts.ts';
import { type AlertCase, alertCases } from './alert-cases.ts';
import { dashboard } from './dashboard.ts';

export const monitoringFolder = 'broker/deploy/monitoring';
export const runbook = 'https://github.com/kleis-dev/kleis/blob/main/docs/runbook.md';

const made = '# Made by `npm run generate` from test/house/monitoring.\n';

/** What operators watch the broker with, as files for Prometheus, its operator, and Grafana. */
export const monitoringFiles: readonly { readonly file: string; readonly make: () => string }[] = [
  { file: `${monitoringFolder}/rules.yaml`, make: () => yaml({ groups: ruleGroups() }) },
  { file: `${monitoringFolder}/rules.test.yaml`, make: () => yaml(ruleTests()) },
  { file: `${monitoringFolder}/prometheus-rule.yaml`, make: () => yaml(prometheusRule()) },
  { file: `${monitoringFolder}/dashboard.json`, make: () => `${JSON.stringify(dashboard(), undefined, 2)}\n` },
];

function yaml(value: object): string {
  return `${made}${stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

function ruleGroups(): object[] {
  return [recordings, ...alertGroups.map(groupOf)];
}

function groupOf({ name, rules }: Group<Alert>): Group<object> {
  return {
    name,
    rules: rules.map((alert) => ({
      alert: alert.name,
      expr: alert.expr,
      for: alert.for,
      labels: { severity: alert.severity },
      annotations: annotationsOf(alert),
    })),
  };
}

function annotationsOf({ name, summary }: Pick<Alert, 'name' | 'summary'>): Record<string, string> {
  return { summary, runbook_url: `${runbook}#${name.toLowerCase()}` };
}

/** For the Prometheus operator. */
function prometheusRule(): object {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: 'kleis-broker',
      namespace: 'kleis-system',
      labels: { 'app.kubernetes.io/name': 'kleis-broker' },
    },
    spec: { groups: ruleGroups() },
  };
}

/** For `promtool test rules`. */
function ruleTests(): object {
  return {
    rule_files: ['rules.yaml'],
    evaluation_interval: '1m',
    tests: alertCases.map((each) => ({
      name: each.alert,
      interval: '1m',
      input_series: Object.entries(each.series).map(([series, values]) => ({ series, values })),
      alert_rule_test: [
        { eval_time: `${each.before}m`, alertname: each.alert, exp_alerts: [] },
        { eval_time: `${each.fires}m`, alertname: each.alert, exp_alerts: [expected(each)] },
        { eval_time: `${each.ends}m`, alertname: each.alert, exp_alerts: [] },
      ],
    })),
  };
}

function expected({ alert: name, labels }: AlertCase): object {
  const alert = alerts.find((each) => each.name === name);
  if (alert === undefined) throw new Error(`there is no alert ${name}`);
  const said = (text: string) =>
    text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => labels[label] ?? '');
  return {
    exp_labels: { severity: alert.severity, ...labels },
    exp_annotations: annotationsOf({ name, summary: said(alert.summary) }),
  };
}

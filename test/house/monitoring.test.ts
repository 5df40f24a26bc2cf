import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { createTelemetry } from '../../broker/service/telemetry.ts';
import { needs } from '../support/needs.ts';
import { promtool, promtoolOn } from '../support/promtool.ts';
import { alertCases } from './monitoring/alert-cases.ts';
import { alerts, recordings } from './monitoring/alerts.ts';
import { dashboard, dashboardQueries } from './monitoring/dashboard.ts';
import { monitoringFolder } from './monitoring/files.ts';

const names = alerts.map(({ name }) => name);
const expressions = [...alerts, ...recordings.rules, ...dashboardQueries].map(({ expr }) => expr);
/** Names of time series that a broker's metrics bring. */
const exposed = await (async () => {
  const { text } = await createTelemetry().read(undefined);
  const types = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm));
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => `${name}${end}`) : [name],
    ),
  );
})();
const ours = [...exposed].filter((name) => name.startsWith('kleis_broker_'));
const namesIn = (text: string) => text.match(/\b(?:kleis_broker|nodejs|process)_\w+/g) ?? [];

describe.skipIf(!needs('promtool'))('Prometheus', () => {
  it('takes the rules and the configuration, and every alert fires and ends as its case says', () => {
    promtool('check', 'rules', `${monitoringFolder}/rules.yaml`);
    promtool('check', 'config', `${monitoringFolder}/prometheus.yaml`);
    promtool('test', 'rules', `${monitoringFolder}/rules.test.yaml`);
  });

  it('can read every expression of the dashboard', () => {
    const rules = dashboardQueries.map(({ expr }, index) => ({
      record: `test:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.+'),
    }));
    expect(JSON.stringify(rules)).not.toContain('$');
    promtoolOn(JSON.stringify({ groups: [{ name: 'dashboard', rules }] }), 'check', 'rules');
    const broken = { groups: [{ name: 'broken', rules: [{ record: 'a', expr: 'rate(kleis_broker_ready' }] }] };
    expect(() => promtoolOn(JSON.stringify(broken), 'check', 'rules')).toThrow(/promtool/);
  });
});

describe('what operators watch', () => {
  it('names no metric that the broker does not have', () => {
    const recorded = recordings.rules.map(({ record }) => record);
    for (const expr of expressions) {
      const others = recorded.reduce((text, record) => text.replaceAll(record, ''), expr);
      expect(
        namesIn(others).filter((name) => !exposed.has(name)),
        expr,
      ).toEqual([]);
    }
  });

  it('leaves no metric of the broker unwatched, and none undocumented', () => {
    const watched = new Set(expressions.flatMap(namesIn).map(baseOf));
    expect(ours.map(baseOf).filter((name) => !watched.has(name))).toEqual([]);
    const page = readFileSync('docs/broker.md', 'utf8');
    const short = (name: string) => name.slice('kleis_broker'.length);
    const missing = ours
      .map(baseOf)
      .filter((name) => !page.includes(`\`${name}`) && !page.includes(`\`${short(name)}`));
    expect(missing).toEqual([]);
  });

  it('has a case for every alert, and a paragraph of the runbook for every alert and for nothing else', () => {
    expect(alertCases.map(({ alert }) => alert).toSorted()).toEqual(names.toSorted());
    const page = readFileSync('docs/runbook.md', 'utf8');
    const sections = page.split(/^### /m).slice(1);
    expect(sections.map((section) => section.slice(0, section.indexOf('\n'))).toSorted()).toEqual(names.toSorted());
    for (const section of sections) {
      const [title = '', ...paragraphs] = section
        .replace(/^## .*$/m, '')
        .trim()
        .split('\n\n');
      expect(paragraphs, title).toHaveLength(1);
      expect(paragraphs[0], title).toMatch(
        /^\*\*Means:\*\* .+ \*\*Meanwhile:\*\* .+ \*\*Look:\*\* .+ \*\*Ends\*\* .+$/,
      );
    }
    const anchors = new Set(names.map((name) => `#${name.toLowerCase()}`));
    for (const [, anchor = ''] of page.matchAll(/\]\((#\w+)\)/g)) expect(anchors).toContain(anchor);
  });

  it('knows the job by one name, in the alerts, for the operator and without it', () => {
    const [service, monitor] = parseAllDocuments(read('service-monitor.yaml')).map((each) => each.toJS());
    expect(service.metadata.labels[monitor.spec.jobLabel]).toBe('kleis-broker');
    expect(service.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels);
    expect(service.spec.ports.map((port: { name: string }) => port.name)).toContain(monitor.spec.endpoints[0].port);
    const [plain] = parseAllDocuments(read('prometheus.yaml')).map((each) => each.toJS());
    expect(plain.scrape_configs[0].job_name).toBe('kleis-broker');
    expect(alerts.find(({ name }) => name === 'KleisBrokerTargetDown')?.expr).toContain('job="kleis-broker"');
  });

  it('has panels that do not cover each other, each with a title and a query of its own', () => {
    const { panels } = dashboard() as { panels: readonly PanelModel[] };
    const taken = new Set<string>();
    for (const { type, title, gridPos, targets = [] } of panels) {
      expect(title).not.toBe('');
      if (type !== 'row') expect(targets.length, title).toBeGreaterThan(0);
      const { x, y, w, h } = gridPos;
      expect(x + w).toBeLessThanOrEqual(24);
      for (let row = y; row < y + h; row += 1) {
        for (let column = x; column < x + w; column += 1) {
          expect(taken.has(`${row} ${column}`), title).toBe(false);
          taken.add(`${row} ${column}`);
        }
      }
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });
});

interface PanelModel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly object[];
}

function read(name: string): string {
  return readFileSync(`${monitoringFolder}/${name}`, 'utf8');
}

function baseOf(name: string): string {
  return name.replace(/_(?:bucket|sum|count)$/, '');
}

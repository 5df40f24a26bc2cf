import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findTool } from './tools.ts';

/** What Prometheus' own tool says of files, or of the time that they describe; throws with its words where it is not content. */
export function promtool(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(findTool('promtool') ?? 'promtool', args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** The same of a text that it takes as a file. */
export function promtoolOn(text: string, ...args: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'kleis-promtool-'));
  try {
    const file = join(folder, 'given.yaml');
    writeFileSync(file, text);
    return promtool(...args, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How long what a broker says goes on, and when it is looked at; minutes. Longer than any alert waits. */
const [lasts, at] = [60, 50];

/**
 * Throws unless these alerts, and no others, fire when a broker goes on for an hour to say what it said: times go with the
 * clock, and counters grow each minute by what they were.
 */
export function assertFiring(metrics: string, wanted: readonly string[], now: number): void {
  const samples = wanted.toSorted().map((name) => ({ labels: `{alertname="${name}"}`, value: 1 }));
  const test = {
    rule_files: [resolve('broker/deploy/monitoring/rules.yaml')],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: seriesOf(metrics, now),
        promql_expr_test: [
          {
            expr: 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0',
            eval_time: `${at}m`,
            exp_samples: samples,
          },
        ],
      },
    ],
  };
  promtoolOn(JSON.stringify(test), 'test', 'rules');
}

function seriesOf(metrics: string, now: number): { readonly series: string; readonly values: string }[] {
  const counters = new Set(
    Array.from(metrics.matchAll(/^# TYPE (\S+) (?:counter|histogram)$/gm), ([, name = '']) => name),
  );
  const isCounter = (name: string) => counters.has(name) || counters.has(name.replace(/_(?:bucket|sum|count)$/, ''));
  const seen = Array.from(metrics.matchAll(/^(kleis_broker_\w+)(?:\{(.*)\})? (\S+)$/gm));
  return seen.map(([, name = '', labels = '', text = '']) => {
    const value = Number(text);
    const series = `${name}{${[`job="kleis-broker",instance="a"`, ...(labels === '' ? [] : [labels])].join(',')}}`;
    if (isCounter(name)) return { series, values: `0+${value}x${lasts}` };
    if (name.endsWith('_timestamp_seconds')) return { series, values: moving(value - now / 1000) };
    return { series, values: `${value}+0x${lasts}` };
  });
}

/** A time that stays as far away as it is. */
function moving(distance: number): string {
  return `${distance.toFixed(0)}+60x${lasts}`;
}

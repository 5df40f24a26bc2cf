import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { KubeObject } from '../../../shared/rbac/kinds.ts';
import { run, type RunResult } from '../../support/run.ts';
import { findTool } from '../../support/tools.ts';

export const chart = resolve('broker/deploy/helm/kleis-broker');

export async function helm(args: readonly string[], stdin?: string): Promise<RunResult> {
  const env = { HOME: tmpdir(), PATH: '/usr/bin:/bin', HELM_CACHE_HOME: tmpdir() };
  return run(findTool('helm') ?? 'helm', args, { env, timeout: 60_000, ...(stdin !== undefined && { stdin }) });
}

/** What the chart makes of one configuration: objects, or what is wrong. */
export interface Made {
  readonly objects: readonly KubeObject[];
  readonly faults: readonly string[];
}

const each = `
{{- $all := list }}
{{- range .Values.all }}
{{- $root := dict "Values" . "kleis" (dict "faults" list) }}
{{- include "kleis.complete" $root }}
{{- include "kleis.judge" $root }}
{{- $made := dict "items" list }}
{{- if not $root.kleis.faults }}
{{- $needs := dict }}
{{- include "kleis.needs" (dict "config" $root.kleis.config "name" $root.kleis.cluster "clusters" $root.kleis.clusters "into" $needs) }}
{{- include "kleis.manifests" (dict "needs" $needs "into" $made) }}
{{- end }}
{{- $all = append $all (dict "objects" $made.items "faults" $root.kleis.faults) }}
{{- end }}
{{ dict "apiVersion" "v1" "kind" "All" "all" $all | toJson }}
`;

/** Many configurations with one call, by a chart that has the templates of the real one and ranges over them. */
export async function makeAll(configs: readonly Record<string, unknown>[]): Promise<Made[]> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-chart-'));
  try {
    await mkdir(join(folder, 'templates'));
    for (const name of await readdir(join(chart, 'templates'))) {
      if (name.endsWith('.tpl')) await copyFile(join(chart, 'templates', name), join(folder, 'templates', name));
    }
    await writeFile(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: each\nversion: 0.0.0\n');
    await writeFile(join(folder, 'templates', 'each.yaml'), each);
    const values = { all: configs.map((config) => ({ config, replicas: 2, certificate: {} })) };
    await writeFile(join(folder, 'values.yaml'), JSON.stringify(values));
    const { code, stdout, stderr } = await helm(['template', 'each', folder]);
    if (code !== 0) throw new Error(stderr);
    const line = stdout.split('\n').find((text) => text.startsWith('{')) ?? '{}';
    return (JSON.parse(line) as { all: Made[] }).all;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

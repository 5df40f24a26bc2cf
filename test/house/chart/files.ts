import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import type { JsonSchema } from '../../../broker/config/json-schema.ts';
import { table } from '../reference.ts';
import { chartFolder } from './folder.ts';
import { policyTemplates } from './policies.ts';
import { valuesSchema, workloadValues } from './values-schema.ts';

const monitoring = 'broker/deploy/monitoring';

/** What of the chart is made from the code, or from the files beside it. */
export const chartFiles: readonly { readonly file: string; readonly make: (current: string) => string }[] = [
  {
    file: `${chartFolder}/Chart.yaml`,
    make: (current) =>
      current
        .replace(/^version: .*$/m, `version: ${packageJson.version}`)
        .replace(/^appVersion: .*$/m, `appVersion: ${packageJson.version}`),
  },
  { file: `${chartFolder}/values.schema.json`, make: () => `${JSON.stringify(valuesSchema(), null, 2)}\n` },
  { file: `${chartFolder}/templates/_policies.tpl`, make: policyTemplates },
  { file: `${chartFolder}/files/rules.yaml`, make: () => readFileSync(`${monitoring}/rules.yaml`, 'utf8') },
  { file: `${chartFolder}/files/service-monitor.yaml`, make: serviceMonitor },
];

/** Without its NetworkPolicy: the chart has one for all. */
function serviceMonitor(): string {
  const [service, monitor] = readFileSync(`${monitoring}/service-monitor.yaml`, 'utf8')
    .replaceAll(/^\s*#.*\n/gm, '')
    .split('\n---\n');
  return `# Made by \`npm run generate\` from ${monitoring}.\n${service}\n---\n${monitor}\n`;
}

/** For docs/broker.md. */
export function valuesTable(): string {
  const defaults = parse(readFileSync(`${chartFolder}/values.yaml`, 'utf8')) as unknown;
  return table(['value', 'default', 'meaning'], rowsOf(workloadValues, '', defaults));
}

function rowsOf({ properties = {} }: JsonSchema, path: string, defaults: unknown): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const here = path === '' ? name : `${path}.${name}`;
    const value = (defaults as Readonly<Record<string, unknown>> | undefined)?.[name];
    const isGroup = schema.properties !== undefined;
    const shown = isGroup || value === undefined || isEmpty(value) ? '' : `\`${shortly(value)}\``;
    return [[`\`${here}\``, shown, String(schema.description)], ...rowsOf(schema, here, value)];
  });
}

const isEmpty = (value: unknown) => ['""', '[]', '{}'].includes(JSON.stringify(value));
const shortly = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

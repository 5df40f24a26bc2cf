import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { brokerJsonSchema } from '../../broker/config/json-schema.ts';
import { openApi } from '../../broker/contract/openapi.ts';
import { configJsonSchema } from '../../cli/settings/json-schema.ts';
import { manualPages } from '../../manual.ts';
import { brokerParts } from './broker-reference.ts';
import { chartFiles } from './chart/files.ts';
import { kustomizeFiles } from './chart/kustomize.ts';
import { clusterParts } from './cluster-reference.ts';
import { monitoringFiles } from './monitoring/files.ts';
import { commandParts } from './command-reference.ts';
import { replacePart } from './page.ts';
import { providerParts } from './provider-reference.ts';
import { referenceParts } from './reference.ts';
import { releaseParts } from './release-reference.ts';
import { house } from './rooms.ts';
import { actionParts } from './action-reference.ts';
import { shellParts } from './shell-parts.ts';
import { versionParts } from './versions.ts';
import { makeWalls } from './walls.ts';

/** A file of which all or a part is made from the code. */
export interface Generated {
  readonly file: string;
  /** What the file ought to be, from what it is. */
  readonly make: (current: string) => string;
}

/** Everything in the repository that is made from the code: `npm run generate` writes it, a test proves it fresh. */
export const generated: readonly Generated[] = [
  { file: '.oxlintrc.json', make: withWalls },
  { file: 'docs/architecture.md', make: (page) => replacePart(page, 'rooms', roomTables()) },
  { file: 'docs/decisions/README.md', make: (page) => replacePart(page, 'decisions', decisionTable()) },
  { file: 'package.json', make: withManual },
  { file: 'docs/openapi.json', make: () => `${JSON.stringify(openApi(), null, 2)}\n` },
  { file: 'docs/broker-config.schema.json', make: () => `${JSON.stringify(brokerJsonSchema(), null, 2)}\n` },
  { file: 'docs/config.schema.json', make: () => `${JSON.stringify(configJsonSchema(), null, 2)}\n` },
  ...monitoringFiles,
  ...shellParts,
  ...chartFiles,
  ...kustomizeFiles,
  ...versionParts,
  ...[
    ...referenceParts,
    ...brokerParts,
    ...providerParts,
    ...commandParts,
    ...clusterParts,
    ...releaseParts,
    ...actionParts,
  ].map(({ file, name, make }) => ({
    file,
    make: (page: string) => replacePart(page, name, make()),
  })),
];

/** The files that are not as they ought to be, with what they ought to hold. */
export function stale(): { readonly file: string; readonly text: string }[] {
  const files = [...new Set(generated.map(({ file }) => file))];
  return files.flatMap((file) => {
    const current = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const text = generated.filter((each) => each.file === file).reduce((before, { make }) => make(before), current);
    return text === current ? [] : [{ file, text }];
  });
}

interface LintConfig {
  readonly overrides: readonly { readonly rules: Readonly<Record<string, unknown>> }[];
}

function withWalls(text: string): string {
  const config = JSON.parse(text) as LintConfig;
  const others = config.overrides.filter(({ rules }) => !('no-restricted-imports' in rules));
  const walls = { ...config, overrides: [...makeWalls(), ...others] };
  return isDeepEqual(config, walls) ? text : `${JSON.stringify(walls, undefined, 2)}\n`;
}

/** npm puts pages of the manual in place only where they are named one by one. */
function withManual(text: string): string {
  const current = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const man = [...manualPages('').keys()].map((name) => `dist/man/${name}`).toSorted();
  return isDeepEqual(current['man'], man) ? text : `${JSON.stringify({ ...current, man }, undefined, 2)}\n`;
}

const isDeepEqual = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** From the top floor down, as one reads. */
function roomTables(): string {
  const tables = house.toReversed().map(({ name, rooms }) => {
    const rows = rooms.toReversed().map(({ place, holds }) => `| \`${place}\` | ${holds} |`);
    return `### ${name}\n\n| room | what for |\n| --- | --- |\n${rows.join('\n')}`;
  });
  return tables.join('\n\n');
}

function decisionTable(): string {
  const names = readdirSync('docs/decisions').filter((name) => /^\d{4}-/.test(name));
  const rows = names.toSorted().map((name) => {
    const [, number = '', title = ''] = /^# (\d+)\. (.+)$/m.exec(readFileSync(`docs/decisions/${name}`, 'utf8')) ?? [];
    if (Number(number) !== Number(name.slice(0, 4))) throw new Error(`${name} has another number in its heading`);
    return `| [${number}](${name}) | ${title} |`;
  });
  return `| no. | decision |\n| --- | --- |\n${rows.join('\n')}`;
}

import { words } from '../../shared/rbac/powers-table.ts';
import { printStarterRoleYaml } from '../../broker/rbac/starter-roles.ts';
import { checkCodes } from '../../broker/check/codes.ts';
import { warningCodes } from '../../broker/config/warning-codes.ts';
import { brokerJsonSchema, type JsonSchema } from '../../broker/config/json-schema.ts';
import { valuesTable } from './chart/files.ts';
import { type Part, table } from './reference.ts';

/** The parts of the broker's pages that are made from the schema of its configuration and from what `check` knows. */
export const brokerParts: readonly Part[] = [
  { file: 'docs/broker.md', name: 'settings', make: () => settingsTable((path) => !isOfGrant(path)) },
  { file: 'docs/broker.md', name: 'values', make: valuesTable },
  { file: 'docs/grants.md', name: 'fields of a grant', make: () => settingsTable(isOfGrant) },
  { file: 'docs/grants.md', name: 'warnings', make: warningsTable },
  { file: 'docs/rbac.md', name: 'findings', make: findingsTable },
  { file: 'docs/rbac.md', name: 'powers', make: powersTable },
  { file: 'docs/ci/README.md', name: 'role', make: starterRole },
];

interface Setting {
  /** As the page spells it: `issuers.NAME.url`, `access[].role`. */
  readonly path: string;
  readonly schema: JsonSchema;
}

/** Every setting that a configuration can have, in the order of the schema; what only groups others is left out. */
export function settingsOf(schema: JsonSchema = brokerJsonSchema(), path = ''): Setting[] {
  const { anyOf = [], properties, additionalProperties, items } = schema;
  const here = { path, schema };
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, part]) =>
      settingsOf(part, path === '' ? name : `${path}.${name}`),
    );
  }
  // `where` is told on a page of its own.
  if (typeof additionalProperties === 'object' && additionalProperties.properties !== undefined) {
    return settingsOf(additionalProperties, `${path}.NAME`);
  }
  if (items?.properties !== undefined) return [here, ...settingsOf(items, `${path}[]`)];
  const parts = anyOf.filter((each) => each.properties !== undefined);
  return [here, ...parts.flatMap((each) => settingsOf(each, path))];
}

const isOfGrant = (path: string) => path.startsWith('grants.NAME.');

function warningsTable(): string {
  return table(
    ['code', 'why'],
    Object.entries(warningCodes).map(([code, why]) => [`\`${code}\``, why]),
  );
}

function findingsTable(): string {
  return table(
    ['code', 'about'],
    checkCodes.map(({ codes, about }) => [codes.map((code) => `\`${code}\``).join(', '), about]),
  );
}

function settingsTable(wanted: (path: string) => boolean): string {
  const rows = settingsOf()
    .filter(({ path }) => wanted(path))
    .map(({ path, schema }) => [
      `\`${path.replace('grants.NAME.', '')}\``,
      defaultOf(schema),
      [schema.description, choicesOf(schema), schema.$comment].filter((each) => each !== undefined).join(' '),
    ]);
  return table(['setting', 'default', 'meaning'], rows);
}

function defaultOf(schema: JsonSchema): string {
  const value = schema['default'];
  return value === undefined ? '' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function choicesOf(schema: JsonSchema): string | undefined {
  const choices = (schema['enum'] ?? schema.items?.['enum']) as readonly string[] | undefined;
  return choices && `One of ${choices.map((each) => `\`${each}\``).join(', ')}.`;
}

function powersTable(): string {
  const rows = words
    .filter(({ severity }) => severity !== 'none')
    .map(({ severity, inNamespace, scope, verbs, resources, groups, may, source }) => [
      [severity, scope, inNamespace && `${inNamespace} by a RoleBinding`].filter(Boolean).join(', '),
      verbs.map((verb) => `\`${verb.replace(/:$/, ':…')}\``).join(', '),
      [resources]
        .flat()
        .map((each) => `\`${each}\``)
        .join(', '),
      [groups]
        .flat()
        .map((each) => each || 'core')
        .join(', '),
      may,
      source,
    ]);
  return table(['', 'verbs', 'resources', 'API group', 'lets somebody', 'source'], rows);
}

function starterRole(): string {
  return `\`\`\`yaml\n${printStarterRoleYaml('deployer', ['web']).trimEnd()}\n\`\`\``;
}

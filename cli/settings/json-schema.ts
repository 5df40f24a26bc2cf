import { durationPattern } from '../../shared/duration.ts';
import { schemaId } from '../../shared/schema-id.ts';
import { choices, type ConfigName, configNames, settingOf } from './table.ts';
import { listenPattern } from './listen-address.ts';
import { maxItems, maxText } from './values.ts';

type Schema = Readonly<Record<string, unknown>>;

const text = { type: 'string', minLength: 1, maxLength: maxText };
const duration = { type: 'string', pattern: durationPattern.source };
const oneOrMore = (item: Schema) => ({ anyOf: [item, { type: 'array', items: item, minItems: 1, maxItems }] });

/** What each may be. Whatever the program takes stands in it; of addresses and times the program knows more. */
const shapes: Readonly<Record<ConfigName, Schema>> = {
  login: { type: 'string', enum: choices.login },
  browserCommand: oneOrMore(text),
  listenAddress: oneOrMore({ ...text, pattern: listenPattern.source }),
  redirectUri: { ...text, pattern: '^[hH][tT][tT][pP]:' },
  cache: { type: 'string', enum: choices.cache },
  minValidity: duration,
  loginTimeout: duration,
  proxy: { ...text, pattern: '://' },
  confirmNewClusters: { type: 'boolean' },
  // Of Windows, too.
  clientFiles: oneOrMore({ ...text, pattern: String.raw`^(?:/|\\|[A-Za-z]:[/\\])` }),
  brokerAudiences: {
    type: 'object',
    maxProperties: maxItems,
    propertyNames: { pattern: '^[hH][tT][tT][pP][sS]?:' },
    additionalProperties: { ...text, pattern: '^[^-]' },
  },
};

/** For editors: the schema of config.yaml. */
export function configJsonSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: schemaId('config'),
    title: 'Kleis configuration of a person',
    // As YAML has a file with nothing but comments in it.
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(configNames.map((name) => [name, describe(name)])),
  };
}

function describe(name: ConfigName): Schema {
  const { config, help } = settingOf(name);
  const { otherwise, unless, help: more = help } = config ?? {};
  const usual = otherwise === null || (Array.isArray(otherwise) && otherwise.length === 0) ? undefined : otherwise;
  return {
    description: `${more}${unless === undefined ? '' : ` (if not given: ${unless})`}`,
    ...(usual !== undefined && { default: usual }),
    ...orNothing(shapes[name]),
  };
}

/** A name without a value says nothing. */
function orNothing(schema: Schema): Schema {
  const { anyOf, type, enum: words } = schema;
  if (Array.isArray(anyOf)) return { anyOf: [...(anyOf as Schema[]), { type: 'null' }] };
  return { ...schema, type: [type, 'null'], ...(Array.isArray(words) && { enum: [...(words as string[]), null] }) };
}

import { brokerPolicy } from '../../../broker/rbac/broker-policy.ts';
import { Table } from '../../../broker/rbac/expressions.ts';
import type { Manifest } from '../../../broker/rbac/kinds.ts';
import { namespacesPolicy } from '../../../broker/rbac/namespaces-policy.ts';
import type { ClusterNeeds, MintedAccount, Writer } from '../../../broker/rbac/needs.ts';

/**
 * The specs of both admission policies as templates of the chart, made by the code that makes the policies: it is given
 * words that stand for what a configuration says, and tables that tell which of them is asked for what.
 */
export function policyTemplates(): string {
  const shapes = {
    'broker.nothing': () => brokerPolicy(needs),
    'broker.accounts': () => brokerPolicy({ ...needs, elsewhere: [account] }),
    'broker.ephemeral': () => brokerPolicy({ ...needs, elsewhere: [account], ephemeral }),
    'namespaces.nobody': () => namespacesPolicy(needs),
    'namespaces.writers': () => namespacesPolicy({ ...needs, writers: [writer] }),
  };
  const templates = Object.entries(shapes).map(
    ([name, make]) => `{{- define "kleis.policy.${name}" -}}\n${template(withMarks(make))}\n{{- end -}}\n`,
  );
  return `{{- /* Made by \`npm run generate\` from broker/rbac. */ -}}\n${templates.join('\n')}`;
}

const account: MintedAccount = {
  namespace: 'w',
  name: 'w',
  grants: ['w'],
  maxTtl: 600,
  revocable: true,
  unbound: true,
  killSwitch: 'w',
  access: [],
};
const ephemeral: ClusterNeeds['ephemeral'] = {
  namespace: 'WORD-ephemeral-namespace',
  maxTtl: 600,
  grants: ['w'],
  access: [{ kind: 'Role', name: 'w', namespace: 'w' }],
};
const writer: Writer = { namespace: 'w', name: 'w', secrets: ['w'], configMaps: ['w'] };

const needs = {
  broker: { namespace: 'WORD-broker-namespace', name: 'w' },
  ownTtl: undefined,
  brokerUser: 'WORD-brokerUser',
  name: 'w',
  namespacesPolicy: 'w',
  audiences: ['LIST-audiences'],
  stateNamespace: 'w',
  identityNamespace: 'WORD-identityNamespace',
  identities: [],
  elsewhere: [],
  ephemeral: undefined,
  writers: [],
  namespaces: ['LIST-namespaces'],
} as const satisfies Partial<ClusterNeeds> as unknown as ClusterNeeds;

const [open, close] = ['\u0001', '\u0002'];

/** The spec of the policy, in which each table stands as a mark. */
function withMarks(make: () => readonly Manifest[]): unknown {
  // oxlint-disable-next-line typescript/unbound-method -- they are called with the table, and put back
  const { has, get, variables } = Table.prototype;
  const nameOf = (table: Table) => variables.call(table)[0]?.name;
  const mark = (...parts: readonly (string | undefined)[]) => `${open}${parts.join(open)}${close}`;
  Table.prototype.has = function (this: Table, key: string) {
    return nameOf(this) === undefined ? has.call(this, key) : mark('has', nameOf(this), key);
  };
  Table.prototype.get = function (this: Table, key: string) {
    return nameOf(this) === undefined ? get.call(this, key) : mark('get', nameOf(this), key);
  };
  Table.prototype.variables = function (this: Table) {
    return nameOf(this) === undefined ? [] : [{ name: mark('table', nameOf(this)), expression: '' }];
  };
  try {
    return make().find(({ object }) => object.kind === 'ValidatingAdmissionPolicy')!.object['spec'];
  } finally {
    Object.assign(Table.prototype, { has, get, variables });
  }
}

function template(spec: unknown): string {
  const json = JSON.stringify(spec, undefined, 2);
  if (json.includes('{{')) throw new Error('a policy has {{ in it, which a template would take for its own');
  const made = json
    // Names of a table of this one alone.
    .replaceAll(
      /\{\s*"name": "\\u0001table\\u0001(\w+)\\u0002",\s*"expression": ""\s*\},?/g,
      (_, name: string) => `{{ include "kleis.cel.variables" .tables.${name} }}`,
    )
    .replaceAll(
      /\\u0001(has|get)\\u0001(\w+)\\u0001([^]*?)\\u0002/g,
      // The key is a text within a text of JSON, as Go's templates have one too.
      (_, what: string, name: string, key: string) => `{{ include "kleis.cel.${what}" (list . "${name}" "${key}") }}`,
    )
    .replaceAll(/"\['LIST-(\w+)'\]"/g, (_, name: string) => `{{ include "kleis.cel.list" .${name} | toRawJson }}`)
    .replaceAll(/\[\s*"LIST-(\w+)"\s*\]/g, (_, name: string) => `{{ toRawJson .${name} }}`)
    .replaceAll(/WORD-([\w-]+)/g, (_, path: string) => `{{ .${path.replaceAll('-', '.')} }}`);
  // An escape of JSON would be one of Go's template, too.
  if (/include "[^"]*" \(list [^)]*\\/.test(made)) throw new Error(`a key of a table has to be escaped: ${made}`);
  if (/WORD|LIST|\\u000[12]/.test(made)) throw new Error(`a mark is left in a policy: ${made}`);
  return made;
}

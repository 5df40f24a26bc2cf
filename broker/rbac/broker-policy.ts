import { keyOfAccess } from '../policy/access.ts';
import { type Entry, literal, Table, type Variable } from './expressions.ts';
import type { Manifest } from './kinds.ts';
import { type ClusterNeeds, keyOf } from './needs.ts';
import { everything, hasCredential, pageOf, policy, type Validation } from './policy.ts';

/** Denies the broker's account everything but what this configuration needs, whatever RBAC says. */
export function brokerPolicy(needs: ClusterNeeds): Manifest[] {
  const lookups = makeLookups(needs);
  return policy(
    needs.name,
    'denies the broker everything but what it does, whoever has its token',
    {
      matchConstraints: { ...everything, namespaceSelector: {} },
      matchConditions: [{ name: 'broker', expression: `request.userInfo.username == ${literal(needs.brokerUser)}` }],
      variables: [...lookups.variables, ...commonVariables(needs)],
      validations: [
        ...commonValidations(lookups),
        ...kindValidations(needs, lookups),
        ...tokenValidations(needs, lookups),
      ],
    },
    'and refuses, rather than warns',
  );
}

interface Lookups {
  readonly variables: readonly Variable[];
  readonly done: Table;
  readonly maxTtl: Table;
  readonly killSwitch: Table;
  readonly killSecrets: Table;
  readonly unbound: Table;
  readonly bindable: Table;
}

function makeLookups(needs: ClusterNeeds): Lookups {
  const { broker, ownTtl, identities, elsewhere, ephemeral, identityNamespace } = needs;
  const accounts = [...identities, ...elsewhere];
  const any = ephemeral === undefined ? [] : [`${ephemeral.namespace}/*`];
  const done = new Table('done', whatIsDone(needs));
  const maxTtl = new Table('maxTtl', [
    ...accounts.map((account): Entry => [keyOf(account), account.maxTtl]),
    ...any.map((key): Entry => [key, ephemeral!.maxTtl]),
    ...(ownTtl === undefined ? [] : [[keyOf(broker), ownTtl] as Entry]),
  ]);
  const switched = accounts.filter(({ killSwitch }) => killSwitch !== undefined);
  const killSwitch = new Table(
    'killSwitch',
    switched.map((account): Entry => [keyOf(account), account.killSwitch!]),
  );
  const killSecrets = new Table('killSecrets', [
    ...new Set(switched.map(({ namespace, killSwitch: name }) => `${namespace}/${name}`)),
  ]);
  const unbound = new Table('unbound', [
    ...accounts.filter((account) => account.unbound).map(keyOf),
    ...any,
    ...(ownTtl === undefined ? [] : [keyOf(broker)]),
  ]);
  const bindable = new Table('bindable', (ephemeral?.access ?? []).map(keyOfAccess));
  const tables = [done, maxTtl, killSwitch, killSecrets, unbound, bindable];
  return {
    variables: [
      ...tables.flatMap((table) => table.variables()),
      { name: 'audiences', expression: `[${needs.audiences.map(literal).join(', ')}]` },
      { name: 'identities', expression: literal(identityNamespace) },
    ],
    done,
    maxTtl,
    killSwitch,
    killSecrets,
    unbound,
    bindable,
  };
}

/** `OPERATION NAMESPACE GROUP/RESOURCE[/SUBRESOURCE]` of each request that the broker makes. */
function whatIsDone(needs: ClusterNeeds): string[] {
  const { broker, ownTtl, stateNamespace, identityNamespace, identities, elsewhere, ephemeral } = needs;
  const leases = 'coordination.k8s.io/leases';
  const bindings = 'rbac.authorization.k8s.io/rolebindings';
  return [
    // What it may do, before somebody relies on it. They are in no namespace.
    'CREATE  authorization.k8s.io/selfsubjectaccessreviews',
    ...(ownTtl === undefined ? [] : [`CREATE ${broker.namespace} /serviceaccounts/token`]),
    ...(stateNamespace === undefined
      ? []
      : ['CREATE', 'UPDATE', 'DELETE'].map((operation) => `${operation} ${stateNamespace} ${leases}`)),
    ...(identities.length === 0 ? [] : [`CREATE ${identityNamespace} /serviceaccounts/token`]),
    ...(identities.some(({ revocable }) => revocable)
      ? [`CREATE ${identityNamespace} /secrets`, `DELETE ${identityNamespace} /secrets`]
      : []),
    ...(ephemeral === undefined
      ? []
      : [
          `CREATE ${ephemeral.namespace} /serviceaccounts`,
          `DELETE ${ephemeral.namespace} /serviceaccounts`,
          `CREATE ${ephemeral.namespace} /serviceaccounts/token`,
        ]),
    ...new Set(elsewhere.map(({ namespace }) => `CREATE ${namespace} /serviceaccounts/token`)),
    ...new Set(
      elsewhere.flatMap(({ namespace, killSwitch }) =>
        killSwitch === undefined ? [] : [`DELETE ${namespace} /secrets`],
      ),
    ),
    ...new Set(
      (ephemeral?.access ?? []).flatMap(({ namespace }) => [
        `CREATE ${namespace} ${bindings}`,
        `DELETE ${namespace} ${bindings}`,
      ]),
    ),
  ];
}

function commonVariables({ ephemeral }: ClusterNeeds): Variable[] {
  return [
    {
      name: 'kind',
      // An absent subresource is an empty text.
      expression:
        "request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)",
    },
    {
      name: 'what',
      expression:
        "request.operation + ' ' + request.?namespace.orValue('') + ' ' + request.resource.group + '/' + variables.kind",
    },
    { name: 'o', expression: "request.operation == 'DELETE' ? oldObject : object" },
    {
      name: 'account',
      expression:
        ephemeral === undefined
          ? "request.namespace + '/' + request.name"
          : `request.namespace + '/' + (request.namespace == ${literal(ephemeral.namespace)} && request.name.startsWith('kleis-') ? '*' : request.name)`,
    },
    {
      name: 'plain',
      expression: [
        'object.metadata.?finalizers.orValue([]).size() == 0',
        'object.metadata.?ownerReferences.orValue([]).size() == 0',
        "object.metadata.?labels.orValue({}).all(k, k.startsWith('kleis.dev/'))",
        "object.metadata.?annotations.orValue({}).all(k, k.startsWith('kleis.dev/'))",
      ].join(' && '),
    },
  ];
}

/** The configuration of the broker is newer than the policy, or older, or somebody else has its token. */
const applyAgain = `as far as the policy knows; after a change of the configuration apply what \`kleis-broker rbac\` prints, see ${pageOf('when-the-configuration-changes')}`;

function commonValidations({ done }: Lookups): Validation[] {
  return [
    { message: `the broker does nothing but this, ${applyAgain}`, expression: done.has('variables.what') },
    {
      message: `the broker is here itself, with a token, not impersonated, see ${pageOf('clusters-that-the-broker-does-not-run-in')}`,
      expression: hasCredential,
    },
    {
      // Anything else keeps the object, and with it the tokens that are bound to it, or answers with its data.
      message: 'deletes are plain deletes',
      expression:
        "request.operation != 'DELETE' || (request.options.?propagationPolicy.orValue('Background') == 'Background' && !has(request.options.orphanDependents))",
    },
    {
      message: 'no finalizers, owners or foreign labels and annotations',
      expression:
        "!(request.operation in ['CREATE', 'UPDATE']) || !(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings', 'leases']) || variables.plain",
    },
    {
      message: 'names begin with kleis-',
      expression:
        "!(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings']) || variables.o.metadata.name.startsWith('kleis-')",
    },
  ];
}

function kindValidations({ ephemeral }: ClusterNeeds, { killSecrets, bindable }: Lookups): Validation[] {
  const secrets: Validation = {
    message: 'only empty Secrets of type kleis.dev/lease, and kill switches deleted',
    expression: [
      "variables.kind != 'secrets' || (variables.o.?data.orValue({}).size() == 0 && (request.namespace == variables.identities",
      "? variables.o.type == 'kleis.dev/lease'",
      `: request.operation == 'DELETE' && variables.o.type == 'kleis.dev/kill-switch' && ${killSecrets.has("(request.namespace + '/' + variables.o.metadata.name)")}))`,
    ].join(' '),
  };
  if (ephemeral === undefined) return [secrets];
  return [
    secrets,
    {
      message: 'service accounts carry nothing',
      expression: [
        "variables.kind != 'serviceaccounts' || request.operation != 'CREATE'",
        '|| (object.?secrets.orValue([]).size() == 0 && object.?imagePullSecrets.orValue([]).size() == 0',
        '&& object.?automountServiceAccountToken.orValue(true) == false)',
      ].join(' '),
    },
    {
      message: `only an ephemeral account is bound, and only to a Role of a grant, ${applyAgain}`,
      expression: [
        // As `keyOfAccess` has it.
        `variables.kind != 'rolebindings' || (${bindable.has("(variables.o.roleRef.kind + ' ' + request.namespace + '/' + variables.o.roleRef.name)")}`,
        '&& variables.o.?subjects.orValue([]).size() == 1',
        "&& variables.o.subjects.all(s, s.kind == 'ServiceAccount'",
        `&& s.?namespace.orValue('') == ${literal(ephemeral.namespace)} && s.name.startsWith('kleis-')))`,
      ].join(' '),
    },
  ];
}

function tokenValidations({ ownTtl, identities, elsewhere, ephemeral }: ClusterNeeds, lookups: Lookups): Validation[] {
  if (identities.length + elsewhere.length === 0 && ephemeral === undefined && ownTtl === undefined) return [];
  const { maxTtl, killSwitch, unbound } = lookups;
  return [
    {
      message: `no such account, or its tokens live shorter, ${applyAgain}`,
      expression: `variables.kind != 'serviceaccounts/token' || (${maxTtl.has('variables.account')} && object.spec.expirationSeconds <= ${maxTtl.get('variables.account')})`,
    },
    {
      message: `audience not allowed, ${applyAgain}`,
      expression: "variables.kind != 'serviceaccounts/token' || object.spec.audiences.all(a, a in variables.audiences)",
    },
    {
      message: `the token must be bound to its Secret, ${applyAgain}`,
      // An absent boundObjectRef is null: has() does not tell.
      expression: [
        "variables.kind != 'serviceaccounts/token' || (object.spec.?boundObjectRef.orValue(null) == null",
        `? ${unbound.has('variables.account')}`,
        `: object.spec.boundObjectRef.kind == 'Secret' && (${killSwitch.has('variables.account')}`,
        `? object.spec.boundObjectRef.name == ${killSwitch.get('variables.account')}`,
        ": request.namespace == variables.identities && object.spec.boundObjectRef.name.startsWith('kleis-')))",
      ].join(' '),
    },
  ];
}

import { literal, Table, type Variable } from './expressions.ts';
import type { Manifest } from './kinds.ts';
import { type ClusterNeeds, keyOf, userOf, type Writer } from './needs.ts';
import { everything, hasCredential, pageOf, policy, type Validation } from './policy.ts';

/** An account that is here itself. Of people it cannot be told: on 1.30 a certificate gives no credential-id. */
const isGenuine = `(!request.userInfo.username.startsWith('system:serviceaccount:') || ${hasCredential})`;

/** Keeps everybody else, plain cluster-wide `edit` included, from writing in Kleis's namespaces. */
export function namespacesPolicy(needs: ClusterNeeds): Manifest[] {
  return policy(
    needs.namespacesPolicy,
    [
      'keeps others, cluster-wide edit included, from writing in the namespaces of Kleis; whoever may change policies is not held up',
      ...needs.writers.map((writer) => describeWriter(writer, needs)),
    ].join('; '),
    {
      matchConstraints: {
        ...everything,
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: needs.namespaces }],
        },
      },
      matchConditions: [
        {
          name: 'others',
          // Nodes and the control plane do their own work; who reviews access writes nothing. Controllers come with a
          // token of their own: cluster-wide `edit` may impersonate their accounts.
          expression: [
            `request.userInfo.username != ${literal(needs.brokerUser)}`,
            `!('system:nodes' in request.userInfo.groups)`,
            `!('system:serviceaccounts:kube-system' in request.userInfo.groups && ${hasCredential})`,
            `!request.userInfo.username.startsWith('system:kube-')`,
            `!(request.operation == 'CREATE' && request.resource.group == 'authorization.k8s.io')`,
          ].join(' && '),
        },
        {
          name: 'who-may-not-change-this',
          expression: `!(${isGenuine} && authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies').check('update').allowed())`,
        },
      ],
      ...judgeWriters(needs),
    },
    'and refuses, rather than warns',
  );
}

/** For the comment: `but NAMESPACE/NAME writes Secrets a, b in kleis-system`. */
export function describeWriter(writer: Writer, { broker }: Pick<ClusterNeeds, 'broker'>): string {
  const what = (
    [
      ['Secret', writer.secrets],
      ['ConfigMap', writer.configMaps],
    ] as const
  ).flatMap(([kind, names]) =>
    names.length === 0 ? [] : [`${kind}${names.length === 1 ? '' : 's'} ${names.join(', ')}`],
  );
  return `but ${keyOf(writer)} writes ${what.join(' and ')} in ${broker.namespace}`;
}

const page = pageOf('who-else-may-write-there');
const stranger = `these namespaces are Kleis's own: who else may write there stands in namespaces.writers of the broker's configuration, see ${page}`;

function judgeWriters({ writers, broker }: ClusterNeeds): { variables?: Variable[]; validations: Validation[] } {
  if (writers.length === 0) return { validations: [{ message: stranger, expression: 'false' }] };
  const who = new Table('writers', writers.map(userOf));
  // `USER RESOURCE/NAME`. No user and no name has a space.
  const named = new Table(
    'named',
    writers.flatMap((writer) => [
      ...writer.secrets.map((name) => `${userOf(writer)} secrets/${name}`),
      ...writer.configMaps.map((name) => `${userOf(writer)} configmaps/${name}`),
    ]),
  );
  const isWriter = who.has('request.userInfo.username');
  const ways = writable(named);
  const any = ways.map(({ name }) => `variables.${name}`).join(' || ');
  return {
    variables: [
      ...who.variables(),
      ...named.variables(),
      {
        name: 'kind',
        expression:
          "request.resource.group + '/' + request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)",
      },
      { name: 'writes', expression: "request.operation in ['CREATE', 'UPDATE', 'DELETE']" },
      { name: 'o', expression: "request.operation == 'DELETE' ? oldObject : object" },
      ...ways,
    ],
    validations: [
      { message: stranger, expression: isWriter },
      {
        message: `namespaces.writers lets this account write only what it names, in ${broker.namespace}, with a token of its own: see ${page}`,
        expression: `!(${isWriter}) || (${hasCredential} && request.?namespace.orValue('') == ${literal(broker.namespace)} && (${any}))`,
      },
    ],
  };
}

/** The API server's alphabet and length of what `generateName` adds. */
const generated = '-[bcdfghjklmnpqrstvwxz2456789]{5}$';

/** `GROUP/RESOURCE` that controllers of the field keep for each certificate or pod. */
const records = [
  'cert-manager.io/certificaterequests',
  'acme.cert-manager.io/orders',
  'acme.cert-manager.io/challenges',
  'secrets-store.csi.x-k8s.io/secretproviderclasspodstatuses',
];

/**
 * What a writer may do, one variable a way. A Secret of type service-account-token would be filled with a token of the
 * broker that never ends. Custom resources carry no power over the broker: what controllers make of them is judged here
 * again, under the name of the controller's account.
 */
function writable(named: Table): Variable[] {
  const has = (resource: string, name: string) => named.has(`(request.userInfo.username + ' ${resource}/' + ${name})`);
  return [
    way(
      'ownSecret',
      "variables.kind == '/secrets' && variables.writes",
      has('secrets', 'variables.o.metadata.name'),
      "variables.o.type != 'kubernetes.io/service-account-token'",
    ),
    way(
      'ownConfigMap',
      "variables.kind == '/configmaps' && variables.writes",
      has('configmaps', 'variables.o.metadata.name'),
    ),
    // Of cert-manager: `NAME-xxxxx` for the Certificate NAME, made and deleted, never changed.
    way(
      'nextKey',
      "variables.kind == '/secrets' && request.operation in ['CREATE', 'DELETE'] && variables.o.type == 'Opaque'",
      "variables.o.metadata.?labels['cert-manager.io/next-private-key'].orValue('') == 'true'",
      `variables.o.metadata.name.matches('${generated}')`,
      has('secrets', 'variables.o.metadata.name.substring(0, variables.o.metadata.name.size() - 6)'),
    ),
    // cert-manager makes one for an Ingress. It may write that Secret anyway.
    way(
      'ownCertificate',
      "variables.kind == 'cert-manager.io/certificates' && variables.writes",
      has('secrets', 'variables.o.spec.secretName'),
      "(request.operation != 'UPDATE' || oldObject.spec.secretName == object.spec.secretName)",
    ),
    way('record', `variables.kind in [${records.map(literal).join(', ')}] && variables.writes`),
    way('event', "variables.kind in ['/events', 'events.k8s.io/events'] && request.operation in ['CREATE', 'UPDATE']"),
    // Status, finalizers, labels, annotations of whatever else somebody defined: nothing that says what is wanted.
    way(
      'state',
      "request.operation == 'UPDATE' && request.resource.group.contains('.') && !request.resource.group.endsWith('.k8s.io')",
      `(request.?subResource.orValue('') in ['status', 'finalizers'] || request.?subResource.orValue('') == '' && ${sameBut(['metadata', 'status'])})`,
      // Of one whose owner is not there the garbage collector makes an end.
      'object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])',
    ),
  ];
}

function way(name: string, ...terms: readonly string[]): Variable {
  return { name, expression: terms.join(' && ') };
}

function sameBut(parts: readonly string[]): string {
  const others = `[${parts.map(literal).join(', ')}]`;
  return [
    `object.all(k, k in ${others} || k in oldObject && object[k] == oldObject[k])`,
    `oldObject.all(k, k in ${others} || k in object)`,
  ].join(' && ');
}

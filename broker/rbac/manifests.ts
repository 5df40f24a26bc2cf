import type { KubeObject, Rule } from '../../shared/rbac/kinds.ts';
import type { Access } from '../policy/access.ts';
import { bindingKind, clusterBindingKind, type Manifest, roleKind, type Section } from './kinds.ts';
import { type Account, type ClusterNeeds, compare, fit, keyOf } from './needs.ts';
import { brokerPolicy } from './broker-policy.ts';
import { namespacesPolicy } from './namespaces-policy.ts';

const rbacGroup = 'rbac.authorization.k8s.io';

/** What `check` finds by that is no longer needed; tells two brokers on one cluster apart. */
export function ownLabels({ broker }: Pick<ClusterNeeds, 'broker'>): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/instance': broker.namespace, 'app.kubernetes.io/managed-by': 'kleis-broker' };
}

/** Everything that one cluster needs, in an order in which it can be applied. */
export function buildManifests(needs: ClusterNeeds): Section[] {
  const sections: Section[] = [
    { title: 'Namespaces of Kleis: they hold nothing else', manifests: namespaces(needs) },
    { title: 'Accounts', manifests: accounts(needs) },
    {
      title:
        'Kill switches: delete one, and every token that is bound to it ends; apply again, and new ones are minted',
      manifests: killSwitches(needs),
    },
    {
      title: 'What the accounts of the grants may do (the Roles and ClusterRoles are yours)',
      manifests: accessBindings(needs),
    },
    { title: 'What the broker may do', manifests: brokerRoles(needs) },
    {
      title: 'What confines the broker, and keeps others out of the namespaces above',
      manifests: [...brokerPolicy(needs), ...namespacesPolicy(needs)],
    },
  ];
  return sections
    .filter(({ manifests }) => manifests.length > 0)
    .map(({ title, manifests }) => ({ title, manifests: manifests.map((each) => label(each, ownLabels(needs))) }));
}

function label({ comment, object }: Manifest, labels: Readonly<Record<string, string>>): Manifest {
  const { apiVersion, kind, metadata, ...rest } = object;
  const { name, namespace } = metadata;
  return {
    comment,
    object: {
      apiVersion,
      kind,
      metadata: { name, ...(namespace === undefined ? {} : { namespace }), labels },
      ...rest,
    },
  };
}

function namespaces({ broker, stateNamespace, identityNamespace, ephemeral }: ClusterNeeds): Manifest[] {
  const all: [name: string | undefined, comment: string][] = [
    [broker.namespace, "the broker's own account, alone: whoever may start pods here is the broker"],
    [stateNamespace, 'leases, which are the replay protection too, and anchors of the audit'],
    [identityNamespace, 'accounts that tokens are minted for, and the empty Secrets that tokens are bound to'],
    [ephemeral?.namespace, 'accounts that live as long as one lease'],
  ];
  return all.flatMap(([name, comment]) =>
    name === undefined ? [] : [{ comment, object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } } }],
  );
}

function accounts({ broker, identities }: ClusterNeeds): Manifest[] {
  return [
    { comment: 'the broker', object: serviceAccount(broker) },
    ...identities.map((each) => ({
      comment: forGrants(each.grants),
      object: { ...serviceAccount(each), automountServiceAccountToken: false },
    })),
  ];
}

function serviceAccount({ namespace, name }: Account): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
}

function killSwitches({ elsewhere }: ClusterNeeds): Manifest[] {
  const byKey = new Map<string, Manifest>();
  for (const { namespace, name, killSwitch } of elsewhere) {
    if (killSwitch === undefined) continue;
    byKey.set(`${namespace}/${killSwitch}`, {
      comment: `tokens of ${namespace}/${name}`,
      object: {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: killSwitch, namespace },
        type: 'kleis.dev/kill-switch',
      },
    });
  }
  return [...byKey.values()];
}

function accessBindings({ identities, elsewhere }: ClusterNeeds): Manifest[] {
  return [...identities, ...elsewhere].flatMap((account) =>
    account.access.map((access) => ({
      comment: forGrants(account.grants),
      object: binding(accessBindingName(account, access), access, account),
    })),
  );
}

/** No namespace has capitals, so these names never meet. */
function accessBindingName({ namespace, name }: Account, { kind, name: role }: Access): string {
  return fit(`kleis:${kind === 'Role' ? '' : `${kind}:`}${namespace}:${name}:${role}`);
}

function binding(name: string, access: Access, { name: account, namespace: home }: Account): KubeObject {
  const { kind, name: role, namespace } = access;
  return {
    ...(namespace === undefined
      ? { ...clusterBindingKind, metadata: { name } }
      : { ...bindingKind, metadata: { name, namespace } }),
    roleRef: { apiGroup: rbacGroup, kind, name: role },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: home }],
  };
}

function brokerRoles(needs: ClusterNeeds): Manifest[] {
  return [...brokerRules(needs)].flatMap(([namespace, rules]) => [
    {
      comment: rules.map(({ why }) => why).join('; '),
      object: { ...roleKind, metadata: { name: needs.name, namespace }, rules: rules.map(({ rule }) => rule) },
    },
    { comment: '', object: binding(needs.name, { kind: 'Role', name: needs.name, namespace }, needs.broker) },
  ]);
}

interface Reason {
  readonly why: string;
  /** Tokens can be minted and ended without it. */
  readonly optional: boolean;
  readonly rule: Rule;
}

/** By namespace. `create` and what is named at random cannot be limited by name: the admission policy does that. */
export function brokerRules(needs: ClusterNeeds): Map<string, Reason[]> {
  const rules = new Map<string, Reason[]>();
  const put = (optional: boolean, namespace: string, why: string, ...[group, resource, verbs, names]: RuleParts) => {
    const rule: Rule = { apiGroups: [group], resources: [resource], verbs, ...(names && { resourceNames: names }) };
    rules.set(namespace, [...(rules.get(namespace) ?? []), { why, rule, optional }]);
  };
  const add = (...parts: [namespace: string, why: string, ...RuleParts]) => put(false, ...parts);
  const { broker, ownTtl, stateNamespace, identityNamespace, identities, elsewhere, ephemeral } = needs;
  if (ownTtl !== undefined) {
    put(
      true,
      broker.namespace,
      'its own token, which it renews',
      '',
      'serviceaccounts/token',
      ['create'],
      [broker.name],
    );
  }
  if (stateNamespace !== undefined) {
    add(stateNamespace, 'leases and audit anchors', 'coordination.k8s.io', 'leases', [
      'create',
      'get',
      'list',
      'update',
      'delete',
    ]);
  }
  if (identities.length > 0) {
    const names = identities.map(({ name }) => name);
    add(identityNamespace, 'tokens of these accounts', '', 'serviceaccounts/token', ['create'], names);
  }
  if (identities.some(({ revocable }) => revocable)) {
    add(
      identityNamespace,
      'what tokens are bound to; a dry-run create tells whether the policy is in force',
      '',
      'secrets',
      ['create', 'delete'],
    );
  } else {
    add(identityNamespace, 'a dry-run create tells whether the policy is in force', '', 'secrets', ['create']);
  }
  if (ephemeral !== undefined) {
    add(ephemeral.namespace, 'accounts for one lease each', '', 'serviceaccounts', ['create', 'delete']);
    add(ephemeral.namespace, 'and their tokens', '', 'serviceaccounts/token', ['create']);
  }
  for (const [namespace, there] of groupBy(elsewhere, (account) => account.namespace)) {
    const names = there.map(({ name }) => name);
    put(true, namespace, 'to send the uid of an account along', '', 'serviceaccounts', ['get'], names);
    add(namespace, 'tokens of accounts named elsewhere', '', 'serviceaccounts/token', ['create'], names);
    const switches = there.flatMap(({ killSwitch }) => killSwitch ?? []);
    const unique = [...new Set(switches)].toSorted(compare);
    if (unique.length > 0) add(namespace, 'kill switches', '', 'secrets', ['delete'], unique);
  }
  for (const [namespace, there] of groupBy(ephemeral?.access ?? [], (access) => access.namespace)) {
    add(namespace, 'ephemeral accounts get a Role', rbacGroup, 'rolebindings', ['create', 'delete']);
    for (const [resource, kind] of [
      ['roles', 'Role'],
      ['clusterroles', 'ClusterRole'],
    ] as const) {
      const names = there.filter((access) => access.kind === kind).map(({ name }) => name);
      // Of a ClusterRole too this holds for bindings in this namespace alone.
      if (names.length > 0) add(namespace, 'but none other than these', rbacGroup, resource, ['bind'], names);
    }
  }
  return rules;
}

type RuleParts = [group: string, resource: string, verbs: readonly string[], names?: readonly string[]];

function groupBy<T>(items: readonly T[], keyOfItem: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOfItem(item), [...(groups.get(keyOfItem(item)) ?? []), item]);
  return [...groups].toSorted(([a], [b]) => compare(a, b));
}

function forGrants(grants: readonly string[]): string {
  const shown = grants.slice(0, 5).join(', ');
  return `grant${grants.length === 1 ? '' : 's'} ${shown}${grants.length > 5 ? ` and ${grants.length - 5} more` : ''}`;
}

/** `KIND NAMESPACE/NAME`, for people and as a key. */
export function describeObject({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace === undefined ? metadata.name : keyOf({ namespace: metadata.namespace, name: metadata.name })}`;
}

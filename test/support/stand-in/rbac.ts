import type { User } from './access.ts';
import type { KubeObject, Store } from './store.ts';

export interface Attributes {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `serviceaccounts/token`. */
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs?: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface Subject {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
}

const suffix = '.rbac.authorization.k8s.io';

/** What the Roles and bindings in the store allow, as kube-apiserver's RBAC authorizer reads them. */
export function rbacAllows(store: Store, user: User, attributes: Attributes): boolean {
  const { namespace } = attributes;
  const bindings = [
    ...store.list(`clusterrolebindings${suffix}`, undefined),
    ...(namespace === undefined ? [] : store.list(`rolebindings${suffix}`, namespace)),
  ];
  return bindings
    .filter((binding) => ((binding['subjects'] ?? []) as Subject[]).some((subject) => isMeant(subject, user)))
    .flatMap((binding) => rulesOf(store, binding))
    .some((rule) => covers(rule, attributes));
}

function isMeant({ kind, name = '', namespace }: Subject, user: User): boolean {
  if (kind === 'ServiceAccount') return user.username === `system:serviceaccount:${namespace ?? ''}:${name}`;
  return kind === 'Group' ? user.groups.includes(name) : kind === 'User' && user.username === name;
}

function rulesOf(store: Store, { roleRef, metadata }: KubeObject): readonly Rule[] {
  const { kind, name } = roleRef as { kind: string; name: string };
  try {
    const role =
      kind === 'ClusterRole'
        ? store.get(`clusterroles${suffix}`, undefined, name)
        : store.get(`roles${suffix}`, metadata.namespace, name);
    return (role['rules'] ?? []) as Rule[];
  } catch {
    return [];
  }
}

function covers(rule: Rule, { verb, group, resource, name }: Attributes): boolean {
  const has = (list: readonly string[] | undefined, value: string) => list?.includes('*') || list?.includes(value);
  const names = rule.resourceNames ?? [];
  return Boolean(
    has(rule.apiGroups, group) &&
    has(rule.resources, resource) &&
    has(rule.verbs, verb) &&
    // A create names nothing yet, so a rule with names never covers it; a subresource has the name in its URL.
    (names.length === 0 || (name !== undefined && names.includes(name))),
  );
}

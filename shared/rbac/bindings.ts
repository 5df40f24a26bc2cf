import type { Binding, KubeObject, RbacState, Rule, Subject } from './kinds.ts';

/** The objects of `rbac.authorization.k8s.io/v1`, as lists give them. */
export interface RbacObjects {
  readonly roles: readonly KubeObject[];
  readonly clusterRoles: readonly KubeObject[];
  readonly roleBindings: readonly KubeObject[];
  readonly clusterRoleBindings: readonly KubeObject[];
}

export function readRbac({ roles, clusterRoles, roleBindings, clusterRoleBindings }: RbacObjects): RbacState {
  const byKey = new Map(roles.map((role) => [`${role.metadata.namespace}/${role.metadata.name}`, rulesIn(role)]));
  const clusterRules = aggregator(clusterRoles);
  return {
    bindings: [
      ...roleBindings.map((object) => toBinding('RoleBinding', object)),
      ...clusterRoleBindings.map((object) => toBinding('ClusterRoleBinding', object)),
    ],
    rulesOf: ({ namespace, roleRef }) =>
      (roleRef.kind === 'ClusterRole' ? clusterRules(roleRef.name) : byKey.get(`${namespace}/${roleRef.name}`)) ?? [],
  };
}

function toBinding(kind: Binding['kind'], object: KubeObject): Binding {
  const { roleRef, subjects } = object as KubeObject & Partial<Pick<Binding, 'roleRef' | 'subjects'>>;
  const { namespace, name } = object.metadata;
  return { kind, namespace, name, roleRef: roleRef ?? { kind: '', name: '' }, subjects: subjects ?? [], object };
}

function rulesIn(role: KubeObject): readonly Rule[] {
  return (role['rules'] as readonly Rule[] | undefined) ?? [];
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/**
 * The controller writes the aggregated rules into `rules`, a moment later: here they count at once. Only of roles that are
 * asked for, and each role once: many that select one another are no more than all of them.
 */
function aggregator(clusterRoles: readonly KubeObject[]): (name: string) => readonly Rule[] | undefined {
  const byName = new Map(clusterRoles.map((role) => [role.metadata.name, role]));
  const known = new Map<string, readonly Rule[]>();
  const collect = (first: KubeObject): readonly Rule[] => {
    const left = new Set(clusterRoles);
    const reached = new Set([first]);
    // A set gives what is added while it is gone through too.
    for (const role of reached) {
      left.delete(role);
      const { clusterRoleSelectors = [] } =
        (role['aggregationRule'] as { clusterRoleSelectors?: readonly Selector[] } | undefined) ?? {};
      if (clusterRoleSelectors.length === 0) continue;
      for (const other of left) {
        if (!clusterRoleSelectors.some((selector) => selects(selector, other))) continue;
        left.delete(other);
        reached.add(other);
      }
    }
    return [...reached].flatMap(rulesIn);
  };
  return (name) => {
    const role = byName.get(name);
    if (role === undefined) return undefined;
    const rules = known.get(name) ?? collect(role);
    known.set(name, rules);
    return rules;
  };
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, { metadata }: KubeObject): boolean {
  const { labels = {} } = metadata;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        default:
          return operator === 'DoesNotExist' && value === undefined;
      }
    })
  );
}

/** `group NAME`, `user NAME`; a service account by its user name, as some bindings have it. */
export function userOf({ kind, name, namespace }: Subject): string {
  if (kind === 'ServiceAccount') return `user system:serviceaccount:${namespace}:${name}`;
  return kind === 'Group' ? `group ${name}` : `user ${name}`;
}

export function describeBinding({ kind, namespace, name }: Binding): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

export function describeRole({ roleRef }: Binding): string {
  return `${roleRef.kind} ${roleRef.name}`;
}

/** The control plane, and the group that certificates of its admins have. */
const ownUsers = /^(?:user system:(?:kube-|serviceaccount:kube-system:)|group system:(?:masters|nodes|monitoring)$)/;

/** What every cluster comes with. Whoever makes a binding can label it: not everybody whose name begins with system: is meant. */
export function isKubernetesOwn({ object }: Binding, subject: Subject): boolean {
  return object.metadata.labels?.['kubernetes.io/bootstrapping'] === 'rbac-defaults' && ownUsers.test(userOf(subject));
}

export function listSubjects(subjects: readonly Subject[]): string {
  const names = subjects.map(
    ({ kind, name, namespace }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
  );
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

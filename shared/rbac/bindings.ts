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
  const clusterRules = aggregate(clusterRoles);
  return {
    bindings: [
      ...roleBindings.map((object) => toBinding('RoleBinding', object)),
      ...clusterRoleBindings.map((object) => toBinding('ClusterRoleBinding', object)),
    ],
    rulesOf: ({ namespace, roleRef }) =>
      (roleRef.kind === 'ClusterRole' ? clusterRules.get(roleRef.name) : byKey.get(`${namespace}/${roleRef.name}`)) ??
      [],
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

/** The controller writes the aggregated rules into `rules`, a moment later: here they count at once. */
function aggregate(clusterRoles: readonly KubeObject[]): Map<string, readonly Rule[]> {
  const byName = new Map(clusterRoles.map((role) => [role.metadata.name, role]));
  const collect = (role: KubeObject, seen: Set<string>): Rule[] => {
    if (seen.has(role.metadata.name)) return [];
    seen.add(role.metadata.name);
    const { clusterRoleSelectors = [] } =
      (role['aggregationRule'] as { clusterRoleSelectors?: readonly Selector[] } | undefined) ?? {};
    const parts = clusterRoles.filter((other) => clusterRoleSelectors.some((selector) => selects(selector, other)));
    return [...rulesIn(role), ...parts.flatMap((part) => collect(part, seen))];
  };
  return new Map([...byName].map(([name, role]) => [name, collect(role, new Set())]));
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

/** What every cluster comes with: the control plane, and the group that certificates of its admins have. */
export function isKubernetesOwn({ object }: Binding, subject: Subject): boolean {
  if (object.metadata.labels?.['kubernetes.io/bootstrapping'] !== 'rbac-defaults') return false;
  return subject.kind === 'ServiceAccount' ? subject.namespace === 'kube-system' : subject.name.startsWith('system:');
}

export function listSubjects(subjects: readonly Subject[]): string {
  const names = subjects.map(
    ({ kind, name, namespace }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
  );
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

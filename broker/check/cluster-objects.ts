import { isStatus } from '../../shared/kube/error.ts';
import type { KubeClient } from '../../shared/kube/client.ts';
import { createPager, eachPage } from '../../shared/kube/pages.ts';
import type { KubeObject, Rule, Subject } from '../rbac/kinds.ts';

export interface Binding {
  readonly kind: 'RoleBinding' | 'ClusterRoleBinding';
  /** Of a RoleBinding. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly Subject[];
  readonly object: KubeObject;
}

/** What a cluster holds, as far as it matters here: a few lists, however many grants there are. */
export interface Live {
  readonly version: { readonly text: string; readonly minor: number };
  readonly namespaces: readonly KubeObject[];
  /** Metadata alone. */
  readonly accounts: readonly KubeObject[];
  readonly roles: readonly KubeObject[];
  readonly clusterRoles: readonly KubeObject[];
  readonly bindings: readonly Binding[];
  readonly killSwitches: readonly KubeObject[];
  readonly policies: readonly KubeObject[];
  readonly policyBindings: readonly KubeObject[];
  /** What a binding gives, with what is aggregated into a ClusterRole. */
  rulesOf(binding: Pick<Binding, 'namespace' | 'roleRef'>): readonly Rule[];
}

const metadataOnly = { accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' };
const rbac = 'rbac.authorization.k8s.io/v1';
const admission = 'admissionregistration.k8s.io/v1';

/** Throws KubeError. */
export async function readLive(kube: KubeClient): Promise<Live> {
  const list = (kind: string, groupVersion: string, resource: string, more: ListOptions = {}) =>
    listAll(kube, kind, groupVersion, resource, more);
  // What an API server before 1.30 does not have; that is a finding of its own.
  const listAdmission = (kind: string, resource: string) =>
    list(kind, admission, resource).catch((error: unknown) => {
      if (isStatus(error, 404)) return [];
      throw error;
    });
  const [version, namespaces, accounts, roles, clusterRoles, roleBindings, clusterRoleBindings] = await Promise.all([
    kube.request<{ gitVersion?: string; major?: string; minor?: string }>('GET', '/version'),
    list('Namespace', 'v1', 'namespaces'),
    list('ServiceAccount', 'v1', 'serviceaccounts', { headers: metadataOnly }),
    list('Role', rbac, 'roles'),
    list('ClusterRole', rbac, 'clusterroles'),
    list('RoleBinding', rbac, 'rolebindings'),
    list('ClusterRoleBinding', rbac, 'clusterrolebindings'),
  ]);
  const [killSwitches, policies, policyBindings] = await Promise.all([
    list('Secret', 'v1', 'secrets', { headers: metadataOnly, fieldSelector: 'type=kleis.dev/kill-switch' }),
    listAdmission('ValidatingAdmissionPolicy', 'validatingadmissionpolicies'),
    listAdmission('ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings'),
  ]);
  const byKey = new Map(roles.map((role) => [`${role.metadata.namespace}/${role.metadata.name}`, rulesIn(role)]));
  const clusterRules = aggregate(clusterRoles);
  return {
    version: {
      text: version.body.gitVersion ?? 'unknown',
      minor:
        Number(version.body.major ?? 0) > 1 ? Number.POSITIVE_INFINITY : Number.parseInt(version.body.minor ?? '0', 10),
    },
    namespaces,
    accounts,
    roles,
    clusterRoles,
    bindings: [
      ...roleBindings.map((object) => toBinding('RoleBinding', object)),
      ...clusterRoleBindings.map((object) => toBinding('ClusterRoleBinding', object)),
    ],
    killSwitches,
    policies,
    policyBindings,
    rulesOf: ({ namespace, roleRef }) =>
      (roleRef.kind === 'ClusterRole' ? clusterRules.get(roleRef.name) : byKey.get(`${namespace}/${roleRef.name}`)) ??
      [],
  };
}

interface ListOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly fieldSelector?: string;
}

async function listAll(
  kube: KubeClient,
  kind: string,
  groupVersion: string,
  resource: string,
  { headers = {}, fieldSelector }: ListOptions,
): Promise<KubeObject[]> {
  const items: KubeObject[] = [];
  const readPage = createPager<Omit<KubeObject, 'kind' | 'apiVersion'>>(
    kube,
    { groupVersion, namespace: undefined, resource },
    { headers, timeout: 60_000, maxBody: () => 64 * 1024 * 1024 },
  );
  for await (const page of eachPage(readPage, { limit: 1000, fieldSelector })) {
    for (const item of page) items.push({ ...item, apiVersion: groupVersion, kind } as KubeObject);
  }
  return items;
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

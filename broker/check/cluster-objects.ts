import { isStatus } from '../../shared/kube/error.ts';
import type { KubeClient } from '../../shared/kube/client.ts';
import { createPager, eachPage } from '../../shared/kube/pages.ts';
import { readRbac } from '../../shared/rbac/bindings.ts';
import type { KubeObject, RbacState } from '../../shared/rbac/kinds.ts';

/** What a cluster holds, as far as it matters here: a few lists, however many grants there are. */
export interface Live extends RbacState {
  readonly version: { readonly text: string; readonly minor: number };
  readonly namespaces: readonly KubeObject[];
  /** Metadata alone. */
  readonly accounts: readonly KubeObject[];
  readonly roles: readonly KubeObject[];
  readonly clusterRoles: readonly KubeObject[];
  readonly killSwitches: readonly KubeObject[];
  readonly policies: readonly KubeObject[];
  readonly policyBindings: readonly KubeObject[];
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
    ...readRbac({ roles, clusterRoles, roleBindings, clusterRoleBindings }),
    killSwitches,
    policies,
    policyBindings,
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

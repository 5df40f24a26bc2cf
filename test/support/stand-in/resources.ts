/** A kind of object that the stand-in serves. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames?: readonly string[];
  /** `create` alone: an answer to a question, not a thing that is kept. */
  readonly review?: true;
}

const rbac = 'rbac.authorization.k8s.io';
const admission = 'admissionregistration.k8s.io';

export const resources: readonly Resource[] = [
  { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false, shortNames: ['ns'] },
  { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false, shortNames: ['no'] },
  { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true, shortNames: ['po'] },
  { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true, shortNames: ['cm'] },
  { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true },
  { group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true, shortNames: ['sa'] },
  { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', namespaced: true },
  { group: rbac, version: 'v1', plural: 'roles', kind: 'Role', namespaced: true },
  { group: rbac, version: 'v1', plural: 'rolebindings', kind: 'RoleBinding', namespaced: true },
  { group: rbac, version: 'v1', plural: 'clusterroles', kind: 'ClusterRole', namespaced: false },
  { group: rbac, version: 'v1', plural: 'clusterrolebindings', kind: 'ClusterRoleBinding', namespaced: false },
  {
    group: admission,
    version: 'v1',
    plural: 'validatingadmissionpolicies',
    kind: 'ValidatingAdmissionPolicy',
    namespaced: false,
  },
  {
    group: admission,
    version: 'v1',
    plural: 'validatingadmissionpolicybindings',
    kind: 'ValidatingAdmissionPolicyBinding',
    namespaced: false,
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    namespaced: false,
    review: true,
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
    review: true,
  },
];

const groupVersion = ({ group, version }: Resource) => (group === '' ? version : `${group}/${version}`);

export const apiVersion = groupVersion;

/** As the store and messages name it: `leases.coordination.k8s.io`. */
export const fullName = ({ group, plural }: Resource): string => (group === '' ? plural : `${plural}.${group}`);

export const versionInfo = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0-kleis-stand-in',
  gitCommit: '0000000000000000000000000000000000000000',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'none',
  platform: 'linux/amd64',
};

/** What discovery and the OpenAPI endpoint answer for a path; undefined for every other path. */
export function describePath(path: string): object | undefined {
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups() };
  if (path === '/openapi/v3') {
    const paths = [...new Set(resources.map((resource) => rootOf(resource)))];
    return {
      paths: Object.fromEntries(paths.map((root) => [root.slice(1), { serverRelativeURL: `/openapi/v3${root}` }])),
    };
  }
  const root = path.replace(/^\/openapi\/v3/, '');
  const here = resources.filter((resource) => rootOf(resource) === root);
  const [first] = here;
  if (first === undefined) return undefined;
  return root === path ? resourceList(first, here) : openApi(here);
}

function rootOf(resource: Resource): string {
  return resource.group === '' ? `/api/${resource.version}` : `/apis/${groupVersion(resource)}`;
}

function groups(): object[] {
  const named = resources.filter(({ group }) => group !== '');
  return [...new Map(named.map((resource) => [groupVersion(resource), resource])).values()].map((resource) => {
    const version = { groupVersion: groupVersion(resource), version: resource.version };
    return { name: resource.group, versions: [version], preferredVersion: version };
  });
}

function resourceList(first: Resource, here: readonly Resource[]): object {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion(first),
    resources: here.map(({ plural, kind, namespaced, shortNames, review }) => ({
      name: plural,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs: review ? ['create'] : ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
      shortNames,
    })),
  };
}

/** As much of OpenAPI v3 as tells `kubectl apply` that the server validates fields itself. */
function openApi(here: readonly Resource[]): object {
  const paths = here.map((resource) => {
    const parameters = [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }];
    const gvk = { group: resource.group, version: resource.version, kind: resource.kind };
    const operation = { parameters, 'x-kubernetes-group-version-kind': gvk, responses: {} };
    const folder = resource.namespaced ? '/namespaces/{namespace}' : '';
    return [`${rootOf(resource)}${folder}/${resource.plural}/{name}`, { patch: operation }] as const;
  });
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: versionInfo.gitVersion },
    paths: Object.fromEntries(paths),
    components: { schemas: {} },
  };
}

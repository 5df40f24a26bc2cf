import type { Rule } from '../rbac/kinds.ts';

/** Something that lets whoever may do it get more than the grant says, or for longer. */
export interface Power {
  readonly id: string;
  readonly severity: 'error' | 'warning';
  readonly may: string;
}

interface Danger extends Power {
  readonly group: string;
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Only a ClusterRoleBinding gives it. */
  readonly clusterWide?: true;
  /** What a rule that is limited by `resourceNames` is worth; 'nothing' unless said. */
  readonly named?: 'the same' | 'warning';
}

const writes = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const rbac = 'rbac.authorization.k8s.io';
const admission = 'admissionregistration.k8s.io';
const workloads: readonly (readonly [group: string, resources: readonly string[]])[] = [
  ['', ['replicationcontrollers']],
  ['apps', ['deployments', 'statefulsets', 'daemonsets', 'replicasets']],
  ['batch', ['jobs', 'cronjobs']],
];

// From Kubernetes' "RBAC Good Practices", section "privilege escalation risks", and what was tried on real servers.
const dangers: readonly Danger[] = [
  {
    id: 'mint',
    severity: 'error',
    may: 'mint tokens for service accounts (create serviceaccounts/token)',
    group: '',
    resources: ['serviceaccounts/token'],
    verbs: ['create'],
    named: 'the same',
  },
  {
    // A patch, an update and a delete answer with the object; a delete even as a dry run.
    id: 'secrets',
    severity: 'error',
    may: 'read Secrets (get, list, watch, and whatever answers with them: update, patch, delete)',
    group: '',
    resources: ['secrets'],
    verbs: ['get', 'list', 'watch', 'update', 'patch', 'delete', 'deletecollection'],
    named: 'warning',
  },
  {
    id: 'secrets-create',
    severity: 'warning',
    may: 'create Secrets (of type service-account-token they become tokens without an end)',
    group: '',
    resources: ['secrets'],
    verbs: ['create'],
  },
  {
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others',
    group: '',
    resources: ['users', 'groups', 'serviceaccounts'],
    verbs: ['impersonate'],
    named: 'the same',
  },
  {
    id: 'escalate',
    severity: 'error',
    may: 'give rights that it does not have (escalate, bind)',
    group: rbac,
    resources: ['roles', 'clusterroles'],
    verbs: ['escalate', 'bind'],
    named: 'the same',
  },
  {
    id: 'rbac',
    severity: 'error',
    may: 'write Roles or RoleBindings (its rights could outlive its token in another account)',
    group: rbac,
    resources: ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'],
    verbs: writes,
    named: 'the same',
  },
  {
    id: 'csr',
    severity: 'error',
    may: 'approve or sign certificate requests',
    group: 'certificates.k8s.io',
    resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status', 'signers'],
    verbs: ['update', 'patch', 'approve', 'sign'],
    clusterWide: true,
    named: 'the same',
  },
  {
    id: 'nodes-proxy',
    severity: 'error',
    may: 'talk to kubelets through nodes/proxy, which runs commands in any pod',
    group: '',
    resources: ['nodes/proxy'],
    verbs: ['get', 'create', 'update', 'patch', 'delete'],
    clusterWide: true,
    named: 'the same',
  },
  {
    id: 'admission',
    severity: 'error',
    may: 'change admission policies or webhooks',
    group: admission,
    resources: [
      'validatingadmissionpolicies',
      'validatingadmissionpolicybindings',
      'mutatingadmissionpolicies',
      'mutatingadmissionpolicybindings',
      'validatingwebhookconfigurations',
      'mutatingwebhookconfigurations',
    ],
    verbs: writes,
    clusterWide: true,
    named: 'the same',
  },
  {
    id: 'volumes',
    severity: 'error',
    may: 'create PersistentVolumes (hostPath is a folder of the node)',
    group: '',
    resources: ['persistentvolumes'],
    verbs: ['create'],
    clusterWide: true,
  },
  {
    id: 'pods',
    severity: 'warning',
    may: 'start pods (a pod uses any account and Secret of its namespace)',
    group: '',
    resources: ['pods'],
    verbs: ['create'],
  },
  ...workloads.map(([group, resources]): Danger => ({
    id: 'workloads',
    severity: 'warning',
    may: 'start pods by way of workloads (a pod uses any account and Secret of its namespace)',
    group,
    resources,
    verbs: ['create', 'update', 'patch'],
    named: 'the same',
  })),
  {
    id: 'exec',
    severity: 'warning',
    may: 'enter running pods (exec, attach, portforward, ephemeralcontainers)',
    group: '',
    resources: ['pods/exec', 'pods/attach', 'pods/portforward', 'pods/proxy', 'pods/ephemeralcontainers'],
    verbs: ['get', 'create', 'update', 'patch'],
    named: 'the same',
  },
];

/** What is dangerous in the rules of one Role or ClusterRole, bound in a namespace or in the whole cluster. */
export function findPowers(rules: readonly Rule[], scope: 'namespace' | 'cluster'): Power[] {
  const found = new Map<string, Power>();
  for (const { id, named = 'nothing', clusterWide, ...danger } of dangers) {
    if (clusterWide && scope === 'namespace') continue;
    const { severity, may } = danger;
    const hits = rules.filter((rule) => covers(rule, danger));
    if (hits.some(({ resourceNames = [] }) => resourceNames.length === 0)) found.set(id, { id, severity, may });
    else if (hits.length > 0 && named !== 'nothing' && !found.has(id)) {
      const names = [...new Set(hits.flatMap(({ resourceNames = [] }) => resourceNames))];
      const only = `${may}, but only of ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
      found.set(id, { id, severity: named === 'warning' ? 'warning' : severity, may: only });
    }
  }
  return [...found.values()];
}

function covers(rule: Rule, { group, resources, verbs }: Pick<Danger, 'group' | 'resources' | 'verbs'>): boolean {
  return (
    allows(rule.apiGroups, group) &&
    verbs.some((verb) => allows(rule.verbs, verb)) &&
    resources.some((resource) => coversResource(rule.resources ?? [], resource))
  );
}

/** As the RBAC authorizer compares: `*`, the resource with its subresource, or `*` and the subresource. */
function coversResource(patterns: readonly string[], resource: string): boolean {
  const slash = resource.indexOf('/');
  return allows(patterns, resource) || (slash > 0 && patterns.includes(`*${resource.slice(slash)}`));
}

function allows(patterns: readonly string[] | undefined, value: string): boolean {
  return patterns !== undefined && (patterns.includes('*') || patterns.includes(value));
}

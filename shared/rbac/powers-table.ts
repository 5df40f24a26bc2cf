export type Severity = 'error' | 'warning';

/** What is to be said of some verbs on some resources. */
export interface Word {
  readonly id: string;
  /** `none`: looked at, and harmless. */
  readonly severity: Severity | 'none';
  /** What it lets somebody do or, where it is harmless, why. */
  readonly may: string;
  /** Where that is written, or was tried. */
  readonly source: string;
  readonly groups: readonly string[] | '*';
  // `a/b` is a subresource, `a/*` are all of `a`; `*` are all resources, `*/*` all of them with their subresources.
  readonly resources: readonly string[] | '*' | '*/*';
  /** `a:` are all verbs that begin so. */
  readonly verbs: readonly string[];
  /** `cluster`: only a ClusterRoleBinding gives it. */
  readonly scope?: 'cluster';
  /** What it is worth when a RoleBinding gives it; the same unless said. */
  readonly inNamespace?: Severity;
  /** What a rule that is limited by `resourceNames` is worth; 'nothing' unless said. */
  readonly named?: 'the same' | 'warning';
}

const reads = ['get', 'list', 'watch'];
const changes = ['update', 'patch'];
const writes = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const rbac = 'rbac.authorization.k8s.io';
const good = 'kubernetes.io, RBAC Good Practices, "privilege escalation risks"';
const tried = 'tried on kube-apiserver 1.36.3 and 1.30.14';

const dangers: readonly Word[] = [
  {
    id: 'mint',
    severity: 'error',
    may: 'mint tokens for service accounts (create serviceaccounts/token)',
    source: `${good}: token request`,
    groups: [''],
    resources: ['serviceaccounts/token'],
    verbs: ['create'],
    named: 'the same',
  },
  {
    // A patch, an update and a delete answer with the object; a delete even as a dry run.
    id: 'secrets',
    severity: 'error',
    may: 'read Secrets (get, list, watch, and whatever answers with them: update, patch, delete)',
    source: `${good}: listing Secrets; the rest ${tried}`,
    groups: [''],
    resources: ['secrets'],
    verbs: [...reads, 'update', 'patch', 'delete', 'deletecollection'],
    named: 'warning',
  },
  {
    id: 'secrets-create',
    severity: 'warning',
    may: 'create Secrets (of type service-account-token they become tokens without an end)',
    source: 'kubernetes.io, Managing Service Accounts, "Manually create a long-lived API token"',
    groups: [''],
    resources: ['secrets'],
    verbs: ['create'],
  },
  {
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others',
    source: `${good}: impersonate`,
    groups: [''],
    resources: ['serviceaccounts'],
    verbs: ['impersonate'],
    named: 'the same',
  },
  {
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others',
    source: `${good}: impersonate`,
    groups: [''],
    resources: ['users', 'groups'],
    verbs: ['impersonate'],
    scope: 'cluster',
    named: 'the same',
  },
  {
    // With it an impersonator can also claim a credential-id, by which policies tell who is there itself.
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others',
    source: 'kubernetes.io, User Impersonation: uids and userextras',
    groups: ['authentication.k8s.io'],
    resources: ['uids', 'userextras', 'userextras/*'],
    verbs: ['impersonate'],
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others (impersonate:serviceaccount)',
    source: 'KEP-5284 Constrained Impersonation, on by default in 1.36',
    groups: ['authentication.k8s.io'],
    resources: ['serviceaccounts'],
    verbs: ['impersonate:serviceaccount', 'impersonate:'],
    named: 'the same',
  },
  {
    id: 'impersonate',
    severity: 'error',
    may: 'impersonate others (impersonate:user-info, impersonate:arbitrary-node, impersonate:associated-node)',
    source: 'KEP-5284 Constrained Impersonation, on by default in 1.36',
    groups: ['authentication.k8s.io'],
    resources: ['users', 'groups', 'uids', 'userextras', 'userextras/*', 'nodes'],
    verbs: [
      'impersonate:user-info',
      'impersonate:arbitrary-node',
      'impersonate:associated-node',
      'impersonate:scheduled-node',
      'impersonate:',
    ],
    scope: 'cluster',
    named: 'the same',
  },
  {
    // Half of it: another Role may hold the other half.
    id: 'impersonate-on',
    severity: 'warning',
    may: 'do some things as whom it may impersonate elsewhere (impersonate-on:…)',
    source: 'KEP-5284 Constrained Impersonation, on by default in 1.36',
    groups: '*',
    resources: '*/*',
    verbs: ['impersonate-on:'],
    named: 'the same',
  },
  {
    id: 'escalate',
    severity: 'error',
    may: 'give rights that it does not have (escalate, bind)',
    source: `${good}: escalate, bind`,
    groups: [rbac],
    resources: ['roles', 'clusterroles'],
    verbs: ['escalate', 'bind'],
    named: 'the same',
  },
  {
    id: 'rbac',
    severity: 'error',
    may: 'write Roles or RoleBindings (its rights could outlive its token in another account)',
    source: 'kubernetes.io, Using RBAC Authorization, "Privilege escalation prevention and bootstrapping"',
    groups: [rbac],
    resources: ['roles', 'rolebindings'],
    verbs: writes,
    named: 'the same',
  },
  {
    id: 'rbac',
    severity: 'error',
    may: 'write Roles or RoleBindings (its rights could outlive its token in another account)',
    source: 'kubernetes.io, Using RBAC Authorization, "Privilege escalation prevention and bootstrapping"',
    groups: [rbac],
    resources: ['clusterroles', 'clusterrolebindings'],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'csr',
    severity: 'error',
    may: 'approve or sign certificate requests',
    source: `${good}: CSRs and certificate issuing; attest: KEP-3257 ClusterTrustBundle`,
    groups: ['certificates.k8s.io'],
    resources: [
      'certificatesigningrequests/approval',
      'certificatesigningrequests/status',
      'podcertificaterequests/status',
      'signers',
    ],
    verbs: ['update', 'patch', 'approve', 'sign', 'attest'],
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'trust',
    severity: 'warning',
    may: 'change ClusterTrustBundles (they say whose certificates pods believe)',
    source: 'KEP-3257 ClusterTrustBundle',
    groups: ['certificates.k8s.io'],
    resources: ['clustertrustbundles'],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'nodes-proxy',
    severity: 'error',
    may: 'talk to kubelets (nodes/proxy runs commands in any pod; nodes/checkpoint and nodes/log show what is in them)',
    source: `${good}: access to the proxy subresource of Nodes; kubernetes.io, Kubelet authentication/authorization`,
    groups: [''],
    resources: ['nodes/proxy', 'nodes/checkpoint', 'nodes/log'],
    verbs: ['get', 'create', 'update', 'patch', 'delete'],
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'nodes',
    severity: 'error',
    may: 'write Nodes or their status (labels and taints draw pods to a node, the status says where its kubelet is)',
    source:
      'kubernetes.io, Using Node Authorization and "Restrict a Container\'s node isolation"; Node API, status.addresses',
    groups: [''],
    resources: ['nodes', 'nodes/status'],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'namespaces',
    severity: 'error',
    inNamespace: 'warning',
    may: 'change or delete Namespaces (labels decide what pods and policies are allowed there; a deletion takes all of it along)',
    source: `${good}: namespace modification`,
    groups: [''],
    resources: ['namespaces', 'namespaces/finalize'],
    verbs: ['update', 'patch', 'delete', 'deletecollection'],
    named: 'the same',
  },
  {
    id: 'apiservices',
    severity: 'error',
    may: 'register API servers (APIService), which then answer for a part of the API',
    source: 'kubernetes.io, Kubernetes API Aggregation Layer',
    groups: ['apiregistration.k8s.io'],
    resources: ['apiservices'],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'conversion',
    severity: 'error',
    may: 'change CustomResourceDefinitions (a conversion webhook reads and rewrites all objects of that kind)',
    source: 'kubernetes.io, Versions in CustomResourceDefinitions, "Webhook conversion"',
    groups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'admission',
    severity: 'error',
    may: 'change admission policies or webhooks',
    source: `${good}: control admission webhooks`,
    groups: ['admissionregistration.k8s.io'],
    resources: [
      'validatingadmissionpolicies',
      'validatingadmissionpolicybindings',
      'mutatingadmissionpolicies',
      'mutatingadmissionpolicybindings',
      'validatingwebhookconfigurations',
      'mutatingwebhookconfigurations',
    ],
    verbs: writes,
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'volumes',
    severity: 'error',
    may: 'create PersistentVolumes (hostPath is a folder of the node)',
    source: `${good}: persistent volume creation`,
    groups: [''],
    resources: ['persistentvolumes'],
    verbs: ['create'],
    scope: 'cluster',
  },
  {
    id: 'drivers',
    severity: 'warning',
    may: 'change CSIDrivers (tokenRequests makes kubelets hand tokens of pods to a driver)',
    source: 'storage.k8s.io/v1 CSIDriver, spec.tokenRequests',
    groups: ['storage.k8s.io'],
    resources: ['csidrivers'],
    verbs: ['create', ...changes],
    scope: 'cluster',
    named: 'the same',
  },
  {
    id: 'configmaps',
    severity: 'warning',
    may: 'change ConfigMaps everywhere (in kube-system some decide who is who: aws-auth, extension-apiserver-authentication)',
    source: 'docs.aws.amazon.com, EKS aws-auth; kubernetes.io, Configure the Aggregation Layer',
    groups: [''],
    resources: ['configmaps'],
    verbs: ['create', ...changes],
    scope: 'cluster',
  },
  {
    id: 'pods',
    severity: 'warning',
    may: 'start pods, or change their images (a pod uses any account and Secret of its namespace)',
    source: `${good}: workload creation; Pod API: images of running pods can be changed`,
    groups: [''],
    resources: ['pods'],
    verbs: ['create', ...changes],
    named: 'the same',
  },
  ...(
    [
      ['', ['replicationcontrollers']],
      ['apps', ['deployments', 'statefulsets', 'daemonsets', 'replicasets']],
      ['batch', ['jobs', 'cronjobs']],
    ] as const
  ).map(([group, resources]): Word => ({
    id: 'workloads',
    severity: 'warning',
    may: 'start pods by way of workloads (a pod uses any account and Secret of its namespace)',
    source: `${good}: workload creation`,
    groups: [group],
    resources,
    verbs: ['create', ...changes],
    named: 'the same',
  })),
  {
    id: 'exec',
    severity: 'warning',
    may: 'enter running pods (exec, attach, portforward, proxy, ephemeralcontainers)',
    source: 'kubernetes.io, Kubernetes API Server Bypass Risks, and the Pod API',
    groups: [''],
    resources: [
      'pods/exec',
      'pods/attach',
      'pods/portforward',
      'pods/proxy',
      'services/proxy',
      'pods/ephemeralcontainers',
    ],
    verbs: ['get', 'create', 'update', 'patch', 'delete'],
    named: 'the same',
  },
];

const seen = 'the API reference of 1.36, read for it';

function harmless(
  why: string,
  group: string,
  resources: readonly string[],
  verbs: readonly string[] = [...writes, 'get'],
): Word {
  return { id: 'harmless', severity: 'none', may: why, source: seen, groups: [group], resources, verbs };
}

// So that a new resource or verb of Kubernetes is met by nobody's silence: test/shared/rbac/powers.test.ts compares.
const others: readonly Word[] = [
  {
    id: 'harmless',
    severity: 'none',
    may: 'shows what is there; Secrets and what talks to kubelets and pods are above',
    source: seen,
    groups: '*',
    resources: '*',
    verbs: reads,
  },
  harmless('its own namespace, whose Secrets and accounts it does not give', '', [
    'configmaps',
    'endpoints',
    'events',
    'limitranges',
    'persistentvolumeclaims',
    'podtemplates',
    'resourcequotas',
    'services',
    'serviceaccounts',
  ]),
  harmless('ends what others will start again', '', ['pods', 'replicationcontrollers'], ['delete', 'deletecollection']),
  harmless('shows what is there', '', ['nodes/status', 'pods/log'], ['get']),
  harmless('ends what others will start again', '', ['pods/eviction'], ['create']),
  harmless('where a pod runs, or how much of the machine it gets', '', ['bindings', 'pods/binding'], ['create']),
  harmless('where a pod runs, or how much of the machine it gets', '', ['pods/resize', 'replicationcontrollers/scale']),
  harmless('what a controller reports', '', [
    'namespaces/status',
    'persistentvolumeclaims/status',
    'persistentvolumes/status',
    'pods/status',
    'replicationcontrollers/status',
    'resourcequotas/status',
    'services/status',
  ]),
  harmless(
    'where its folder is can only be said when it is made',
    '',
    ['persistentvolumes'],
    [...changes, 'delete', 'deletecollection'],
  ),
  harmless('an empty place', '', ['namespaces'], ['create']),
  harmless('what a controller reports', 'admissionregistration.k8s.io', ['validatingadmissionpolicies/status']),
  harmless('what a controller reports', 'apiextensions.k8s.io', ['customresourcedefinitions/status']),
  harmless('what a controller reports', 'apiregistration.k8s.io', ['apiservices/status']),
  harmless('numbers of pods, or what a controller reports', 'apps', [
    'daemonsets/status',
    'deployments/scale',
    'deployments/status',
    'replicasets/scale',
    'replicasets/status',
    'statefulsets/scale',
    'statefulsets/status',
  ]),
  harmless('a copy that only somebody who may change the workload can go back to', 'apps', ['controllerrevisions']),
  harmless(
    'ends what others will start again',
    'apps',
    ['deployments', 'statefulsets', 'daemonsets', 'replicasets'],
    ['delete', 'deletecollection'],
  ),
  harmless('ends what others will start again', 'batch', ['jobs', 'cronjobs'], ['delete', 'deletecollection']),
  harmless('what a controller reports', 'batch', ['jobs/status', 'cronjobs/status']),
  harmless('asks who somebody is, or what somebody may', 'authentication.k8s.io', [
    'selfsubjectreviews',
    'tokenreviews',
  ]),
  harmless('asks who somebody is, or what somebody may', 'authorization.k8s.io', [
    'localsubjectaccessreviews',
    'selfsubjectaccessreviews',
    'selfsubjectrulesreviews',
    'subjectaccessreviews',
  ]),
  harmless('numbers of pods', 'autoscaling', ['horizontalpodautoscalers', 'horizontalpodautoscalers/status']),
  harmless('a request that somebody else has to approve', 'certificates.k8s.io', [
    'certificatesigningrequests',
    'podcertificaterequests',
  ]),
  harmless(
    'shows what is there',
    'certificates.k8s.io',
    ['certificatesigningrequests/approval', 'certificatesigningrequests/status', 'podcertificaterequests/status'],
    ['get'],
  ),
  harmless('who leads; those of Kleis are kept by its policy', 'coordination.k8s.io', ['leases', 'leasecandidates']),
  harmless('traffic of its own namespace', 'discovery.k8s.io', ['endpointslices']),
  harmless('messages', 'events.k8s.io', ['events']),
  harmless('whose requests wait', 'flowcontrol.apiserver.k8s.io', [
    'flowschemas',
    'flowschemas/status',
    'prioritylevelconfigurations',
    'prioritylevelconfigurations/status',
  ]),
  harmless('traffic and addresses, no identities', 'networking.k8s.io', [
    'ingressclasses',
    'ingresses',
    'ingresses/status',
    'ipaddresses',
    'networkpolicies',
    'servicecidrs',
    'servicecidrs/status',
  ]),
  harmless('names what is set up on the node', 'node.k8s.io', ['runtimeclasses']),
  harmless('how many pods may be missing', 'policy', ['poddisruptionbudgets', 'poddisruptionbudgets/status']),
  harmless('devices, which drivers on the nodes give', 'resource.k8s.io', [
    'deviceclasses',
    'devicetaintrules',
    'devicetaintrules/status',
    'resourceclaims',
    'resourceclaims/status',
    'resourceclaimtemplates',
    'resourcepoolstatusrequests',
    'resourcepoolstatusrequests/status',
    'resourceslices',
  ]),
  harmless('which pods go first, or together', 'scheduling.k8s.io', [
    'podgroups',
    'podgroups/status',
    'priorityclasses',
    'workloads',
    'workloads/status',
  ]),
  harmless('how objects are stored', 'internal.apiserver.k8s.io', ['storageversions', 'storageversions/status']),
  harmless('how objects are stored', 'storagemigration.k8s.io', [
    'storageversionmigrations',
    'storageversionmigrations/status',
  ]),
  harmless('storage, which drivers on the nodes give', 'storage.k8s.io', [
    'csinodes',
    'csistoragecapacities',
    'storageclasses',
    'volumeattachments',
    'volumeattachments/status',
    'volumeattributesclasses',
  ]),
  harmless(
    'its pods have no driver for their storage',
    'storage.k8s.io',
    ['csidrivers'],
    ['delete', 'deletecollection'],
  ),
];

/** One table: what is dangerous first, then what was looked at and is not. */
export const words: readonly Word[] = [...dangers, ...others];

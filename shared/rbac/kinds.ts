/** A rule of a Role or ClusterRole, `rbac.authorization.k8s.io/v1`. */
export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly apiGroup?: string;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface Binding {
  readonly kind: 'RoleBinding' | 'ClusterRoleBinding';
  /** Of a RoleBinding. */
  readonly namespace: string | undefined;
  readonly name: string;
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly Subject[];
  readonly object: KubeObject;
}

/** What RBAC says in a cluster. */
export interface RbacState {
  readonly bindings: readonly Binding[];
  /** What a binding gives, with what is aggregated into a ClusterRole. */
  rulesOf(binding: Pick<Binding, 'namespace' | 'roleRef'>): readonly Rule[];
}

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

const rbac = 'rbac.authorization.k8s.io/v1';
export const roleKind = { apiVersion: rbac, kind: 'Role' } as const;
export const clusterBindingKind = { apiVersion: rbac, kind: 'ClusterRoleBinding' } as const;
export const bindingKind = { apiVersion: rbac, kind: 'RoleBinding' } as const;
const admission = 'admissionregistration.k8s.io/v1';
export const policyKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicy' } as const;
export const policyBindingKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicyBinding' } as const;

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

export interface Manifest {
  /** Why it is there, for whoever reviews it. */
  readonly comment: string;
  readonly object: KubeObject;
}

export interface Section {
  readonly title: string;
  readonly manifests: readonly Manifest[];
}

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
export const bindingKind = { apiVersion: rbac, kind: 'RoleBinding' } as const;
const admission = 'admissionregistration.k8s.io/v1';
export const policyKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicy' } as const;
export const policyBindingKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicyBinding' } as const;

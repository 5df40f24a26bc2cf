import type { KubeObject } from '../../shared/rbac/kinds.ts';

const rbac = 'rbac.authorization.k8s.io/v1';
export const roleKind = { apiVersion: rbac, kind: 'Role' } as const;
export const clusterBindingKind = { apiVersion: rbac, kind: 'ClusterRoleBinding' } as const;
export const bindingKind = { apiVersion: rbac, kind: 'RoleBinding' } as const;
const admission = 'admissionregistration.k8s.io/v1';
export const policyKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicy' } as const;
export const policyBindingKind = { apiVersion: admission, kind: 'ValidatingAdmissionPolicyBinding' } as const;

export interface Manifest {
  /** Why it is there, for whoever reviews it. */
  readonly comment: string;
  readonly object: KubeObject;
}

export interface Section {
  readonly title: string;
  readonly manifests: readonly Manifest[];
}

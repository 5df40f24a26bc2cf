import type { SignInFlags } from '../settings/flags.ts';

// What the tree of commands needs to know; it loads nothing.

export const providerNames = [
  'keycloak',
  'okta',
  'auth0',
  'entra',
  'google',
  'gitlab',
  'dex',
  'zitadel',
  'oci',
  'other',
] as const;
export type ProviderName = (typeof providerNames)[number];

export const distributionNames = [
  'kubeadm',
  'k3s',
  'rke2',
  'talos',
  'kind',
  'oke',
  'eks',
  'aks',
  'gke',
  'other',
] as const;
export type DistributionName = (typeof distributionNames)[number];

/** Of AuthenticationConfiguration. */
export const apiVersions = ['v1', 'v1beta1'] as const;
export type ApiVersion = (typeof apiVersions)[number];

export const setupOutputs = ['guide', 'json', 'authentication', 'flags', 'bindings', 'kubeconfig'] as const;

/** Flags of `kleis setup` beside those of a sign-in; each answers a question. */
export type SetupFlags = SignInFlags & {
  provider?: string;
  /** False: nobody signs in. */
  signIn: boolean;
  usernameClaim?: string;
  usernamePrefix?: string;
  groupsClaim?: string;
  groupsPrefix?: string;
  distribution?: string;
  apiVersion?: string;
  bind?: string[];
  context?: string;
  kubeconfig?: string;
  server?: string;
  clusterCertificateAuthority?: string;
  tlsServerName?: string;
  namespace?: string;
  outputDir?: string;
  force?: boolean;
  yes?: boolean;
  output: (typeof setupOutputs)[number];
};

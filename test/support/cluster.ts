import type { KubeObject } from './stand-in/store.ts';

/** How the API server is told which provider to believe. */
export interface ClusterOidc {
  /** https: the real API server takes no other. */
  readonly issuerUrl: string;
  readonly clientId: string;
  /** Vouches for the issuer. */
  readonly caPem: string;
  /** `--oidc-*` flags, or an AuthenticationConfiguration; the stand-in does not tell them apart. */
  readonly how?: 'flags' | 'config';
  /** `sub` if not given. */
  readonly usernameClaim?: string;
  /** `oidc:` if not given. */
  readonly prefix?: string;
}

export interface ClusterOptions {
  readonly kind: 'stand-in' | '1.36' | '1.30';
  readonly oidc?: ClusterOidc;
  /** Runs kube-controller-manager too: garbage collection, default service accounts, deletion of namespaces. */
  readonly controllers?: boolean;
  /** With controllers: those too that make pods of Deployments, and endpoints of Services. */
  readonly workloads?: boolean;
  /** More of kube-apiserver's. Not for the stand-in. */
  readonly flags?: readonly string[];
  /** Who it says it is in its tokens; its own URL if not given. Not for the stand-in. */
  readonly issuer?: string;
  /** PEM; what it signs them with. A key of its own if not given. Not for the stand-in. */
  readonly signingKey?: string;
}

/** An API server for tests, real or not: what both can do. */
export interface Cluster {
  readonly kind: ClusterOptions['kind'];
  /** https://127.0.0.1:PORT */
  readonly server: string;
  readonly caPem: string;
  /** The same, in a file. */
  readonly caFile: string;
  /** Of etcd, whose `/metrics` tell what is written. Not of the stand-in. */
  readonly etcd?: string;
  /** A kubeconfig of cluster-admin, which needs no plugin. */
  readonly adminKubeconfig: string;
  /** As cluster-admin; throws with the server's words when it answers with an error. */
  request(method: string, path: string, body?: unknown): Promise<KubeObject>;
  /** Who presented which requests to the API server, oldest first. */
  audit(): Promise<readonly AuditEvent[]>;
  /** Ends the API server and starts it anew, with what it had; resolves when it runs, long before it is ready. */
  restart?(): Promise<void>;
  stop(): Promise<void>;
}

export interface AuditEvent {
  readonly method: string;
  readonly uri: string;
  /** Undefined when nobody was authenticated. */
  readonly user: string | undefined;
  readonly status: number;
  /** `JTI=…` of the token that was presented. Not told by the stand-in. */
  readonly credentialId?: string | undefined;
  /** `JTI=…` of the token that was made. Not told by the stand-in. */
  readonly issuedCredentialId?: string | undefined;
}

/** Starts the cluster of that kind; the real ones need the `kube` and `kube-1.30` of `tools.ts`. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  if (options.kind === 'stand-in') {
    const { startStandInCluster } = await import('./stand-in/cluster.ts');
    return startStandInCluster(options);
  }
  const { startRealCluster } = await import('./real-cluster.ts');
  return startRealCluster(options);
}

/**
 * What the people of the tests may do: read most things of all namespaces and change ConfigMaps and pods, but no
 * Secrets and no nodes. The stand-in has the same, built in.
 */
export const peoplesRole = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'people' },
  rules: [
    { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['configmaps', 'pods'], verbs: ['*'] },
  ],
} as const;

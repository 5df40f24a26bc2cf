import { createHash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';

/**
 * Where a credential goes, and what vouches for it there: `spec.cluster` of KUBERNETES_EXEC_INFO (client-go,
 * pkg/apis/clientauthentication/v1/types.go).
 */
export interface ExecCluster {
  readonly server: string;
  readonly 'tls-server-name'?: string;
  readonly 'insecure-skip-tls-verify'?: boolean;
  /** Base64 of PEM. */
  readonly 'certificate-authority-data'?: string;
  readonly 'proxy-url'?: string;
  readonly 'disable-compression'?: boolean;
  /** The extension `client.authentication.k8s.io/exec`. */
  readonly config?: unknown;
}

/**
 * What a session remembers of a cluster: scheme, host and port of its server, and a hash of what vouches for it and of
 * the way there. A known address behind another authority or proxy may be another machine. Throws `kubeconfig_invalid`.
 */
export function clusterIdentity(cluster: ExecCluster): string {
  const url = URL.parse(cluster.server);
  if (url === null || url.protocol !== 'https:') {
    throw new KleisError(
      'kubeconfig_invalid',
      `The server ${clean(cluster.server)} of the cluster is not an https URL.`,
    );
  }
  const way = ['certificate-authority-data', 'tls-server-name', 'insecure-skip-tls-verify', 'proxy-url'] as const;
  return identityOf(
    url.origin,
    way.map((name) => cluster[name] ?? null),
  );
}

/** An address and a hash of what vouches for it: a destination is known by both. */
export function identityOf(origin: string, trust: readonly unknown[]): string {
  return `${origin} ${createHash('sha256').update(JSON.stringify(trust)).digest('hex').slice(0, 16)}`;
}

/** The address in a cluster's identity: what people are shown. */
export function addressOf(identity: string): string {
  return identity.split(' ')[0] ?? identity;
}

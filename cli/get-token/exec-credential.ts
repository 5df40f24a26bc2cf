import { createHash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';

const group = 'client.authentication.k8s.io';
const versions = [`${group}/v1`, `${group}/v1beta1`] as const;
export type ExecApiVersion = (typeof versions)[number];

// kubectl passes the certificate authority and the extension inside; a megabyte is far beyond both.
const maxExecInfo = 1024 * 1024;

/**
 * What kubectl says about the call in KUBERNETES_EXEC_INFO (client-go, pkg/apis/clientauthentication/v1/types.go).
 */
export interface ExecInfo {
  readonly apiVersion: ExecApiVersion;
  /** stdin is a terminal that is ours to read. False does not mean that nobody is there. */
  readonly interactive: boolean;
  /** Where the credential will be sent. Absent unless the kubeconfig says `provideClusterInfo: true`. */
  readonly cluster: ExecCluster | undefined;
}

/** `spec.cluster`: where the credential goes, and what vouches for it there. */
export interface ExecCluster {
  readonly server: string;
  /** The extension `client.authentication.k8s.io/exec`. */
  readonly config?: unknown;
  readonly 'certificate-authority-data'?: unknown;
  readonly 'tls-server-name'?: unknown;
  readonly 'insecure-skip-tls-verify'?: unknown;
  readonly 'proxy-url'?: unknown;
}

/** Undefined when no Kubernetes client is asking, but a person or a script. Throws `kubeconfig_invalid`. */
export function parseExecInfo(env: Readonly<Record<string, string | undefined>>): ExecInfo | undefined {
  const text = env['KUBERNETES_EXEC_INFO'];
  if (text === undefined || text.trim() === '') return undefined;
  if (text.length > maxExecInfo) throw invalid('it is longer than 1 MiB');
  let info: unknown;
  try {
    info = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  if (!isObject(info) || info['kind'] !== 'ExecCredential') throw invalid('it is not an ExecCredential');
  const apiVersion = versions.find((version) => version === info['apiVersion']);
  if (apiVersion === undefined) {
    throw invalid(`its apiVersion ${clean(info['apiVersion'], 80)} is not one of ${versions.join(', ')}`);
  }
  const spec = isObject(info['spec']) ? info['spec'] : {};
  const cluster = isObject(spec['cluster']) ? spec['cluster'] : undefined;
  const server = cluster?.['server'];
  if (cluster !== undefined && typeof server !== 'string') throw invalid('its cluster has no server');
  return {
    apiVersion,
    interactive: spec['interactive'] === true,
    cluster: typeof server === 'string' ? { ...cluster, server } : undefined,
  };
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
  const trust = JSON.stringify(way.map((name) => cluster[name] ?? null));
  return `${url.origin} ${createHash('sha256').update(trust).digest('hex').slice(0, 16)}`;
}

/** The address in a cluster's identity: what people are shown. */
export function addressOf(identity: string): string {
  return identity.split(' ')[0] ?? identity;
}

/**
 * The one object that stdout may hold. `expiresAt` (milliseconds) is when kubectl is to ask again; without it kubectl
 * keeps the token until the server refuses it. A newline or any other control character in a token would break the
 * Authorization header, so the token must not have one.
 */
export function formatCredential(
  apiVersion: ExecApiVersion | undefined,
  token: string,
  expiresAt: number | undefined,
): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new KleisError('token_unusable', 'The token that the provider issued cannot be put into an HTTP header.');
  }
  const status = expiresAt === undefined ? { token } : { token, expirationTimestamp: timestamp(expiresAt) };
  return `${JSON.stringify({ apiVersion: apiVersion ?? versions[0], kind: 'ExecCredential', status })}\n`;
}

// Whole seconds, downwards: what is printed must not outlive what is kept.
function timestamp(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

function invalid(why: string): KleisError {
  return new KleisError('kubeconfig_invalid', `KUBERNETES_EXEC_INFO cannot be used: ${why}.`, {
    hint: 'Run this through kubectl, or unset KUBERNETES_EXEC_INFO.',
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { formatTime } from '../../shared/duration.ts';
import { isObject } from '../../shared/json.ts';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { ExecCluster } from '../kubeconfig/cluster-identity.ts';

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

/** Undefined where whoever asks does not say anything. Throws `kubeconfig_invalid`. */
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
    throw invalid(
      `its apiVersion ${clean(info['apiVersion'], 80)} is not one of ${versions.join(', ')}`,
      `Set \`apiVersion: ${versions[0]}\` in the exec section of the kubeconfig user; a client that knows only older ones must be updated.`,
    );
  }
  const spec = isObject(info['spec']) ? info['spec'] : {};
  return {
    apiVersion,
    interactive: spec['interactive'] === true,
    cluster: isObject(spec['cluster']) ? readCluster(spec['cluster']) : undefined,
  };
}

function readCluster(cluster: Record<string, unknown>): ExecCluster {
  const text = (name: string) => {
    const value = cluster[name] ?? undefined;
    if (value !== undefined && typeof value !== 'string') throw invalid(`${name} of its cluster is no text`);
    return value === '' ? undefined : value;
  };
  const server = text('server');
  if (server === undefined) throw invalid('its cluster has no server');
  const data = text('certificate-authority-data');
  const name = text('tls-server-name');
  const proxy = text('proxy-url');
  return {
    server,
    ...(name !== undefined && { 'tls-server-name': name }),
    ...(cluster['insecure-skip-tls-verify'] === true && { 'insecure-skip-tls-verify': true }),
    ...(data !== undefined && { 'certificate-authority-data': data }),
    ...(proxy !== undefined && { 'proxy-url': proxy }),
    ...(cluster['disable-compression'] === true && { 'disable-compression': true }),
    ...(cluster['config'] !== undefined && { config: cluster['config'] }),
  };
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
  const status = expiresAt === undefined ? { token } : { token, expirationTimestamp: formatTime(expiresAt) };
  return `${JSON.stringify({ apiVersion: apiVersion ?? versions[0], kind: 'ExecCredential', status })}\n`;
}

function invalid(why: string, hint = 'Run this through kubectl; a person uses `kleis token`.'): KleisError {
  return new KleisError('kubeconfig_invalid', `KUBERNETES_EXEC_INFO cannot be used: ${why}.`, { hint });
}

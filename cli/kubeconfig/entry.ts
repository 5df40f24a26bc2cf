import { win32 } from 'node:path';
import { isObject } from '../../shared/json.ts';
import type { Secret } from '../../shared/secret.ts';
import { asText } from '../../shared/text.ts';
import { execEntry } from '../../shared/kube/exec-entry.ts';
import { hasNoLauncher } from '../surroundings/installation.ts';
import type { Mapping } from './document.ts';

/** client-go's name for the extension whose value the plugin gets as `spec.cluster.config`. */
export const extensionName = 'client.authentication.k8s.io/exec';

/** What a cluster entry is to say; what is undefined stays as it is. */
export interface ClusterFields {
  readonly server: string | undefined;
  /** PEM. */
  readonly certificateAuthority: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly proxyUrl?: string | undefined;
  readonly extension: Mapping | undefined;
}

/**
 * The cluster entry as it is to be. A new server keeps nothing that vouched for the old one, and what vouches for a
 * server replaces all else that did: kubectl refuses, or prefers in silence, one of two.
 */
export function buildCluster(fields: ClusterFields, before: Mapping): Mapping {
  const body: Mapping = { ...before };
  const { server, certificateAuthority, tlsServerName, proxyUrl, extension } = fields;
  const moved = server !== undefined && server !== before['server'];
  if (moved || certificateAuthority !== undefined) {
    for (const key of ['certificate-authority', 'certificate-authority-data', 'insecure-skip-tls-verify'])
      delete body[key];
  }
  if (moved) delete body['tls-server-name'];
  if (certificateAuthority !== undefined) {
    body['certificate-authority-data'] = Buffer.from(certificateAuthority).toString('base64');
  }
  if (extension !== undefined) body['extensions'] = withExtension(before['extensions'], extension);
  if (server !== undefined) body['server'] = server;
  if (proxyUrl !== undefined) body['proxy-url'] = proxyUrl;
  if (tlsServerName !== undefined) body['tls-server-name'] = tlsServerName;
  return body;
}

function withExtension(before: unknown, extension: Mapping): unknown[] {
  const list: unknown[] = Array.isArray(before) ? before : [];
  const ours = { extension, name: extensionName };
  const isOurs = (item: unknown) => isObject(item) && item['name'] === extensionName;
  return list.some(isOurs) ? list.map((item) => (isOurs(item) ? ours : item)) : [...list, ours];
}

/** A user who signs in with Kleis. Of one who already does, the environment stays. */
export function buildUser(args: readonly string[], before: Mapping, platform: NodeJS.Platform): Mapping {
  const exec = isObject(before['exec']) && readExec(before) !== undefined ? before['exec'] : {};
  const env = Array.isArray(exec['env']) ? (exec['env'] as unknown[]) : undefined;
  return {
    exec: execEntry({ args, platform, env, isPlugin: hasNoLauncher(platform) }),
    ...(before['extensions'] !== undefined && { extensions: before['extensions'] }),
  };
}

/** A user who has a token, which ends by itself or is taken away elsewhere. */
export function buildTokenUser(token: Secret, before: Mapping): Mapping {
  return {
    ...(before['extensions'] !== undefined && { extensions: before['extensions'] }),
    token: token.reveal(),
  };
}

export function buildContext(
  fields: { cluster: string; user: string; namespace: string | undefined },
  before: Mapping,
): Mapping {
  const { namespace, ...rest } = fields;
  return { ...before, ...rest, ...(namespace !== undefined && { namespace }) };
}

/** How a user entry runs Kleis. */
export interface KleisExec {
  /** The flags, without `get-token`. */
  readonly args: readonly string[];
  /** What kubectl adds to the environment of the plugin. */
  readonly env: Readonly<Record<string, string>>;
}

/** How Kleis can be run as a plugin, with the arguments that come before the flags. */
const programs = new Map<string, readonly string[]>([
  ['kleis-credential', []],
  ['kleis-get-token', []],
  ['kleis', ['get-token']],
  ['kubectl-kleis', ['get-token']],
  ['kubectl', ['kleis', 'get-token']],
]);

/** Undefined if this user does not sign in with Kleis. */
export function readExec(user: Mapping): KleisExec | undefined {
  const exec = user['exec'];
  if (!isObject(exec) || typeof exec['command'] !== 'string') return undefined;
  // win32 takes both kinds of slashes.
  const name = win32.basename(exec['command']);
  const [, ofWindows] = /^(.*)\.(?:exe|cmd|js)$/i.exec(name) ?? [];
  const program = ofWindows?.toLowerCase() ?? name;
  const args = texts(exec['args']);
  const before = programs.get(program);
  if (before === undefined || !before.every((each, index) => args[index] === each)) return undefined;
  return { args: args.slice(before.length), env: variables(exec['env']) };
}

/** client-go, tools/clientcmd/api/v1, ExecEnvVar; of two of one name the last counts. */
function variables(value: unknown): Record<string, string> {
  const list: unknown[] = Array.isArray(value) ? value : [];
  const pairs = list
    .filter(isObject)
    .flatMap(({ name, value: content = '' }) =>
      typeof name === 'string' && typeof content === 'string' ? [[name, content] as const] : [],
    );
  return Object.fromEntries(pairs);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(asText) : [];
}

import { isObject } from '../../shared/json.ts';
import { readFile } from 'node:fs/promises';
import { win32 } from 'node:path';
import { certificatesIn } from '../../shared/net/certificates.ts';
import { KleisError } from '../../shared/errors.ts';
import { storageError } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Mapping } from './document.ts';

/** client-go's name for the extension whose value the plugin gets as `spec.cluster.config`. */
export const extensionName = 'client.authentication.k8s.io/exec';

// RFC 1123 label, as Kubernetes wants a namespace.
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const maxName = 253;
const maxText = 2048;

/** What a cluster entry is to say; what is undefined stays as it is. */
export interface ClusterFields {
  readonly server: string | undefined;
  /** PEM. */
  readonly certificateAuthority: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly extension: Mapping | undefined;
}

/**
 * The cluster entry as it is to be. A new server keeps nothing that vouched for the old one, and what vouches for a
 * server replaces all else that did: kubectl refuses, or prefers in silence, one of two.
 */
export function buildCluster(fields: ClusterFields, before: Mapping): Mapping {
  const body: Mapping = { ...before };
  const { server, certificateAuthority, tlsServerName, extension } = fields;
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
  return {
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1',
      ...(args.length > 0 && { args: [...args] }),
      // Not `kleis`: an allow-list (kuberc) that names it would allow more than to get a token.
      command: platform === 'win32' ? 'kleis-get-token' : 'kleis-credential',
      ...(Array.isArray(exec['env']) && { env: exec['env'] as unknown[] }),
      installHint: 'Kleis signs you in to this cluster. To install it: npm install --global kleis',
      // A person may have to paste; where there is no terminal, everything else works.
      interactiveMode: 'IfAvailable',
      // A credential belongs to exactly one cluster: the plugin must know to which.
      provideClusterInfo: true,
    },
    ...(before['extensions'] !== undefined && { extensions: before['extensions'] }),
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
  const program = win32.basename(exec['command']).replace(/\.(exe|cmd|js)$/i, '');
  const args = texts(exec['args']);
  const before = programs.get(program);
  if (before === undefined || !before.every((each, index) => args[index] === each)) return undefined;
  return { args: args.slice(before.length) };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** @throws KleisError `usage` */
export function checkServer(server: string): string {
  const url = URL.parse(server);
  const refuse = (why: string) =>
    new KleisError('usage', `--server ${clean(server)} cannot be used: ${why}.`, {
      hint: 'Give the address of the API server, such as https://api.example.com:6443.',
    });
  if (url === null || server.length > maxText || /\s/.test(server) || clean(server, maxText) !== server) {
    throw refuse('it is not a URL');
  }
  // kubectl runs no plugin for http, and a token would go over the wire in plain text.
  if (url.protocol !== 'https:' || !/^https:\/\//i.test(server)) throw refuse('it must begin with https://');
  if (url.username !== '' || url.password !== '') throw refuse('it holds a user name or password');
  if (/[?#]/.test(server)) throw refuse('it has a query or fragment');
  return server;
}

/** @throws KleisError `usage` */
export function checkName(flag: string, name: string): string {
  if (name !== '' && name.length <= maxName && clean(name, maxName) === name) return name;
  throw new KleisError('usage', `${flag} is empty, longer than ${maxName} characters or holds control characters.`);
}

/** @throws KleisError `usage` */
export function checkNamespace(namespace: string): string {
  if (namespacePattern.test(namespace)) return namespace;
  throw new KleisError('usage', `--namespace ${clean(namespace)} is not the name of a namespace.`);
}

/**
 * The PEM text of certificates that vouch for an API server; what stands around them tells nothing to anybody.
 *
 * @throws KleisError `config_invalid` for anything else, above all a private key, which must not end up in a kubeconfig
 */
export async function readCertificates(path: string): Promise<string> {
  const refuse = (why: string) =>
    new KleisError('config_invalid', `--cluster-certificate-authority ${clean(path, 400)} cannot be used: ${why}.`, {
      hint: 'Name a PEM file with the certificate of the authority that issued that of the API server.',
    });
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw refuse(storageError(error, 'read', path).message.replace(/\.$/, ''));
  }
  if (text.length > 1024 * 1024) throw refuse('it is larger than 1 MiB');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw refuse('it holds a private key');
  try {
    return `${certificatesIn(text).join('\n')}\n`;
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : 'it is damaged');
  }
}

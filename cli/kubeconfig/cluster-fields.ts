import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { certificatesIn } from '../../shared/net/certificates.ts';
import { clean } from '../../shared/text.ts';
import { storageError } from '../files/storage-error.ts';
import type { Mapping } from './document.ts';

// RFC 1123 label, as Kubernetes wants a namespace.
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const maxName = 253;
const maxText = 2048;
/**
 * Bytes of PEM. kubectl tells the plugin of the cluster in one environment variable, which Linux limits to 128 KiB
 * (MAX_ARG_STRLEN); base64 makes 120 kB of these, and the rest of the cluster needs a place too.
 */
const maxAuthority = 90_000;

/** What a person types about a cluster, in whatever command. */
export interface ClusterFlags {
  readonly server?: string | undefined;
  readonly clusterCertificateAuthority?: string | undefined;
  readonly tlsServerName?: string | undefined;
  readonly namespace?: string | undefined;
}

export interface CheckedCluster {
  readonly server: string | undefined;
  /** PEM: certificates and nothing else. */
  readonly certificateAuthority: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly namespace: string | undefined;
}

/** @throws KleisError `usage`, `config_invalid` (the certificates) */
export async function checkCluster(flags: ClusterFlags): Promise<CheckedCluster> {
  const { server, clusterCertificateAuthority: file, tlsServerName, namespace } = flags;
  return {
    server: server === undefined ? undefined : checkServer('--server', server),
    certificateAuthority: file === undefined ? undefined : await readCertificates(file),
    tlsServerName: tlsServerName === undefined ? undefined : checkName('--tls-server-name', tlsServerName),
    namespace: namespace === undefined ? undefined : checkNamespace(namespace),
  };
}

/** @throws KleisError `usage` */
export function checkName(flag: string, name: string): string {
  if (name !== '' && name.length <= maxName && clean(name, maxName) === name) return name;
  throw new KleisError('usage', `${flag} is empty, longer than ${maxName} characters or holds control characters.`);
}

/** The address of an API server, exactly as written. Throws `usage`. */
export function checkServer(what: string, server: string): string {
  const url = URL.parse(server);
  const refuse = (why: string) =>
    new KleisError('usage', `${what} ${clean(server)} cannot be used: ${why}.`, {
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

/**
 * The certificates of a PEM text that vouch for an API server; what stands around them tells nothing to anybody.
 *
 * @throws KleisError `config_invalid` for anything else, above all a private key, which must not end up in a kubeconfig
 */
export function checkCertificates(what: string, text: string): string {
  const refuse = (why: string) =>
    new KleisError('config_invalid', `${what} cannot be used: ${why}.`, {
      hint: 'Name a PEM file with the certificate of the authority that issued that of the API server.',
    });
  if (text.length > 1024 * 1024) throw refuse('it is larger than 1 MiB');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw refuse('it holds a private key');
  try {
    return `${certificatesIn(text).join('\n')}\n`;
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : 'it is damaged');
  }
}

/**
 * Refuses a cluster entry that kubectl could not tell a plugin of: it would fail with "argument list too long".
 *
 * @param file the kubeconfig, which a path in the entry is relative to
 * @throws KleisError `config_invalid`
 */
export async function checkPluginHearsOf(cluster: Mapping, name: string, file: string): Promise<void> {
  const { 'certificate-authority-data': data, 'certificate-authority': path } = cluster;
  const size =
    typeof data === 'string' && data !== ''
      ? Buffer.byteLength(data, 'base64')
      : typeof path === 'string' && path !== ''
        ? await stat(resolve(dirname(file), path)).then(
            (found) => found.size,
            () => 0,
          )
        : 0;
  if (size <= maxAuthority) return;
  throw new KleisError(
    'config_invalid',
    `The certificate authority of the cluster "${clean(name)}" is ${Math.ceil(size / 1000)} kB large. kubectl hands it to ` +
      `the plugin in one environment variable, which takes ${maxAuthority / 1000} kB of certificates at most.`,
    { hint: 'Give a file with --cluster-certificate-authority that holds only the authority of this API server.' },
  );
}

function checkNamespace(namespace: string): string {
  if (namespacePattern.test(namespace)) return namespace;
  throw new KleisError('usage', `--namespace ${clean(namespace)} is not the name of a namespace.`);
}

async function readCertificates(path: string): Promise<string> {
  const what = `--cluster-certificate-authority ${clean(path, 400)}`;
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = storageError(error, 'read', path).message.replace(/\.$/, '');
    throw new KleisError('config_invalid', `${what} cannot be used: ${why}.`, { cause: error });
  }
  return checkCertificates(what, text);
}

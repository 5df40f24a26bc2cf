import { stat } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { KleisError } from '../../shared/errors.ts';
import { readCertificates } from '../../shared/net/certificates.ts';
import { serverUrlFaults, urlFaults } from '../../shared/net/url.ts';
import { clean, shown } from '../../shared/text.ts';
import type { Mapping } from './document.ts';

// RFC 1123 label, as Kubernetes wants a namespace.
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const maxName = 253;
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
    certificateAuthority:
      file === undefined ? undefined : await readCertificates(file, '--cluster-certificate-authority'),
    tlsServerName: tlsServerName === undefined ? undefined : checkName('--tls-server-name', tlsServerName),
    namespace: namespace === undefined ? undefined : checkNamespace(namespace),
  };
}

/** @throws KleisError `usage` */
export function checkName(flag: string, name: string): string {
  if (name !== '' && name.length <= maxName && clean(name, maxName) === name) return name;
  throw new KleisError(
    'usage',
    `${flag}${name === '' ? '' : ` ${shown(name, 80)}`} is empty, longer than ${maxName} characters or holds control characters.`,
  );
}

/**
 * The address of an API server, exactly as written: kubectl runs no plugin for http, and a token would go over the wire in
 * plain text. Throws `usage`.
 */
export function checkServer(what: string, server: string): string {
  const [fault] = serverUrlFaults(server);
  if (fault === undefined && /^https:/i.test(server)) return server;
  const why = fault === undefined || fault === 'scheme' ? 'must begin with https://' : urlFaults[fault];
  throw new KleisError('usage', `${what} ${shown(server)} ${why}.`, {
    hint: 'Give the address of the API server, such as https://api.example.com:6443.',
  });
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
        ? await promisify(stat)(resolve(dirname(file), path)).then(
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

export function checkNamespace(namespace: string): string {
  if (namespacePattern.test(namespace)) return namespace;
  throw new KleisError('usage', `--namespace ${shown(namespace)} is not the name of a namespace.`);
}

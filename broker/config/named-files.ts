import { dirname, isAbsolute, join } from 'node:path';
import type { Path } from '../policy/parse-where.ts';
import type { BrokerConfig } from './broker-config.ts';

/** What a file that a configuration names holds. */
export type FileKind =
  | 'certificates'
  | 'keys'
  | 'certificate'
  | 'private key'
  | 'kubeconfig'
  | 'token'
  | 'audit'
  | 'client secret'
  | 'cookie keys';

export interface NamedFile {
  /** Where the configuration names it. */
  readonly path: Path;
  readonly file: string;
  readonly kind: FileKind;
}

/** The files that a configuration names, in the order of the document. */
export function namedFiles(config: BrokerConfig): NamedFile[] {
  const found: NamedFile[] = [];
  mapFiles(config, (path, file, kind) => {
    found.push({ path, file, kind });
    return file;
  });
  return found;
}

/** A relative path is relative to the file of the configuration that names it, wherever the broker is started. */
export function resolveFiles(config: BrokerConfig, fileOf: (path: Path) => string): BrokerConfig {
  return mapFiles(config, (path, file) => (isAbsolute(file) ? file : join(dirname(fileOf(path)), file)));
}

type Visit = (path: Path, file: string, kind: FileKind) => string;

function mapFiles(config: BrokerConfig, visit: Visit): BrokerConfig {
  const { listen, audit, issuers, clusters, web } = config;
  return {
    ...config,
    listen: {
      ...listen,
      ...(listen.tls && {
        tls: {
          certFile: visit(['listen', 'tls', 'certFile'], listen.tls.certFile, 'certificate'),
          keyFile: visit(['listen', 'tls', 'keyFile'], listen.tls.keyFile, 'private key'),
        },
      }),
    },
    // Standard output is no file.
    audit: audit.file === '-' ? audit : { file: visit(['audit', 'file'], audit.file, 'audit') },
    issuers: mapEntries(issuers, ['issuers'], (issuer, path) => ({
      ...issuer,
      ...visitField(issuer, 'certificateAuthority', path, 'certificates', visit),
      ...visitField(issuer, 'jwks', path, 'keys', visit),
      ...(issuer.signIn && {
        signIn: {
          ...issuer.signIn,
          ...visitField(issuer.signIn, 'certificateAuthority', [...path, 'signIn'], 'certificates', visit),
        },
      }),
    })),
    clusters: mapEntries(clusters, ['clusters'], (cluster, path) => ({
      ...cluster,
      ...visitField(cluster, 'certificateAuthority', path, 'certificates', visit),
      credentials: visitCredentials(cluster.credentials, [...path, 'credentials'], visit),
    })),
    ...(web && {
      web: {
        ...web,
        ...visitField(web, 'clientSecretFile', ['web'], 'client secret', visit),
        cookieKeyFile: visit(['web', 'cookieKeyFile'], web.cookieKeyFile, 'cookie keys'),
      },
    }),
  };
}

function visitCredentials(
  credentials: BrokerConfig['clusters'][string]['credentials'],
  path: Path,
  visit: Visit,
): BrokerConfig['clusters'][string]['credentials'] {
  if ('kubeconfig' in credentials) {
    return { ...credentials, kubeconfig: visit([...path, 'kubeconfig'], credentials.kubeconfig, 'kubeconfig') };
  }
  if ('tokenFile' in credentials)
    return { ...credentials, tokenFile: visit([...path, 'tokenFile'], credentials.tokenFile, 'token') };
  return credentials;
}

function visitField<Name extends string>(
  entry: { readonly [Key in Name]?: string },
  name: Name,
  path: Path,
  kind: FileKind,
  visit: Visit,
): { readonly [Key in Name]?: string } {
  const file = entry[name];
  return file === undefined ? {} : ({ [name]: visit([...path, name], file, kind) } as { [Key in Name]: string });
}

function mapEntries<T>(
  entries: Readonly<Record<string, T>>,
  above: Path,
  map: (entry: T, path: Path) => T,
): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, map(entry, [...above, name])]));
}

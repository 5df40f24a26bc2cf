import { isObject } from '../json.ts';
import { dirname, isAbsolute, join } from 'node:path';
import { KleisError } from '../errors.ts';
import { checkCertificates, readCertificates } from '../net/certificates.ts';
import { serverUrlFaults, urlFaults } from '../net/url.ts';
import { readTextFile } from '../read-file.ts';
import { clean, shown } from '../text.ts';

/** How a service signs in to an API server. */
export type KubeCredentials =
  | { readonly inCluster: true }
  | { readonly kubeconfig: string; readonly context?: string }
  | { readonly tokenFile: string };

export interface KubeConnectionOptions {
  readonly credentials: KubeCredentials;
  /** https URL; the kubeconfig or the pod's environment says it otherwise. */
  readonly server?: string | undefined;
  /** PEM file. */
  readonly certificateAuthority?: string | undefined;
  readonly tlsServerName?: string | undefined;
  /** Read: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a pod finds its token and CA. */
  readonly serviceAccountFolder?: string | undefined;
}

/** All that it takes to reach an API server, as the files say it at one moment. */
export interface KubeConnection {
  readonly server: URL;
  /** PEM; undefined: Node's own list. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly token: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly proxy: string | undefined;
}

const podFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Reads the files again at every call: kubelet renews a pod's token every hour, and certificates are renewed in place.
 * Throws `config_invalid`, which names the file and never quotes it.
 */
export async function readConnection(options: KubeConnectionOptions): Promise<KubeConnection> {
  const { credentials } = options;
  const found =
    'kubeconfig' in credentials
      ? await fromKubeconfig(credentials.kubeconfig, credentials.context)
      : 'tokenFile' in credentials
        ? { ...nothing, token: readToken(await readTextFile(credentials.tokenFile), credentials.tokenFile) }
        : await fromPod(options);
  const server = options.server ?? found.server;
  if (server === undefined) throw invalid('Nothing says which API server to talk to.');
  return {
    ...found,
    server: parseServer(server),
    ca:
      options.certificateAuthority === undefined
        ? found.ca && checkCertificates(found.ca, 'The certificate authority of the cluster')
        : await readCertificates(options.certificateAuthority),
    tlsServerName: options.tlsServerName ?? found.tlsServerName,
  };
}

type Found = Omit<KubeConnection, 'server'> & { readonly server: string | undefined };

const nothing: Found = {
  server: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
  token: undefined,
  tlsServerName: undefined,
  proxy: undefined,
};

async function fromPod({
  env,
  server,
  certificateAuthority,
  serviceAccountFolder = podFolder,
}: KubeConnectionOptions): Promise<Found> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (server === undefined && !host) {
    throw invalid('KUBERNETES_SERVICE_HOST is not set, so this is no pod of a cluster.', {
      hint: 'Give `server`, and `credentials` with a kubeconfig or a tokenFile.',
    });
  }
  const tokenFile = join(serviceAccountFolder, 'token');
  const [token, ca] = await Promise.all([
    readMounted(tokenFile, tokenHint),
    certificateAuthority === undefined ? readMounted(join(serviceAccountFolder, 'ca.crt'), caHint) : undefined,
  ]);
  return {
    ...nothing,
    server: host ? `https://${host.includes(':') ? `[${host}]` : host}:${port || '443'}` : undefined,
    ca,
    token: readToken(token, tokenFile, tokenHint),
  };
}

const tokenHint =
  'The kubelet puts it there: mount the token of the service account (automountServiceAccountToken, or a projected volume at that path).';
const caHint =
  'The kubelet puts it there, of the ConfigMap kube-root-ca.crt: add that to the projected volume, or give certificateAuthority.';

async function readMounted(file: string, hint: string): Promise<string> {
  return readTextFile(file).catch((error: unknown) => {
    throw invalid((error as Error).message, { hint, cause: (error as Error).cause });
  });
}

type Mapping = Readonly<Record<string, unknown>>;

async function fromKubeconfig(path: string, contextName: string | undefined): Promise<Found> {
  // Loaded late: a pod with its own token needs no YAML for it.
  const { parse } = await import('yaml');
  const text = await readTextFile(path);
  let document: unknown;
  try {
    document = parse(text, { logLevel: 'error' });
  } catch {
    // Without its cause, which quotes the text.
    throw invalid(`The kubeconfig ${clean(path)} is not YAML.`);
  }
  if (!isObject(document)) throw invalid(`The kubeconfig ${clean(path)} is not a mapping.`);
  const name = contextName ?? textOf(document['current-context']);
  if (name === undefined) throw invalid(`The kubeconfig ${clean(path)} has no current-context.`);
  const context = entry(document, 'contexts', 'context', name, path);
  const cluster = entry(document, 'clusters', 'cluster', textOf(context['cluster']) ?? '', path);
  const user = entry(document, 'users', 'user', textOf(context['user']) ?? '', path);
  refuse(cluster, user, path);
  const material = (part: Mapping, field: string) => readMaterial(part, field, path);
  const tokenFile = textOf(user['tokenFile']);
  const [ca, cert, key, fromFile] = await Promise.all([
    material(cluster, 'certificate-authority'),
    material(user, 'client-certificate'),
    material(user, 'client-key'),
    tokenFile === undefined ? undefined : readTextFile(beside(path, tokenFile)),
  ]);
  // client-go: what the file says wins over the token beside it.
  const token = fromFile ?? textOf(user['token']);
  if (token === undefined && cert === undefined) {
    throw invalid(`The user of context ${clean(name)} in ${clean(path)} has neither a token nor a client certificate.`);
  }
  return {
    server: textOf(cluster['server']),
    ca,
    cert,
    key,
    token: token === undefined ? undefined : readToken(token, path),
    tlsServerName: textOf(cluster['tls-server-name']),
    proxy: textOf(cluster['proxy-url']),
  };
}

/** What would run a program, give a password, or trust anybody. */
function refuse(cluster: Mapping, user: Mapping, path: string): void {
  const reasons: Readonly<Record<string, string>> = {
    exec: 'runs a program (exec)',
    'auth-provider': 'uses an auth-provider',
    username: 'has a user name and password',
    password: 'has a user name and password',
    as: 'impersonates somebody (as)',
    'as-uid': 'impersonates somebody (as-uid)',
    'as-groups': 'impersonates somebody (as-groups)',
    'as-user-extra': 'impersonates somebody (as-user-extra)',
  };
  const field = Object.keys(reasons).find((each) => user[each] !== undefined && user[each] !== null);
  if (field !== undefined) {
    throw invalid(`The user in ${clean(path)} ${reasons[field]}, which is refused here.`, {
      hint: 'Give a kubeconfig with a token, a tokenFile or a client certificate.',
    });
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw invalid(`The cluster in ${clean(path)} says insecure-skip-tls-verify: anybody could be the API server.`, {
      hint: 'Give its certificate-authority instead.',
    });
  }
}

function entry(document: Mapping, section: string, key: string, name: string, path: string): Mapping {
  const list = document[section];
  // As in kubectl, of two of one name the first counts.
  const found = Array.isArray(list)
    ? (list as unknown[]).find((each): each is Mapping => isObject(each) && each['name'] === name)
    : undefined;
  const body = found?.[key];
  if (!isObject(body)) throw invalid(`The kubeconfig ${clean(path)} has no ${key} named "${clean(name)}".`);
  return body;
}

async function readMaterial(part: Mapping, field: string, path: string): Promise<string | undefined> {
  const data = textOf(part[`${field}-data`]);
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
  const file = textOf(part[field]);
  return file === undefined ? undefined : readTextFile(beside(path, file));
}

function beside(path: string, file: string): string {
  return isAbsolute(file) ? file : join(dirname(path), file);
}

function parseServer(text: string): URL {
  const [fault] = serverUrlFaults(text);
  if (fault === undefined && /^https:/i.test(text)) return new URL(text);
  const why = fault === undefined || fault === 'scheme' ? 'is no https:// URL' : urlFaults[fault];
  throw invalid(`The API server's address ${shown(text)} ${why}.`);
}

function readToken(text: string, path: string, hint?: string): string {
  const token = text.trim();
  // What a header can carry; the rest of the text stays out of the message.
  if (!/^[\x21-\x7e]{1,65536}$/.test(token))
    throw invalid(`There is no token in ${clean(path)}.`, hint === undefined ? {} : { hint });
  return token;
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function invalid(message: string, details: { hint?: string; cause?: unknown } = {}): KleisError {
  return new KleisError('config_invalid', message, details);
}

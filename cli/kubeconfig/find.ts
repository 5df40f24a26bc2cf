import { isObject } from '../../shared/json.ts';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { storageError } from '../files/storage-error.ts';
import { clean, shown } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { ExecCluster } from './cluster-identity.ts';
import { bodyKey, type Mapping } from './document.ts';
import { extensionName, type KleisExec, readExec } from './entry.ts';
import { type Kubeconfig, type KubeconfigEntry, blankHint, kubeconfigSources, loadKubeconfig } from './load.ts';

interface FoundParts {
  readonly context: string;
  /** Of the context, where it names one. */
  readonly namespace: string | undefined;
  /** What kubectl would tell a plugin, also where the entry does not ask it to. */
  readonly cluster: ExecCluster;
}

/** What a context leads to, however its user signs in. */
export interface FoundContext extends FoundParts {
  readonly user: KubeconfigEntry;
  readonly clusterName: string;
  readonly kubeconfig: Kubeconfig;
}

export interface FoundEntry extends FoundParts, KleisExec {
  readonly user: string;
  /** As it stands in the user entry. */
  readonly exec: Mapping;
  /** The file that the user entry is in. */
  readonly file: string;
}

export interface ContextRequest {
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly loaded?: Kubeconfig | undefined;
}

/**
 * The entry that `kubectl --context NAME` (or the current context) would run Kleis with.
 *
 * @throws KleisError `kubeconfig_invalid` if there is no such context, it leads nowhere, or its user signs in otherwise
 */
export async function findEntry(request: ContextRequest, deps: Pick<Deps, 'env' | 'platform'>): Promise<FoundEntry> {
  const { user, kubeconfig, cluster, ...found } = await locate(request, deps);
  const exec = readExec(user.body);
  if (exec === undefined) {
    throw new KleisError(
      'kubeconfig_invalid',
      `The user "${clean(user.name)}" of the context "${clean(found.context)}" does not sign in with Kleis.`,
      {
        hint: `Let it, with \`kleis kubeconfig add\`, or name another context. ${known(kubeconfig, 'contexts')}`,
      },
    );
  }
  return {
    ...exec,
    ...found,
    user: user.name,
    exec: user.body['exec'] as Mapping,
    cluster: await execCluster(cluster),
    file: user.file.path,
  };
}

/**
 * What `kubectl --context NAME` (or the current context) would use.
 *
 * @throws KleisError `kubeconfig_invalid` if there is no such context, or it leads nowhere
 */
export async function findContext(
  request: ContextRequest,
  deps: Pick<Deps, 'env' | 'platform'>,
): Promise<FoundContext> {
  const { cluster, ...found } = await locate(request, deps);
  return { ...found, clusterName: cluster.name, cluster: await execCluster(cluster) };
}

async function locate(request: ContextRequest, deps: Pick<Deps, 'env' | 'platform'>) {
  const sources = kubeconfigSources(request.kubeconfig, deps);
  const kubeconfig = request.loaded ?? (await loadKubeconfig(sources));
  const where = sources.paths.map((path) => shown(path, 400)).join(', ');
  if (!kubeconfig.files.some((file) => file.exists)) {
    throw new KleisError('kubeconfig_invalid', `There is no kubeconfig: ${where} does not exist.`, {
      hint: `${blankHint(sources)}Write one with \`kleis kubeconfig add\`, or name it with --kubeconfig.`,
    });
  }
  const name = request.context ?? kubeconfig.currentContext;
  if (name === '') {
    throw new KleisError('kubeconfig_invalid', `${where} has no current context.`, {
      hint: `${blankHint(sources)}Name a context with --context. ${known(kubeconfig, 'contexts')}`,
    });
  }
  const context = contextNamed(kubeconfig, name, blankHint(sources));
  const user = follow(kubeconfig, context, 'users');
  const cluster = follow(kubeconfig, context, 'clusters');
  const { namespace } = context.body;
  return {
    context: name,
    namespace: typeof namespace === 'string' && namespace !== '' ? namespace : undefined,
    user,
    cluster,
    kubeconfig,
  };
}

/** @throws KleisError `kubeconfig_invalid` if there is none; its hint, with `blank` before it, says which there are */
export function contextNamed(kubeconfig: Kubeconfig, name: string, blank = ''): KubeconfigEntry {
  const context = kubeconfig.entries.contexts.get(name);
  if (context !== undefined) return context;
  const where = kubeconfig.files.map(({ path }) => shown(path, 400)).join(', ');
  const quoted = shown(name).startsWith('"') ? shown(name) : `"${shown(name)}"`;
  throw new KleisError('kubeconfig_invalid', `There is no context ${quoted} in ${where}.`, {
    hint: `${blank}${known(kubeconfig, 'contexts')}`,
  });
}

function follow(kubeconfig: Kubeconfig, context: KubeconfigEntry, section: 'users' | 'clusters'): KubeconfigEntry {
  const kind = bodyKey(section);
  const place = context.file.place('contexts', context.index, 'context', kind);
  const at = `${clean(context.file.path, 400)}:${place}`;
  const name = context.body[kind];
  if (typeof name !== 'string' || name === '') {
    throw new KleisError('kubeconfig_invalid', `${at}: the context "${clean(context.name)}" names no ${kind}.`);
  }
  const entry = kubeconfig.entries[section].get(name);
  if (entry !== undefined) return entry;
  throw new KleisError(
    'kubeconfig_invalid',
    `${at}: the context "${clean(context.name)}" names the ${kind} "${clean(name)}", which does not exist.`,
    {
      hint: known(kubeconfig, section),
    },
  );
}

/** What kubectl tells a plugin of a cluster. Throws `kubeconfig_invalid`. */
export async function execCluster({ name, body, file, index }: KubeconfigEntry): Promise<ExecCluster> {
  const fault = (key: string, what: string) =>
    new KleisError(
      'kubeconfig_invalid',
      `${clean(file.path, 400)}:${file.place('clusters', index, 'cluster', key)}: ${what}.`,
    );
  const text = (key: string) => {
    const value = body[key] ?? undefined;
    if (value !== undefined && typeof value !== 'string')
      throw fault(key, `${key} of the cluster "${clean(name)}" must be text`);
    return value === '' ? undefined : value;
  };
  const server = text('server');
  if (server === undefined) throw fault('server', `the cluster "${clean(name)}" has no server`);
  const tlsServerName = text('tls-server-name');
  const proxyUrl = text('proxy-url');
  let data = text('certificate-authority-data');
  const path = text('certificate-authority');
  if (data === undefined && path !== undefined) {
    // Relative to the file that says so, as for kubectl.
    const bytes = await readFile(resolve(dirname(file.path), path)).catch((error: unknown) => {
      throw fault('certificate-authority', storageError(error, 'read', path).message.replace(/\.$/, ''));
    });
    data = bytes.toString('base64');
  }
  const config = extensionOf(body);
  return {
    server,
    ...(tlsServerName !== undefined && { 'tls-server-name': tlsServerName }),
    ...(body['insecure-skip-tls-verify'] === true && { 'insecure-skip-tls-verify': true }),
    ...(data !== undefined && { 'certificate-authority-data': data }),
    ...(proxyUrl !== undefined && { 'proxy-url': proxyUrl }),
    ...(body['disable-compression'] === true && { 'disable-compression': true }),
    ...(config !== undefined && { config }),
  };
}

/** What the plugin gets as `spec.cluster.config`. */
export function extensionOf(cluster: Mapping): unknown {
  const extensions: unknown[] = Array.isArray(cluster['extensions']) ? cluster['extensions'] : [];
  return extensions.filter(isObject).find((each) => each['name'] === extensionName)?.['extension'];
}

/** Which there are, for a person who looks for one: cleaned and not too many. */
export function known(kubeconfig: Kubeconfig, section: 'contexts' | 'users' | 'clusters'): string {
  const names = [...kubeconfig.entries[section].keys()].toSorted().map((name) => clean(name, 80));
  if (names.length === 0) return `There are no ${section} in it.`;
  const more = names.length > 20 ? `, and ${names.length - 20} more` : '';
  return `There ${names.length === 1 ? 'is' : 'are'}: ${names.slice(0, 20).join(', ')}${more}.`;
}

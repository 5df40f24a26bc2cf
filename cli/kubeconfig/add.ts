import { isDeepStrictEqual } from 'node:util';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { withoutPassword } from '../../shared/net/proxy.ts';
import { clean } from '../../shared/text.ts';
import { askYesNo } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { bodyKey, type Mapping, type Section, sections } from './document.ts';
import { editKubeconfig } from './edit.ts';
import { checkCluster, checkName, checkPluginHearsOf } from './cluster-fields.ts';
import { buildCluster, buildContext, buildUser, type ClusterFields } from './entry.ts';
import { known } from './find.ts';
import { type Kubeconfig, type KubeconfigFile, blankHint, kubeconfigSources, loadKubeconfig } from './load.ts';
import { withLocks } from './lock.ts';
import { printBlock } from './print.ts';
import { followLinks, replaceKubeconfig } from './write.ts';

export interface AddRequest {
  /** Of the context; the cluster is called the same and the user `kleis-NAME` if nothing else is said. */
  readonly name: string;
  readonly userName?: string | undefined;
  readonly clusterName?: string | undefined;
  /** https. Not needed if the cluster is in the kubeconfig already. */
  readonly server?: string | undefined;
  /** A PEM file, whose text is put into the kubeconfig. */
  readonly clusterCertificateAuthority?: string | undefined;
  readonly tlsServerName?: string | undefined;
  readonly namespace?: string | undefined;
  /** What the credential plugin is to be run with, as it stands in the file: flags that differ from the default, and only those. */
  readonly args: readonly string[];
  /** Audience, scope, resource and grant of this cluster alone: they go to the cluster entry instead of the user's. */
  readonly clusterExtension?: Readonly<Record<string, unknown>> | undefined;
  readonly kubeconfig?: string | undefined;
  readonly dryRun?: boolean | undefined;
  /** Replace entries of the same names without asking. */
  readonly yes?: boolean | undefined;
  /** Make it the current context, also if there is another. */
  readonly current?: boolean | undefined;
}

export interface AddResult {
  /** `declined`: the person did not want an entry to be replaced; nothing was changed. */
  readonly outcome: 'written' | 'unchanged' | 'declined' | 'dry-run';
  readonly context: string;
  readonly cluster: string;
  readonly user: string;
  readonly changes: readonly Change[];
}

export interface Change {
  readonly what: ReturnType<typeof bodyKey> | 'current-context';
  readonly name: string;
  readonly file: string;
  /** Undefined: it is new. */
  readonly before: Mapping | string | undefined;
  readonly after: Mapping | string;
}

interface Wanted {
  readonly names: Readonly<Record<Section, string>>;
  readonly cluster: ClusterFields;
  readonly namespace: string | undefined;
  readonly args: readonly string[];
  readonly current: boolean;
}

interface Plan {
  readonly changes: readonly Change[];
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** The three entries as they are to be, as a kubeconfig of its own. */
  readonly fragment: Mapping;
  readonly cluster: Mapping;
  /** The file that the cluster is, or will be, in. */
  readonly clusterFile: string;
}

/**
 * Writes cluster, user and context into the kubeconfig, each where kubectl would: an entry that exists in the file it
 * is in, a new one in the first file that exists. Everything else stays byte for byte the same.
 *
 * @throws KleisError `usage`, `config_invalid` (the certificate), `kubeconfig_invalid`, `claim_held` (locked),
 *   `storage_unavailable`; nothing was changed then, unless several files were to be written and the last ones failed
 */
export async function addEntries(request: AddRequest, deps: Deps): Promise<AddResult> {
  const wanted = await check(request);
  const sources = kubeconfigSources(request.kubeconfig, deps);
  const result = (outcome: AddResult['outcome'], changes: readonly Change[]): AddResult => {
    const { contexts: context, clusters: cluster, users: user } = wanted.names;
    return { outcome, context, cluster, user, changes };
  };
  const blank = blankHint(sources);
  if (blank !== '')
    throw new KleisError('usage', `${blank}Nothing was written.`, { hint: 'Correct KUBECONFIG or --kubeconfig.' });
  let agreedTo: readonly Change[] = [];
  for (;;) {
    // A moment longer than for reading alone: whoever writes now must be done before we can.
    const plan = planChanges(await loadKubeconfig(sources, 2000), wanted, deps.platform);
    await checkPluginHearsOf(plan.cluster, wanted.names.clusters, plan.clusterFile);
    if (request.dryRun === true) {
      warnInsecure(plan, wanted.names.clusters, deps);
      deps.stdout.write(printFragment(plan));
      return result('dry-run', plan.changes);
    }
    if (plan.changes.length === 0) return result('unchanged', []);
    const replaced = plan.changes.filter((change) => change.what !== 'current-context' && change.before !== undefined);
    if (request.yes !== true && !isDeepStrictEqual(replaced, agreedTo)) {
      if (!(await agrees(replaced, deps))) {
        return result('declined', []);
      }
      agreedTo = replaced;
    }
    if (await write(plan)) {
      warnInsecure(plan, wanted.names.clusters, deps);
      return result('written', plan.changes);
    }
    deps.signal.throwIfAborted();
  }

  /** False if what was planned is no longer what would be planned: somebody else wrote meanwhile. */
  async function write(plan: Plan): Promise<boolean> {
    const paths = plan.files.map((file) => file.path);
    // Under the name that is in KUBECONFIG, which kubectl locks, and under that of the file which really changes.
    const targets = new Map(await Promise.all(paths.map(async (path) => [path, await followLinks(path)] as const)));
    return withLocks([...targets.keys(), ...targets.values()], deps, async () => {
      const now = planChanges(await loadKubeconfig(sources, 0), wanted, deps.platform);
      if (!isDeepStrictEqual(now.changes, plan.changes)) return false;
      for (const { path, text } of now.files) await replaceKubeconfig(targets.get(path) ?? path, text);
      return true;
    });
  }
}

async function check(request: AddRequest): Promise<Wanted> {
  const name = checkName('The name', request.name);
  const { namespace, ...cluster } = await checkCluster(request);
  return {
    names: {
      contexts: name,
      clusters: checkName('--cluster', request.clusterName ?? name),
      users: checkName('--user', request.userName ?? `kleis-${name}`),
    },
    cluster: {
      ...cluster,
      extension: request.clusterExtension === undefined ? undefined : { ...request.clusterExtension },
    },
    namespace,
    args: request.args,
    current: request.current === true,
  };
}

function planChanges(kubeconfig: Kubeconfig, wanted: Wanted, platform: NodeJS.Platform): Plan {
  const { names } = wanted;
  const old = (section: Section) => kubeconfig.entries[section].get(names[section]);
  if (wanted.cluster.server === undefined && old('clusters') === undefined) {
    throw new KleisError(
      'usage',
      `There is no cluster "${clean(names.clusters)}" in the kubeconfig, and no --server to add it with.`,
      {
        hint: `Give --server URL, or name a cluster with --cluster. ${known(kubeconfig, 'clusters')}`,
      },
    );
  }
  const body = (section: Section) => old(section)?.body ?? {};
  const after: Readonly<Record<Section, Mapping>> = {
    clusters: buildCluster(wanted.cluster, body('clusters')),
    users: buildUser(wanted.args, body('users'), platform),
    contexts: buildContext(
      { cluster: names.clusters, user: names.users, namespace: wanted.namespace },
      body('contexts'),
    ),
  };

  const changes: Change[] = [];
  const values = new Map<KubeconfigFile, Mapping>();
  const change = (file: KubeconfigFile, edit: (value: Mapping) => Mapping) => {
    // kubectl takes a file without these two for a kubeconfig; other programs do not.
    const start = Object.keys(file.value).length === 0 ? { apiVersion: 'v1', kind: 'Config' } : file.value;
    values.set(file, edit(values.get(file) ?? start));
  };
  for (const section of sections) {
    const existing = old(section);
    if (existing !== undefined && isDeepStrictEqual(existing.body, after[section])) continue;
    const file = existing?.file ?? kubeconfig.defaultFile;
    change(file, (value) => withEntry(value, section, names[section], existing?.index, after[section]));
    changes.push({
      what: bodyKey(section),
      name: names[section],
      file: file.path,
      before: existing?.body,
      after: after[section],
    });
  }
  const current = kubeconfig.currentContext;
  if (current !== names.contexts && (wanted.current || current === '')) {
    const file = kubeconfig.defaultFile;
    change(file, (value) => ({ ...value, 'current-context': names.contexts }));
    changes.push({
      what: 'current-context',
      name: names.contexts,
      file: file.path,
      before: current === '' ? undefined : current,
      after: names.contexts,
    });
  }
  return {
    changes,
    files: [...values].map(([file, value]) => ({ path: file.path, text: editKubeconfig(file, value, file.path) })),
    cluster: after.clusters,
    clusterFile: (old('clusters')?.file ?? kubeconfig.defaultFile).path,
    fragment: {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ cluster: fitToShow(after.clusters), name: names.clusters }],
      contexts: [{ context: after.contexts, name: names.contexts }],
      users: [{ name: names.users, user: after.users }],
    },
  };
}

function withEntry(value: Mapping, section: Section, name: string, index: number | undefined, body: Mapping): Mapping {
  const before: unknown = value[section];
  const list: unknown[] = Array.isArray(before) ? [...before] : [];
  const key = bodyKey(section);
  // As kubectl sorts them.
  if (index === undefined) list.push(section === 'users' ? { name, [key]: body } : { [key]: body, name });
  else list[index] = { ...mappingOf(list[index]), [key]: body };
  return { ...value, [section]: list };
}

function mappingOf(value: unknown): Mapping {
  return isObject(value) ? value : {};
}

/** With the password of its proxy left out: the terminal is not where it is kept. */
function fitToShow(cluster: Mapping): Mapping {
  const { 'proxy-url': proxy } = cluster;
  return typeof proxy === 'string' ? { ...cluster, 'proxy-url': withoutPassword(proxy) } : cluster;
}

function warnInsecure({ cluster }: Plan, name: string, deps: Deps): void {
  if (cluster['insecure-skip-tls-verify'] !== true) return;
  deps.report.warn(
    `The cluster "${clean(name)}" has insecure-skip-tls-verify: whoever is between you and it gets your tokens. ` +
      'Give --cluster-certificate-authority FILE.',
  );
}

function printFragment({ changes, fragment }: Plan): string {
  const notes = changes.length === 0 ? ['Nothing to change.'] : changes.map((change) => describe(change));
  return `${[...notes.map((note) => `# ${note}`), ...printBlock(fragment, { listIndent: 0 })].join('\n')}\n`;
}

function describe({ what, name, file, before }: Change): string {
  const where = clean(file, 400);
  if (what === 'current-context') return `Would make "${clean(name)}" the current context in ${where}.`;
  return `Would ${before === undefined ? 'add' : 'change'} the ${what} "${clean(name)}" in ${where}.`;
}

/**
 * Asks before something is replaced; true if nothing is.
 *
 * @throws KleisError `usage` where nobody can be asked
 */
async function agrees(replaced: readonly Change[], deps: Deps): Promise<boolean> {
  if (replaced.length === 0) return true;
  const list = replaced.map(
    (change) => `the ${change.what} "${clean(change.name)}" in ${clean(change.file, 400)} (${differences(change)})`,
  );
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) {
    throw new KleisError('usage', `This would change ${list.join(' and ')}, and there is no terminal to ask on.`, {
      hint: 'Pass --yes to replace what is there, or give other names. Nothing was changed.',
    });
  }
  for (const line of list) deps.report.info(`This changes ${line}.`);
  return askYesNo('Replace?', deps);
}

/** Which fields; not what is in them, since it may be a token. The server is worth reading, however. */
function differences({ before, after }: Change): string {
  const [old, next] = [mappingOf(before), mappingOf(after)];
  const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])].filter(
    (key) => !isDeepStrictEqual(old[key], next[key]),
  );
  return keys
    .map((key) => {
      const name = clean(key, 60);
      if (key === 'server' && old[key] !== undefined) return `server: ${clean(old[key])} → ${clean(next[key])}`;
      if (!Object.hasOwn(next, key)) return `${name} is removed`;
      return Object.hasOwn(old, key) ? `${name} changes` : `${name} is added`;
    })
    .join(', ');
}

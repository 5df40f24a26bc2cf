import { KleisError } from '../../shared/errors.ts';
import { withoutPassword } from '../../shared/net/proxy.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import {
  type ChangeOptions,
  type Changed,
  changeKubeconfig,
  describeChange,
  differences,
  type Plan,
  PlanBuilder,
} from './change.ts';
import { checkCluster, checkName, checkPluginHearsOf, type ClusterFlags } from './cluster-fields.ts';
import type { ExecCluster } from './cluster-identity.ts';
import { type Mapping, type Section, textOf } from './document.ts';
import { buildCluster, buildContext, buildTokenUser, buildUser, type ClusterFields } from './entry.ts';
import { execCluster, known } from './find.ts';
import { type Kubeconfig, kubeconfigSources, loadKubeconfig } from './load.ts';
import { printBlock } from './print.ts';

/** One context as a person asks for it. */
export interface EntryRequest extends ClusterFlags {
  /** Of the context; the cluster is called the same and the user `kleis-NAME` if nothing else is said. */
  readonly name: string;
  readonly userName?: string | undefined;
  readonly clusterName?: string | undefined;
  /** Flags that differ from the default, and only those. */
  readonly args: readonly string[];
  /** Audience, scope, resource and grant of this cluster alone: they go to the cluster entry instead of the user's. */
  readonly clusterExtension?: Mapping | undefined;
}

/** A cluster, a user and a context, checked. */
export interface WantedEntry {
  readonly names: Readonly<Record<Section, string>>;
  readonly cluster: ClusterFields;
  readonly namespace: string | undefined;
  /** What the credential plugin is to be run with, as it stands in the file. */
  readonly args: readonly string[];
  /** In place of a plugin. */
  readonly token?: Secret;
}

/** @throws KleisError `usage`, `config_invalid` (the certificate) */
export async function checkEntry(request: EntryRequest): Promise<WantedEntry> {
  const name = checkName('The name', request.name);
  const { namespace, ...cluster } = await checkCluster(request);
  return {
    names: {
      contexts: name,
      clusters: checkName('--cluster', request.clusterName ?? name),
      users: checkName('--user', request.userName ?? `kleis-${name}`),
    },
    cluster: { ...cluster, extension: request.clusterExtension },
    namespace,
    args: request.args,
  };
}

/**
 * The cluster of an entry as it is to be, as kubectl will tell a plugin of it. Throws `usage` for one that nobody
 * described, and `kubeconfig_invalid`.
 */
export async function clusterToBe(
  { names, cluster }: WantedEntry,
  explicit: string | undefined,
  deps: Pick<Deps, 'env' | 'platform'>,
): Promise<ExecCluster> {
  const kubeconfig = await loadKubeconfig(kubeconfigSources(explicit, deps));
  const before = kubeconfig.entries.clusters.get(names.clusters);
  if (cluster.server === undefined && before === undefined) throw noSuchCluster(names.clusters, kubeconfig);
  const { file = kubeconfig.defaultFile, index = 0 } = before ?? {};
  return execCluster({ name: names.clusters, body: buildCluster(cluster, before?.body ?? {}), file, index });
}

export interface AddOptions extends ChangeOptions {
  /** The context to make the current one, also if there is another. */
  readonly current?: string | undefined;
  /** Others chose the names: `yes` is for the entries of these contexts, and changes nothing that another context uses. */
  readonly namedByOthers?: boolean | undefined;
}

interface AddPlan extends Plan {
  /** The entries as they are to be, as a kubeconfig of its own. */
  readonly fragment: Mapping;
  readonly clusters: ReadonlyMap<string, Mapping>;
}

/**
 * Writes clusters, users and contexts into the kubeconfig, each where kubectl would: an entry that exists in the file it
 * is in, a new one in the first file that exists. Everything else stays byte for byte the same. A kubeconfig without a
 * current context gets the first of these. Throws as `changeKubeconfig`, and `usage` for a cluster that nobody described.
 */
export async function addEntries(
  entries: readonly WantedEntry[],
  options: AddOptions,
  deps: Deps,
): Promise<Changed<AddPlan>> {
  const { current, yes, dryRun, namedByOthers } = options;
  const plan = async (kubeconfig: Kubeconfig) => {
    const planned = await planEntries(kubeconfig, entries, current, deps.platform);
    if (namedByOthers === true && yes === true && dryRun !== true) refuseSideEffects(planned, entries, kubeconfig);
    return planned;
  };
  const changed = await changeKubeconfig(options, plan, deps);
  const { outcome } = changed;
  if (outcome === 'dry-run' || outcome === 'written') warnInsecure(changed.plan, deps);
  if (outcome === 'dry-run') deps.stdout.write(printFragment(changed.plan));
  return changed;
}

async function planEntries(
  kubeconfig: Kubeconfig,
  entries: readonly WantedEntry[],
  current: string | undefined,
  platform: NodeJS.Platform,
): Promise<AddPlan> {
  // Several contexts can share a cluster or a user: each builds on what the one before made of it.
  const after: Readonly<Record<Section, Map<string, Mapping>>> = {
    clusters: new Map(),
    users: new Map(),
    contexts: new Map(),
  };
  const old = (section: Section, name: string) =>
    after[section].get(name) ?? kubeconfig.entries[section].get(name)?.body;
  for (const { names, cluster, args, token, namespace } of entries) {
    const { clusters, users, contexts } = names;
    const place = old('clusters', clusters);
    if (cluster.server === undefined && place === undefined) throw noSuchCluster(clusters, kubeconfig);
    after.clusters.set(clusters, buildCluster(cluster, place ?? {}));
    const before = old('users', users) ?? {};
    after.users.set(users, token === undefined ? buildUser(args, before, platform) : buildTokenUser(token, before));
    const context = { cluster: clusters, user: users, namespace };
    after.contexts.set(contexts, buildContext(context, old('contexts', contexts) ?? {}));
  }

  const plan = new PlanBuilder(kubeconfig);
  for (const [name, body] of after.clusters) {
    const file = kubeconfig.entries.clusters.get(name)?.file ?? kubeconfig.defaultFile;
    await checkPluginHearsOf(body, name, file.path);
    plan.set('clusters', name, body);
  }
  for (const [name, body] of after.users) plan.set('users', name, body);
  for (const [name, body] of after.contexts) plan.set('contexts', name, body);
  const wanted = current ?? (kubeconfig.currentContext === '' ? entries[0]?.names.contexts : undefined);
  if (wanted !== undefined) plan.setCurrent(wanted);
  return {
    changes: plan.changes,
    values: plan.values,
    clusters: after.clusters,
    fragment: {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: Array.from(after.clusters, ([name, cluster]) => ({ cluster: fitToShow(cluster), name })),
      contexts: Array.from(after.contexts, ([name, context]) => ({ context, name })),
      users: Array.from(after.users, ([name, user]) => ({ name, user })),
    },
  };
}

/** Throws `usage` where a context that is not written would lead elsewhere from then on, or as somebody else. */
function refuseSideEffects({ changes }: Plan, entries: readonly WantedEntry[], kubeconfig: Kubeconfig): void {
  const written = new Set(entries.map(({ names }) => names.contexts));
  const replaced = changes.filter(({ before }) => before !== undefined);
  for (const { name, body } of kubeconfig.entries.contexts.values()) {
    const found = replaced.find((change) => change.what !== 'context' && textOf(body[change.what]) === change.name);
    if (written.has(name) || found === undefined) continue;
    throw new KleisError(
      'usage',
      `This would change the ${found.what} "${clean(found.name)}", which your context "${clean(name)}" uses too${differences(found)}.`,
      { hint: 'Run it in a terminal without --yes, where it asks you, or remove that context. Nothing was changed.' },
    );
  }
}

function noSuchCluster(name: string, kubeconfig: Kubeconfig): KleisError {
  return new KleisError(
    'usage',
    `There is no cluster "${clean(name)}" in the kubeconfig, and no --server to add it with.`,
    { hint: `Give --server URL, or name a cluster with --cluster. ${known(kubeconfig, 'clusters')}` },
  );
}

/** With the password of its proxy left out: the terminal is not where it is kept. */
function fitToShow(cluster: Mapping): Mapping {
  const { 'proxy-url': proxy } = cluster;
  return typeof proxy === 'string' ? { ...cluster, 'proxy-url': withoutPassword(proxy) } : cluster;
}

function warnInsecure({ clusters }: AddPlan, deps: Deps): void {
  for (const [name, cluster] of clusters) {
    if (cluster['insecure-skip-tls-verify'] !== true) continue;
    deps.report.warn(
      `The cluster "${clean(name)}" has insecure-skip-tls-verify: whoever is between you and it gets your tokens. ` +
        'Give --cluster-certificate-authority FILE.',
    );
  }
}

function printFragment({ changes, fragment }: AddPlan): string {
  const notes = changes.length === 0 ? ['Nothing to change.'] : changes.map((change) => describeChange(change));
  return `${[...notes.map((note) => `# ${note}`), ...printBlock(fragment, { listIndent: 0 })].join('\n')}\n`;
}

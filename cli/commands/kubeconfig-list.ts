import { KleisError } from '../../shared/errors.ts';
import { formatJson, isObject } from '../../shared/json.ts';
import { clean, shown } from '../../shared/text.ts';
import { textOf } from '../kubeconfig/document.ts';
import { extensionOf } from '../kubeconfig/find.ts';
import {
  blankHint,
  type Kubeconfig,
  type KubeconfigEntry,
  kubeconfigSources,
  loadKubeconfig,
} from '../kubeconfig/load.ts';
import { methodOf, pluginName } from '../kubeconfig/method.ts';
import type { KubeconfigListFlags } from '../settings/flags.ts';
import { readEntryFlags } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';

/** How a context signs in, as scripts read it. Nothing in it is secret. */
interface SignIn {
  readonly method: string;
  /** Of a plugin or an auth-provider. */
  readonly name?: string;
  readonly issuer?: string;
  readonly identity?: string;
  readonly broker?: string;
  readonly grant?: string;
}

interface Row {
  readonly name: string;
  readonly current: boolean;
  readonly cluster: string;
  /** Null: the cluster does not exist, or has none. */
  readonly server: string | null;
  readonly user: string;
  readonly namespace: string | null;
  readonly signIn: SignIn;
  readonly file: string;
}

/** `kleis kubeconfig list`: the contexts of all files, as kubectl sees them together. */
export async function kubeconfigList(flags: KubeconfigListFlags, deps: Deps): Promise<void> {
  const sources = kubeconfigSources(flags.kubeconfig, deps);
  const kubeconfig = await loadKubeconfig(sources);
  const where = sources.paths.map((path) => shown(path, 400)).join(', ');
  if (sources.explicit && !kubeconfig.files.some(({ exists }) => exists)) {
    throw new KleisError('kubeconfig_invalid', `There is no kubeconfig: ${where} does not exist.`);
  }
  const rows = [...kubeconfig.entries.contexts.values()].map((context) => toRow(context, kubeconfig));
  if (flags.output === 'json') {
    const all = { currentContext: kubeconfig.currentContext || null, contexts: rows };
    deps.stdout.write(formatJson(all));
    return;
  }
  if (flags.output === 'name') return writeNames(rows, deps);
  if (rows.length === 0) {
    deps.report.info(`${blankHint(sources)}There is no context in ${where}. \`kleis kubeconfig add\` writes one.`);
    return;
  }
  const head = ['CURRENT', 'NAME', 'CLUSTER', 'USER', 'SIGN-IN', 'NAMESPACE'];
  printTable(
    head,
    rows.map((row) => toCells(row)),
    deps,
  );
  const { currentContext } = kubeconfig;
  if (currentContext !== '' && !kubeconfig.entries.contexts.has(currentContext)) {
    deps.report.warn(`The current context is "${clean(currentContext)}", which does not exist.`);
  }
}

function toRow({ name, body, file }: KubeconfigEntry, { entries, currentContext }: Kubeconfig): Row {
  const [cluster, user] = [textOf(body['cluster']), textOf(body['user'])];
  const place = entries.clusters.get(cluster)?.body;
  const server = textOf(place?.['server']);
  const who = entries.users.get(user)?.body;
  return {
    name,
    current: name === currentContext,
    cluster,
    server: server === '' ? null : withoutUser(server),
    user,
    namespace: textOf(body['namespace']) || null,
    signIn: who === undefined ? { method: 'nothing' } : signInOf(who, place),
    file: file.path,
  };
}

function signInOf(user: Readonly<Record<string, unknown>>, cluster: Readonly<Record<string, unknown>> = {}): SignIn {
  const method = methodOf(user);
  if (method.kind === 'plugin') return { method: 'plugin', name: pluginName(method.plugin) };
  if (method.kind === 'auth-provider') return { method: 'auth-provider', name: method.name };
  if (method.kind !== 'kleis') return { method: method.kind };
  const { issuerUrl, identity, broker, grant } = readEntryFlags(method.exec.args) ?? {};
  const ours = extensionOf(cluster);
  const wanted = (isObject(ours) ? textOf(ours['grant']) : '') || grant;
  return {
    method: 'kleis',
    ...(issuerUrl !== undefined && { issuer: withoutUser(issuerUrl) }),
    ...(identity !== undefined && { identity }),
    ...(broker !== undefined && { broker: withoutUser(broker) }),
    ...(wanted !== undefined && { grant: wanted }),
  };
}

/** Of an address that others wrote: a password in it is nobody's to read here. */
function withoutUser(url: string): string {
  return url.replace(/:\/\/[^/?#]*@/, '://…@');
}

function toCells({ name, current, cluster, server, user, namespace, signIn }: Row): string[] {
  return [
    current ? '*' : '',
    name,
    server === null ? `${cluster || '-'} (missing)` : bare(server),
    user || '-',
    describe(signIn),
    namespace ?? '',
  ].map((cell) => clean(cell, 400));
}

/** Who vouches, as short as a table wants it. */
function describe({ method, name, issuer, identity, broker, grant }: SignIn): string {
  if (method !== 'kleis') return name === undefined ? method : `${method} ${name}`;
  const who = issuer === undefined ? (identity ?? 'the job') : bare(issuer);
  return broker === undefined ? `Kleis: ${who}` : `Kleis: ${grant ?? 'no grant'} at ${bare(broker)}, ${who}`;
}

function bare(url: string): string {
  return url.replace(/^https:\/\//, '').replace(/\/$/, '');
}

function writeNames(rows: readonly Row[], deps: Deps): void {
  for (const { name } of rows) {
    // A line that says another name, or two, would lead a script astray.
    if (clean(name, 1000) === name && name !== '') deps.stdout.write(`${name}\n`);
    else deps.report.warn(`The context ${shown(name)} cannot be said in a line; -o json has it.`);
  }
}

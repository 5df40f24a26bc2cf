import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { openCluster } from '../cluster/client.ts';
import { readVersion } from '../cluster/questions.ts';
import { checkName, checkServer } from '../kubeconfig/cluster-fields.ts';
import { textOf } from '../kubeconfig/document.ts';
import type { ClusterFields } from '../kubeconfig/entry.ts';
import type { Kubeconfig, KubeconfigEntry } from '../kubeconfig/load.ts';
import { methodOf, pluginName } from '../kubeconfig/method.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { readFlags } from '../settings/gather.ts';
import { readEntryFlags } from '../settings/of-context.ts';
import { ask, choose, tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { askServer, type Connect, type Reached, type Untrusted, withScheme } from './reach.ts';

/** Which cluster it is to be, and under which names. */
export interface ChosenCluster {
  readonly context: string;
  readonly name: string;
  readonly fields: ClusterFields;
  /** How its user signs in with Kleis already: what an answer may build on. */
  readonly before: SignInFlags;
}

const asItIs: ClusterFields = {
  server: undefined,
  certificateAuthority: undefined,
  tlsServerName: undefined,
  extension: undefined,
};

/** A context of the kubeconfig, or the address of an API server that answers. Throws as `ask`. */
export async function askCluster(kubeconfig: Kubeconfig, deps: Deps): Promise<ChosenCluster> {
  const connect: Connect<string> = async (server, authority) => {
    const data = authority && Buffer.from(authority).toString('base64');
    const cluster = openCluster({ server, ...(data && { 'certificate-authority-data': data }) }, deps);
    const { status, body } = await cluster.ask({ method: 'GET', path: '/version' });
    return status === 200 ? (readVersion(body)?.text ?? '') : '';
  };
  const contexts = [...kubeconfig.entries.contexts.values()].filter(({ name }) => isShown(name));
  const chosen = await askServer<string, KubeconfigEntry>(
    async (reach) => {
      const check = async (answer: string) => reach(readServer(answer));
      if (contexts.length === 0) return ask({ text: 'The address of the API server (https://…)', check }, deps);
      const choices = contexts.map((value) => ({ name: value.name, more: serverOf(value, kubeconfig), value }));
      const text = 'Which of these, or the address of another API server';
      return choose<KubeconfigEntry | Reached<string> | Untrusted>({ text, choices, other: check }, deps);
    },
    connect,
    deps,
  );
  if ('body' in chosen) return ofContext(chosen, kubeconfig, deps);
  const { address: server, authority, found } = chosen;
  tell(`It answers${found === '' ? '' : `: Kubernetes ${found}`}.`, deps);
  const name = await askName(new URL(server).hostname, deps);
  return { context: name, name, fields: { ...asItIs, server, certificateAuthority: authority }, before: {} };
}

function readServer(answer: string): string {
  if (answer === '') throw new KleisError('usage', 'That was nothing.');
  return checkServer('The address', withScheme(answer));
}

/** What a terminal would not show as it is cannot be chosen by what is seen. */
function isShown(name: string): boolean {
  return name !== '' && clean(name, 500) === name;
}

function serverOf({ body }: KubeconfigEntry, { entries }: Kubeconfig): string {
  return textOf(entries.clusters.get(textOf(body['cluster']))?.body['server']);
}

async function askName(usual: string, deps: Deps): Promise<string> {
  return ask({ text: 'The name of the context', usual, check: (name) => checkName('The name', name) }, deps);
}

async function ofContext(chosen: KubeconfigEntry, kubeconfig: Kubeconfig, deps: Deps): Promise<ChosenCluster> {
  const { entries } = kubeconfig;
  const name = textOf(chosen.body['cluster']);
  if (!entries.clusters.has(name)) {
    throw new KleisError('kubeconfig_invalid', `The context "${clean(chosen.name)}" leads to no cluster.`);
  }
  const method = methodOf(entries.users.get(textOf(chosen.body['user']))?.body ?? {});
  if (method.kind === 'plugin' || method.kind === 'auth-provider') {
    const what = method.kind === 'plugin' ? pluginName(method.plugin) : method.name;
    tell(`It signs in with ${clean(what, 80)} now. kleis kubeconfig migrate takes over what that says.`, deps);
  }
  const before = method.kind === 'kleis' ? usable(readEntryFlags(method.exec.args)) : {};
  return { context: await askName(chosen.name, deps), name, fields: asItIs, before };
}

function usable(flags: SignInFlags = {}): SignInFlags {
  try {
    readFlags(flags);
    return flags;
  } catch {
    return {};
  }
}

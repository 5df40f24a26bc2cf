import { allLeases } from '../../shared/broker-leases.ts';
import type { Candidate, Question } from '../../shared/commands/complete.ts';
import { readAllGrants } from '../broker/admin.ts';
import { connectTo } from '../broker/connection.ts';
import { readDirectory } from '../broker/directory.ts';
import type { AskedBroker } from '../get-token/caller.ts';
import { askWithKept, type KeptCaller } from '../get-token/kept-caller.ts';
import { extensionOf } from '../kubeconfig/find.ts';
import { readExec } from '../kubeconfig/entry.ts';
import { contextNames, type Kubeconfig, kubeconfigSources, loadKubeconfig } from '../kubeconfig/load.ts';
import { describeDifferences } from '../session/differences.ts';
import type { SessionInfo } from '../session/file-format.ts';
import { readPlainArguments } from '../settings/arguments.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { authorityOf, readFlags } from '../settings/gather.ts';
import { loadConfig } from '../settings/person.ts';
import { storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { isObject } from '../../shared/json.ts';
import { nameOf } from '../provider/tokens.ts';
import { shortId, whoOf } from './admin-leases.ts';

/** Milliseconds that a broker has: somebody waits for the cursor. */
const patience = 300;

const maxBody = 4 * 1024 * 1024;

/** What this machine knows of values, at once; a broker only where a token for it is kept. Nobody is asked anything. */
export async function knownValues(question: Question, deps: Deps): Promise<readonly Candidate[]> {
  switch (question.name) {
    case 'context':
    case '--context':
      return plain(await contextNames(deps, question.flags.get('--kubeconfig')));
    case '--issuer-url': {
      const [entries, sessions] = await Promise.all([entryFlags(question, deps), sessionsOf(deps)]);
      return plain([...entries.map(({ issuerUrl }) => issuerUrl), ...sessions.map(({ what }) => what.issuerUrl)]);
    }
    case '--account': {
      const issuer = question.flags.get('--issuer-url');
      const sessions = (await sessionsOf(deps)).filter(({ what }) => (issuer ?? what.issuerUrl) === what.issuerUrl);
      return plain(sessions.map(({ what }) => what.account));
    }
    case '--session':
      return sessionIds(deps);
    case '--broker':
    case '--from': {
      const [entries, { choices }] = await Promise.all([entryFlags(question, deps), loadConfig(deps)]);
      return plain([...entries.map(({ broker }) => broker), ...Object.keys(choices.brokerAudiences ?? {})]);
    }
    case '--grant':
    case '--cluster-grant':
      return grants(question, deps);
    case '--cluster':
      return clusters(question, deps);
    case 'id':
      return question.command === 'kleis admin revoke' ? leases(question, deps) : [];
    default:
      return [];
  }
}

function plain(values: readonly (string | undefined)[]): Candidate[] {
  const said = values.filter((value): value is string => value !== undefined);
  return [...new Set(said)].toSorted().map((value) => ({ value }));
}

async function sessionsOf(deps: Deps): Promise<SessionInfo[]> {
  const store = storeOf(deps, 'auto', true);
  try {
    return (await store.list()).flatMap((entry) => ('info' in entry ? [entry.info] : []));
  } finally {
    await store.close();
  }
}

async function sessionIds(deps: Deps): Promise<Candidate[]> {
  const infos = await sessionsOf(deps);
  const differences = describeDifferences(infos.map((info) => ({ key: info.key, path: '', info })));
  return infos.map(({ key, what, subject }) => {
    const apart = differences.get(key);
    const who = `${nameOf(subject) ?? 'somebody'} at ${what.issuerUrl}`;
    return { value: key.slice(0, 12), description: apart === undefined ? who : `${who} (${apart})` };
  });
}

async function kubeconfigOf({ flags }: Question, deps: Deps): Promise<Kubeconfig> {
  return loadKubeconfig(kubeconfigSources(flags.get('--kubeconfig'), deps), 0);
}

/** What the entries of Kleis say, as far as it can be read. */
async function entryFlags(question: Question, deps: Deps): Promise<SignInFlags[]> {
  const { entries } = await kubeconfigOf(question, deps).catch(() => ({ entries: undefined }));
  return [...(entries?.users.values() ?? [])].flatMap(({ body }) => flagsOf(body) ?? []);
}

function flagsOf(user: Kubeconfig['files'][number]['value']): SignInFlags | undefined {
  const exec = readExec(user);
  return exec && readPlainArguments(exec.args)?.flags;
}

/** The broker that is meant, and what vouches for it: typed, or as an entry of the kubeconfig says. */
async function brokerOf(question: Question, deps: Deps): Promise<AskedBroker | undefined> {
  const { flags } = question;
  const file = flags.get('--broker-certificate-authority');
  const typed = flags.get('--broker') ?? flags.get('--from');
  const known = typed === undefined ? await flagsOfContext(question, deps) : undefined;
  const url = typed ?? known?.broker;
  if (url === undefined) return undefined;
  const entry = known ?? (await entryFlags(question, deps)).find(({ broker }) => broker === url);
  const { broker: checked } = readFlags({ broker: url });
  if (checked === undefined) return undefined;
  return {
    url: checked,
    certificateAuthority: file ?? authorityOf(readFlags(entry ?? {}), 'brokerCertificateAuthority'),
  };
}

async function flagsOfContext(question: Question, deps: Deps): Promise<SignInFlags | undefined> {
  const { entries, currentContext } = await kubeconfigOf(question, deps);
  const context = entries.contexts.get(question.flags.get('--context') ?? currentContext);
  const user = entries.users.get(String(context?.body['user']));
  return user && flagsOf(user.body);
}

async function askBroker<Answer>(
  question: Question,
  deps: Deps,
  ask: (caller: KeptCaller) => Promise<Answer>,
): Promise<Answer | undefined> {
  const broker = await brokerOf(question, deps);
  return broker && askWithKept(broker, patience, deps, ask);
}

/** Of the broker, and of the entries for it. Admins are told of all. */
async function grants(question: Question, deps: Deps): Promise<Candidate[]> {
  const isAdmin = question.command.startsWith('kleis admin ');
  const told = await askBroker(question, deps, async ({ address, token }) =>
    isAdmin ? readAllGrants(address, token) : (await readDirectory(address, token)).grants,
  ).catch(() => undefined);
  const known = told?.map(({ name, cluster }) => ({ value: name, description: cluster })) ?? [];
  const seen = new Set(known.map(({ value }) => value));
  return [...known, ...(await grantsInEntries(question, deps)).filter(({ value }) => !seen.has(value))];
}

async function grantsInEntries(question: Question, deps: Deps): Promise<Candidate[]> {
  const broker = question.flags.get('--broker') ?? question.flags.get('--from');
  const { entries } = await kubeconfigOf(question, deps).catch(() => ({ entries: undefined }));
  const users = [...(entries?.users.values() ?? [])].map(({ body }) => flagsOf(body));
  const ofUsers = users.filter((flags) => (broker ?? flags?.broker) === flags?.broker).map((flags) => flags?.grant);
  const extensions = [...(entries?.clusters.values() ?? [])].map(({ body }) => extensionOf(body));
  const ofClusters = extensions.map((each) =>
    isObject(each) && typeof each['grant'] === 'string' ? each['grant'] : undefined,
  );
  return plain([...ofUsers, ...(broker === undefined ? ofClusters : [])]);
}

/** `kubeconfig add --from URL --cluster`: those of the broker; elsewhere those of the kubeconfig. */
async function clusters(question: Question, deps: Deps): Promise<Candidate[]> {
  if (!question.flags.has('--from')) {
    return plain([...(await kubeconfigOf(question, deps)).entries.clusters.keys()]);
  }
  const told = await askBroker(question, deps, async ({ address, token }) => readDirectory(address, token));
  return (told?.clusters ?? []).map(({ name, server }) => ({ value: name, description: server }));
}

/** Those that can be revoked, by the shortest beginning that no other has; whoever has typed more of it gets all of it. */
async function leases(question: Question, deps: Deps): Promise<Candidate[]> {
  const { flags, current } = question;
  const filter = { state: 'active', grant: flags.get('--grant'), subject: flags.get('--subject') };
  const found = await askBroker(question, deps, async ({ address, token }) =>
    allLeases({ broker: connectTo(address, maxBody), bearer: token }, filter),
  );
  const ids = found?.map(({ id }) => id) ?? [];
  return (found ?? []).map((lease) => {
    const short = lease.id.slice(0, shortId);
    const isShort = current.length <= shortId && ids.filter((id) => id.startsWith(short)).length === 1;
    return { value: isShort ? short : lease.id, description: `${lease.grant}, ${whoOf(lease)}` };
  });
}

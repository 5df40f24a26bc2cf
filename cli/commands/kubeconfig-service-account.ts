import { stat } from 'node:fs/promises';
import { formatDuration, formatTime, parseDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean, shown } from '../../shared/text.ts';
import {
  type Account,
  type AccountToken,
  createEndlessToken,
  mayEverything,
  removeSecret,
  requestToken,
} from '../cluster/account-tokens.ts';
import type { ClusterClient } from '../cluster/client.ts';
import { checkBefore, refuseFaults } from '../doctor/before.ts';
import { openOwnCluster } from '../get-token/own-cluster.ts';
import { platformHere } from '../identity/identity.ts';
import { addEntries, checkEntry, clusterToBe, type WantedEntry } from '../kubeconfig/add.ts';
import type { ExecCluster } from '../kubeconfig/cluster-identity.ts';
import { checkName, checkNamespace } from '../kubeconfig/cluster-fields.ts';
import type { ClusterFields } from '../kubeconfig/entry.ts';
import { findContext, type FoundContext } from '../kubeconfig/find.ts';
import { isOurs, unsafe } from '../files/private-folder.ts';
import { kubeconfigSources, loadKubeconfig } from '../kubeconfig/load.ts';
import { type KubeconfigServiceAccountFlags, type SignInFlags, toArguments } from '../settings/flags.ts';
import { longOf } from '../settings/gather.ts';
import { flagNames } from '../settings/table.ts';
import { loadConfig } from '../settings/person.ts';
import { resolveRequest } from '../settings/sign-in.ts';
import { usage } from '../settings/values.ts';
import { askYesNo, requireTerminal } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { thisProcess } from '../surroundings/process.ts';
import { afterwards, embedAuthorities, filesOf, tellTry, tellUnwritten } from './kubeconfig-add.ts';

const hour = 3_600_000;
/** Milliseconds: a longer life is for who says so. */
const usual = 24 * hour;
/** What an API server makes at least (TokenRequest), and what nobody means. */
const [shortest, longest] = [hour / 6, 8760 * hour];

/** `kleis kubeconfig service-account`: an entry for a tool, through a broker or with a token of its own. */
export async function kubeconfigServiceAccount(
  name: string | undefined,
  flags: KubeconfigServiceAccountFlags,
  deps: Deps,
): Promise<void> {
  if (flags.out === '') throw usage('--out names no file.');
  if (flags.broker !== undefined) return throughBroker(name, flags, deps);
  return withToken(name, flags, deps);
}

async function throughBroker(
  given: string | undefined,
  flags: KubeconfigServiceAccountFlags,
  deps: Deps,
): Promise<void> {
  const { grant, out, dryRun, yes, kubeconfig } = flags;
  refuseFlags('is for a token, and a broker gives the tokens', {
    '--name': flags.name,
    '--duration': flags.duration,
    '--never-expires': flags.neverExpires,
  });
  if (grant === undefined) throw usage('It is not said which grant the tool has.', 'Give --grant NAME.');
  const identity = flags.identity ?? (flags.issuerUrl === undefined ? platformHere(deps.env) : undefined);
  if (identity === undefined || identity === 'sso') {
    throw usage(
      'A tool has an identity of its own, and it is not said which.',
      'Say it with --identity: github, gitlab, kubernetes, file:PATH, env:NAME, client-credentials. For a person: kleis kubeconfig add --from URL.',
    );
  }
  const found = await clusterOf(flags, deps);
  const clusterName = flags.cluster ?? found?.clusterName;
  if (clusterName === undefined) throw usage('It is not said which cluster it is.', 'Give --cluster NAME.');
  const name = given ?? `${grant}@${clusterName}`;
  const typed: SignInFlags = await embedAuthorities({ ...signInFlags(flags), identity });
  const wanted = await checkEntry({ ...flags, name, userName: flags.user, clusterName, args: toArguments(typed) });
  const cluster = await clusterToBe(wanted, kubeconfig, deps);
  const extension = out === undefined ? cluster.config : undefined;
  const settings = resolveRequest(typed, extension, (await loadConfig(deps)).choices);
  if (flags.offline !== true) refuseFaults(await checkBefore(settings, cluster, deps), deps);
  const entry = out === undefined ? wanted : { ...wanted, cluster: standingAlone(cluster) };
  const { outcome, plan } = await addEntries([entry], { kubeconfig: out ?? kubeconfig, dryRun, yes }, deps);
  await afterwards(outcome, settings, deps);
  if (outcome !== 'written') return tellUnwritten(outcome, deps);
  deps.report.info(
    `Wrote the context ${clean(name)} to ${filesOf(plan)}. It holds no secret: the tool asks the broker.`,
  );
  tellTry(name, out, deps);
}

/** Of a context, where none is named that is to be written to. */
async function clusterOf(
  { cluster, server, context, kubeconfig }: KubeconfigServiceAccountFlags,
  deps: Deps,
): Promise<FoundContext | undefined> {
  if (cluster !== undefined || server !== undefined) return undefined;
  return findContext({ context, kubeconfig }, deps);
}

async function withToken(given: string | undefined, flags: KubeconfigServiceAccountFlags, deps: Deps): Promise<void> {
  const { out, dryRun, yes, kubeconfig } = flags;
  const odd = flagNames.find((name) => signInFlags(flags)[name] !== undefined);
  refuseFlags('is for --broker: without one it makes a token with your own credential', {
    ...(odd !== undefined && { [longOf(odd)]: true }),
    '--cluster': flags.cluster,
    '--server': flags.server,
    '--cluster-certificate-authority': flags.clusterCertificateAuthority,
    '--tls-server-name': flags.tlsServerName,
    '--offline': flags.offline,
  });
  const account = readAccount(flags);
  const duration = readDuration(flags);
  const found = await findContext({ context: flags.context, kubeconfig }, deps);
  const name = checkName('The name', given ?? `${account.name}@${found.clusterName}`);
  await refuseReadable(out ?? (await targetOf(name, flags, deps)), deps);
  const place = `kubectl --context ${shellWord(found.context, deps.platform)} -n ${account.namespace}`;
  const entryOf = (token: Secret): WantedEntry => ({
    names: { contexts: name, clusters: found.clusterName, users: checkName('--user', flags.user ?? `kleis-${name}`) },
    cluster: out === undefined ? unchanged : standingAlone(found.cluster),
    namespace: account.namespace,
    args: [],
    token,
  });
  const options = { kubeconfig: out ?? kubeconfig, yes };
  if (dryRun === true) {
    const instead = new Secret('(made when it is written)');
    await addEntries([entryOf(instead)], { ...options, dryRun }, deps);
    return;
  }
  await confirm(duration, account, yes === true, deps);
  const { cluster } = await openOwnCluster(found, { kubeconfig, signIn: true }, deps);
  const takeBack = async (secret: string) => remove(secret, account, { cluster, deps });
  const made =
    duration === undefined
      ? await createEndlessToken(cluster, account, deps, takeBack)
      : await requestToken(cluster, account, duration);
  await keepOrRemove(made, takeBack, async () => {
    await warnOfPower(cluster, made.token, account, deps);
    const { outcome, plan } = await addEntries([entryOf(made.token)], options, deps);
    if (outcome !== 'written') {
      tellUnwritten(outcome, deps);
      return false;
    }
    deps.report.info(`Wrote the context ${clean(name)} to ${filesOf(plan)}. ${endInWords(made, duration, deps)}`);
    if (made.secret !== undefined) {
      deps.report.warn(
        `Whoever has a copy of it is ${account.namespace}/${account.name} until this is run: ${place} delete secret ${made.secret}`,
      );
    }
    tellTry(name, out, deps);
    return true;
  });
}

const unchanged: ClusterFields = {
  server: undefined,
  certificateAuthority: undefined,
  tlsServerName: undefined,
  extension: undefined,
};

/** A cluster entry for a file of its own: with its authority inside, and without what a plugin would be told. */
function standingAlone(cluster: ExecCluster): ClusterFields {
  const data = cluster['certificate-authority-data'];
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new KleisError(
      'kubeconfig_invalid',
      'The cluster says insecure-skip-tls-verify: whoever answers there gets the token.',
      {
        hint: 'Put the certificate authority of the API server in its place.',
      },
    );
  }
  return {
    server: cluster.server,
    certificateAuthority: data === undefined ? undefined : Buffer.from(data, 'base64').toString(),
    tlsServerName: cluster['tls-server-name'],
    proxyUrl: cluster['proxy-url'],
    extension: undefined,
  };
}

function readAccount({ namespace, name }: KubeconfigServiceAccountFlags): Account {
  if (namespace === undefined || name === undefined) {
    throw usage(
      'It is not said whose token the tool has.',
      'Give --broker URL --grant NAME --cluster NAME; or, for a token in the file, --namespace NAMESPACE --name ACCOUNT.',
    );
  }
  // RFC 1123 subdomain, as Kubernetes wants the name of an account.
  if (name.length > 253 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)) {
    throw usage(`--name ${shown(name)} is not the name of a service account.`);
  }
  return { namespace: checkNamespace(namespace), name };
}

/** Milliseconds; undefined: without an end. */
function readDuration({ duration = '1h', neverExpires = false }: KubeconfigServiceAccountFlags): number | undefined {
  if (neverExpires) return undefined;
  const parsed = parseDuration(duration);
  if (parsed !== undefined && parsed >= shortest && parsed <= longest) return parsed;
  throw usage(`--duration ${shown(duration)} is no time from 10m to 8760h.`, 'Give one such as 1h, 90m, 24h.');
}

async function confirm(duration: number | undefined, account: Account, yes: boolean, deps: Deps): Promise<void> {
  if (yes || (duration !== undefined && duration <= usual)) return;
  const whose = `a token of ${account.namespace}/${account.name}`;
  const what =
    duration === undefined
      ? `This makes ${whose} that never ends: every copy of it opens the cluster until its Secret is deleted`
      : `This makes ${whose} that lives for ${formatDuration(duration)}, and nobody can take it back by itself`;
  requireTerminal(what, 'Pass --yes if you mean it, or --duration with 24h at most.', deps);
  deps.report.info(`${what}.`);
  if (await askYesNo('Make it?', deps)) return;
  throw new KleisError('usage', 'No token was made.', { hint: 'Give --duration with 24h at most, or answer y.' });
}

/** A token without an end that nobody has a use for is taken away again. */
async function keepOrRemove(
  { secret }: AccountToken,
  takeBack: (secret: string) => Promise<void>,
  write: () => Promise<boolean>,
): Promise<void> {
  let kept = false;
  try {
    kept = await write();
  } finally {
    if (!kept && secret !== undefined) await takeBack(secret);
  }
}

async function remove(
  secret: string,
  { namespace }: Account,
  { cluster, deps }: { readonly cluster: ClusterClient; readonly deps: Deps },
): Promise<void> {
  const gone = await removeSecret(cluster, namespace, secret).catch(() => false);
  const what = `the Secret ${namespace}/${secret} with its token`;
  if (gone) deps.report.info(`Removed ${what} again.`);
  else {
    const itself = `kubectl -n ${namespace} delete secret ${secret}`;
    deps.report.warn(`Could not remove ${what}, which never ends: remove it yourself, ${itself}`);
  }
}

async function warnOfPower(cluster: ClusterClient, token: Secret, account: Account, deps: Deps): Promise<void> {
  if (!(await mayEverything(cluster, token))) return;
  deps.report.warn(
    `${account.namespace}/${account.name} may do everything in this cluster (cluster-admin): so may whoever gets this token. Give the tool an account with a Role of its own.`,
  );
}

function endInWords({ expiresAt }: AccountToken, asked: number | undefined, { clock }: Deps): string {
  if (expiresAt === undefined || asked === undefined) return 'Its token never ends.';
  const lives = expiresAt - clock.now();
  const end = `Its token ends ${formatTime(expiresAt)}`;
  // A minute for clocks that differ.
  if (lives < asked - 60_000) {
    return `${end}: you asked for ${formatDuration(asked)}, and the API server gives ${formatDuration(Math.ceil(lives / 60_000) * 60_000)}.`;
  }
  return `${end}, in ${formatDuration(Math.round(lives / 60_000) * 60_000)}.`;
}

/** Throws `storage_unsafe` for a file that others could read the token in: it keeps its mode and its owner. */
async function refuseReadable(path: string, { platform, env }: Pick<Deps, 'platform' | 'env'>): Promise<void> {
  if (thisProcess.uid === undefined || platform === 'win32') return;
  const there = await stat(path).catch(() => undefined);
  if (there === undefined || !there.isFile()) return;
  if (!isOurs(there, env)) {
    throw unsafe(
      path,
      'belongs to another user, who would read the token there',
      'Write to another file with --out FILE.',
    );
  }
  if ((there.mode & 0o077) === 0) return;
  throw new KleisError('storage_unsafe', `${clean(path, 400)} is open to others, who would read the token there.`, {
    hint: `chmod go= ${shellWord(path, platform)}, or write to another file with --out FILE.`,
  });
}

/** The file that the user entry is in, or will be. */
async function targetOf(
  name: string,
  { kubeconfig, user }: KubeconfigServiceAccountFlags,
  deps: Deps,
): Promise<string> {
  const loaded = await loadKubeconfig(kubeconfigSources(kubeconfig, deps));
  return (loaded.entries.users.get(user ?? `kleis-${name}`)?.file ?? loaded.defaultFile).path;
}

function signInFlags(flags: KubeconfigServiceAccountFlags): SignInFlags {
  return Object.fromEntries(flagNames.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}

function refuseFlags(why: string, given: Readonly<Record<string, unknown>>): void {
  const [odd] = Object.keys(given).filter((flag) => given[flag] !== undefined && given[flag] !== false);
  if (odd !== undefined) throw usage(`${odd} ${why}.`, `Leave ${odd} away.`);
}

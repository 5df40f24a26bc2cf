import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { checkCluster, checkName } from '../kubeconfig/cluster-fields.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { readFlags } from '../settings/gather.ts';
import { resolveSettings, type Settings } from '../settings/sign-in.ts';
import { tell } from '../surroundings/ask.ts';
import { toFailure } from '../surroundings/failure.ts';
import {
  type Advice,
  adviseGroups,
  adviseUsername,
  judgeGroups,
  judgePrefix,
  judgeUsername,
  type KnownClaims,
} from './advice.ts';
import { type Binding, readBinding } from './bindings.ts';
import { describeClaims } from './claims-table.ts';
import type { DeveloperCluster } from './developers.ts';
import { distribution } from './distributions.ts';
import {
  type ApiVersion,
  apiVersions,
  type DistributionName,
  distributionNames,
  type ProviderName,
  providerNames,
  type SetupFlags,
} from './flags.ts';
import { formatSections } from './guide.ts';
import { findProvider, type FoundProvider, lookAtToken, type SeenToken } from './look.ts';
import { type MappedClaim, type Path, readPath, readPrefix, spellPath, valueAt } from './mapping.ts';
import { answer, type Dialog, oneOf, yesOrNo } from './questions.ts';
import { guessProvider, scopesOf } from './registration.ts';
import { registrationSection, spellAdvice } from './sections.ts';

/** The provider, and the client that people sign in with there. */
export interface ChosenClient {
  readonly provider: ProviderName;
  readonly found: FoundProvider;
  /** The flags of a sign-in, with the answers in place. */
  readonly flags: SetupFlags;
  /** Of who sits here, by their own configuration too. */
  readonly settings: Settings;
  /** Of everybody: what is registered, and what developers get. */
  readonly shared: Settings;
}

/** Which provider, which client, and what is asked for. */
export async function chooseClient(typed: SetupFlags, person: PersonChoices, dialog: Dialog): Promise<ChosenClient> {
  // What is wrong with a flag is no wrong answer.
  readFlags(typed);
  const resolve = (flags: SetupFlags) => resolveSettings(flags, undefined, person);
  const issuerUrl = { text: 'The URL of your provider, as it spells its issuer', flag: '--issuer-url' };
  const { found, issuer } = await answer(
    {
      ...issuerUrl,
      given: typed.issuerUrl,
      usual: undefined,
      check: async (text) => {
        const settings = resolve({ ...typed, issuerUrl: text });
        return { issuer: text, found: await findProvider(settings, dialog.deps) };
      },
    },
    dialog,
  );
  const provider = await answer(
    {
      text: `What it is (${providerNames.join(', ')})`,
      flag: '--provider',
      given: typed.provider,
      usual: guessProvider(issuer),
      check: oneOf(providerNames, '--provider'),
    },
    dialog,
  );
  const flags = { ...typed, issuerUrl: issuer };
  const clientId = await answer(
    {
      text: 'The client ID that Kleis is to have there',
      flag: '--client-id',
      given: typed.clientId,
      usual: 'kleis',
      check: (text) => resolve({ ...flags, clientId: text }).clientId,
    },
    dialog,
  );
  const scope = await answer(
    {
      text: 'Scopes to ask for, beside openid (- for none)',
      flag: '--scope',
      given: typed.scope?.join(' '),
      usual: scopesOf(provider, found.metadata.scopes_supported).join(' ') || '-',
      check: (text) =>
        text === '-' ? [] : [...resolve({ ...flags, scope: [text] }).scopes].filter((each) => each !== 'openid'),
    },
    dialog,
  );
  const all = { ...flags, clientId, ...(scope.length > 0 && { scope }) };
  return { provider, found, flags: all, settings: resolve(all), shared: resolveSettings(all, undefined, {}) };
}

/** The token of who sits here; undefined where nobody signs in. */
export async function seeToken(
  { provider, settings, shared }: ChosenClient,
  flags: SetupFlags,
  dialog: Dialog,
): Promise<SeenToken | undefined> {
  if (!flags.signIn) return undefined;
  const { deps } = dialog;
  if (dialog.asks) {
    const columns = deps.stderr.columns;
    deps.stderr.write(
      `\n${formatSections([registrationSection(provider, shared)], { columns, bold: (text) => text })}`,
    );
    const signs = { text: 'Sign in there now, to see what comes (yes, no)', flag: '--no-sign-in', given: undefined };
    if (!(await answer({ ...signs, usual: 'yes', check: yesOrNo }, dialog))) return undefined;
  }
  try {
    const token = await lookAtToken(settings, deps);
    if (dialog.asks) {
      tell(`\nThe token of ${clean(token.name)} says:`, deps);
      const rows = describeClaims(token.claims).map(([name, value]) => `   ${name}: ${value}`);
      for (const row of rows) tell(row, deps);
      deps.stderr.write('\n');
    }
    return token;
  } catch (error) {
    const failure = toFailure(error, deps);
    if (!dialog.asks || failure.code === 'interrupted' || failure.code === 'unexpected') throw withWayOut(failure);
    deps.report.error(failure);
    const goesOn = { text: 'Go on without a sign-in (yes, no)', flag: '--no-sign-in', given: undefined };
    if (await answer({ ...goesOn, usual: 'no', check: yesOrNo }, dialog)) return undefined;
    throw failure;
  }
}

function withWayOut(failure: KleisError): KleisError {
  if (!failure.code.startsWith('sign_in') && failure.code !== 'client_refused') return failure;
  const hint = `${failure.hint} Where the client is not registered yet: --no-sign-in says how, and gives advice from discovery alone.`;
  return new KleisError(failure.code, failure.message, { hint, cause: failure });
}

export interface ChosenServer {
  readonly name: DistributionName;
  readonly version: ApiVersion;
}

export async function chooseServer(flags: SetupFlags, dialog: Dialog): Promise<ChosenServer> {
  const name = await answer(
    {
      text: `What the cluster is (${distributionNames.join(', ')})`,
      flag: '--distribution',
      given: flags.distribution,
      usual: 'other',
      check: oneOf(distributionNames, '--distribution'),
    },
    dialog,
  );
  const { throughBroker, plainOnly, prefix } = distribution(name);
  const takesFile = throughBroker !== true && plainOnly !== true && prefix === undefined;
  const version = await answer(
    {
      text: 'The version of its configuration: v1 (Kubernetes 1.34 and later), v1beta1 (1.30 and later)',
      flag: '--api-version',
      given: flags.apiVersion,
      usual: 'v1',
      check: oneOf(apiVersions, '--api-version'),
    },
    takesFile ? dialog : { ...dialog, asks: false },
  );
  return { name, version };
}

export interface ChosenMapping {
  readonly username: MappedClaim;
  readonly groups: MappedClaim | undefined;
  readonly groupsAreText: boolean;
  readonly advice: readonly Advice[];
}

/** Which claims become names, and what is put before them. */
export async function chooseMapping(
  flags: SetupFlags,
  known: KnownClaims,
  server: DistributionName,
  dialog: Dialog,
): Promise<ChosenMapping> {
  const { claims } = known;
  const username = await answer(
    {
      text: 'The claim that names a person',
      flag: '--username-claim',
      given: flags.usernameClaim,
      usual: adviseUsername(known),
      check(text) {
        const path = checkPlain(readPath(text, '--username-claim', claims), server);
        return { path, advice: judgeUsername(path, known) };
      },
    },
    dialog,
  );
  tellAdvice(username.advice, dialog);
  const usernamePrefix = await choosePrefix('username', flags.usernamePrefix, server, undefined, dialog);
  const groups = await answer(
    {
      text: 'The claim that holds the groups (- for none)',
      flag: '--groups-claim',
      given: flags.groupsClaim,
      usual: adviseGroups(known) ?? '-',
      check(text) {
        const path = text === '-' ? undefined : checkPlain(readPath(text, '--groups-claim', claims), server);
        return { path, advice: judgeGroups(path, known) };
      },
    },
    dialog,
  );
  tellAdvice(groups.advice, dialog);
  const { path } = groups;
  const groupsPrefix =
    path === undefined
      ? undefined
      : await choosePrefix('groups', flags.groupsPrefix, server, usernamePrefix.prefix, dialog);
  return {
    username: { path: username.path, prefix: usernamePrefix.prefix },
    groups: path && { path, prefix: groupsPrefix?.prefix ?? '' },
    groupsAreText: path !== undefined && claims !== undefined && typeof valueAt(claims, path) === 'string',
    advice: [...username.advice, ...usernamePrefix.advice, ...groups.advice, ...(groupsPrefix?.advice ?? [])],
  };
}

function checkPlain(path: Path, server: DistributionName): Path {
  const { plainOnly, title } = distribution(server);
  if (plainOnly !== true || path.length === 1) return path;
  throw new KleisError('usage', `${title} takes a claim by its name alone, and ${spellPath(path)} is within another.`, {
    hint: 'Take another, let the provider give it at the top of the token, or put a broker between.',
  });
}

async function choosePrefix(
  about: 'username' | 'groups',
  given: string | undefined,
  server: DistributionName,
  usual: string | undefined,
  dialog: Dialog,
): Promise<{ readonly prefix: string; readonly advice: readonly Advice[] }> {
  const flag = `--${about}-prefix`;
  const { prefix: wanted, title } = distribution(server);
  const chosen = await answer(
    {
      text: `What stands before ${about === 'username' ? 'the name of a person' : 'the name of a group'} (- for nothing)`,
      flag,
      given,
      usual: usual === '' ? '-' : (usual ?? wanted ?? 'oidc:'),
      check(text) {
        const prefix = readPrefix(text === '-' ? '' : text, flag);
        if (wanted !== undefined && !prefix.startsWith(wanted)) {
          throw new KleisError('usage', `${title} takes no names but those that begin with ${wanted}.`, {
            hint: `Leave ${flag} away, or begin it so.`,
          });
        }
        return { prefix, advice: judgePrefix(prefix, about) };
      },
    },
    dialog,
  );
  tellAdvice(chosen.advice, dialog);
  return chosen;
}

/** What is wrong is said where the answer was given. */
function tellAdvice(advice: readonly Advice[], { asks, deps }: Dialog): void {
  if (!asks) return;
  for (const each of advice) {
    if (each.severity === 'warning') deps.report.warn(spellAdvice(each));
    else tell(spellAdvice(each), deps);
  }
}

/** What groups may do. Throws `usage` where the API server knows no groups. */
export async function chooseBindings(
  flags: SetupFlags,
  { groups }: ChosenMapping,
  server: DistributionName,
  dialog: Dialog,
): Promise<readonly Binding[]> {
  const given = flags.bind?.flatMap(readBinding);
  const { throughBroker, title } = distribution(server);
  const isUseless = groups === undefined || throughBroker === true;
  if (isUseless) {
    if (given === undefined) return [];
    throw throughBroker === true
      ? new KleisError(
          'usage',
          `${title} knows no groups of your provider: a grant of the broker says what they may do.`,
          {
            hint: 'Leave --bind away; docs/grants.md has the grants.',
          },
        )
      : new KleisError('usage', 'Without a claim of groups no group can be bound.', {
          hint: 'Give --groups-claim, or leave --bind away.',
        });
  }
  if (given !== undefined || !dialog.asks) return given ?? [];
  const list: Binding[] = [];
  for (;;) {
    const more = await answer<readonly Binding[]>(
      {
        text: `A group and what it may do, such as developers=view or platform=edit@web (${list.length === 0 ? 'Enter for none' : 'Enter for no more'})`,
        flag: '--bind',
        given: undefined,
        usual: '',
        check: (text) => (text === '' ? [] : readBinding(text)),
      },
      dialog,
    );
    if (more.length === 0) return list;
    list.push(...more);
  }
}

/** The cluster as developers reach it. */
export async function chooseCluster(
  name: string | undefined,
  flags: SetupFlags,
  dialog: Dialog,
): Promise<DeveloperCluster> {
  const { tlsServerName, namespace } = flags;
  const { server } = await answer(
    {
      text: 'The address of the API server, for developers (Enter for later)',
      flag: '--server',
      given: flags.server,
      usual: '',
      check: (text) =>
        checkCluster(text === '' ? { tlsServerName, namespace } : { server: text, tlsServerName, namespace }),
    },
    dialog,
  );
  const checked = await answer(
    {
      text: 'The PEM file of its authority (Enter where everybody trusts it)',
      flag: '--cluster-certificate-authority',
      given: flags.clusterCertificateAuthority,
      usual: '',
      check: (text) =>
        checkCluster({ server, tlsServerName, namespace, ...(text !== '' && { clusterCertificateAuthority: text }) }),
    },
    server === undefined ? { ...dialog, asks: false } : dialog,
  );
  return { ...checked, name: checkName('The name', name ?? 'prod') };
}

import { KleisError } from '../../shared/errors.ts';
import { longFlag } from '../../shared/kube/broker-entries.ts';
import { checkCertificates } from '../../shared/net/certificates.ts';
import { checkCluster, checkName } from '../kubeconfig/cluster-fields.ts';
import { findContext } from '../kubeconfig/find.ts';
import { tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
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
import type { DeveloperCluster } from './developers.ts';
import { distribution } from './distributions.ts';
import { type ApiVersion, apiVersions, type DistributionName, distributionNames, type SetupFlags } from './flags.ts';
import { type MappedClaim, type Path, readPath, readPrefix, spellPath, valueAt } from './mapping.ts';
import { answer, type Dialog, oneOf } from './questions.ts';
import { spellAdvice } from './sections.ts';

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
  if (throughBroker === true) refuseUnused(flags, ofServers, name);
  if (!takesFile) refuseUnused(flags, ['apiVersion'], name);
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

/** What a broker in between leaves no use for. */
const ofServers = [
  'usernameClaim',
  'usernamePrefix',
  'groupsClaim',
  'groupsPrefix',
  'bind',
  'context',
  'kubeconfig',
  'server',
  'clusterCertificateAuthority',
  'tlsServerName',
  'namespace',
] as const satisfies readonly (keyof SetupFlags)[];

function refuseUnused(flags: SetupFlags, names: readonly (keyof SetupFlags)[], server: DistributionName): void {
  const found = names.find((name) => flags[name] !== undefined);
  if (found === undefined) return;
  const flag = longFlag(found);
  const { title, throughBroker } = distribution(server);
  throw throughBroker === true
    ? new KleisError(
        'usage',
        `${flag} says what an API server does with your provider's tokens, and that of ${title} gets those of a broker.`,
        {
          hint: `Leave ${flag} away: grants of the broker say who may do what (docs/grants.md).`,
        },
      )
    : new KleisError('usage', `${title} takes no AuthenticationConfiguration, so that ${flag} says nothing.`, {
        hint: `Leave ${flag} away.`,
      });
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
  if (path === undefined && flags.groupsPrefix !== undefined) {
    throw new KleisError(
      'usage',
      'Without a claim of groups there is nothing that --groups-prefix could stand before.',
      {
        hint: 'Give --groups-claim, or leave --groups-prefix away.',
      },
    );
  }
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

/** What groups may do. Throws `usage` where there are none. */
export async function chooseBindings(
  flags: SetupFlags,
  { groups }: ChosenMapping,
  dialog: Dialog,
): Promise<readonly Binding[]> {
  const given = flags.bind?.flatMap(readBinding);
  if (groups === undefined) {
    if (given === undefined) return [];
    throw new KleisError('usage', 'Without a claim of groups no group can be bound.', {
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
  if ((flags.context ?? flags.kubeconfig) !== undefined) return ofContext(name, flags, dialog.deps);
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

/** As the kubeconfig of who sits here has it; who they are in there is left out. */
async function ofContext(name: string | undefined, flags: SetupFlags, deps: Deps): Promise<DeveloperCluster> {
  const { context, kubeconfig, namespace } = flags;
  const { cluster, clusterName } = await findContext({ context, kubeconfig }, deps);
  const data = cluster['certificate-authority-data'];
  const checked = await checkCluster({ server: cluster.server, tlsServerName: cluster['tls-server-name'], namespace });
  return {
    ...checked,
    certificateAuthority:
      data === undefined
        ? undefined
        : checkCertificates(Buffer.from(data, 'base64').toString(), 'The certificate authority of the cluster'),
    name: checkName('The name', name ?? clusterName),
  };
}

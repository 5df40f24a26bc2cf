import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type FlagName, flagNames, type Name, settingOf, type table, verbose } from './table.ts';
import { file } from './values.ts';

type Table = typeof table;

/** What `--issuer-url` and its like leave behind: text as typed, not yet checked. */
export type SignInFlags = {
  -readonly [K in FlagName]?: Table[K] extends { repeatable: true }
    ? string[]
    : Table[K] extends { isSwitch: true }
      ? boolean
      : string;
};

/** Which kubeconfig entry a command takes its settings from. */
interface ContextFlags {
  context?: string;
  kubeconfig?: string;
}

export type LoginFlags = SignInFlags & ContextFlags & { browserCommand?: string };

export interface LogoutFlags extends ContextFlags {
  issuerUrl?: string;
  account?: string;
  session?: string;
  all?: boolean;
}

export const tokenOutputs = ['token', 'json', 'kubeconfig', 'env'] as const;

/** `kleis token`; the cluster is for those outputs that name it. */
export type TokenFlags = SignInFlags &
  ContextFlags & {
    output: (typeof tokenOutputs)[number];
    signIn?: boolean;
    server?: string;
    clusterCertificateAuthority?: string;
    tlsServerName?: string;
    namespace?: string;
  };

export type RevokeFlags = SignInFlags & ContextFlags & { tokenFile?: string };

/** Of a command that asks a broker as a person or a job. */
export type BrokerFlags = SignInFlags & ContextFlags & { yes?: boolean };

export type GrantsFlags = BrokerFlags & { output: 'table' | 'json' | 'name' };

export type ExplainFlags = BrokerFlags & OutputFlags;

export type AdminFlags = BrokerFlags;

/** Which leases are meant. */
interface LeaseFilterFlags {
  subject?: string;
  all?: boolean;
}

export type AdminLeasesFlags = AdminFlags &
  LeaseFilterFlags & { watch?: boolean; output: 'table' | 'wide' | 'json' | 'yaml' | 'name' };

export type AdminRevokeFlags = AdminFlags & LeaseFilterFlags & OutputFlags;

export type AdminGrantsFlags = AdminFlags & { output: 'table' | 'wide' | 'json' | 'name' };

export interface OutputFlags {
  output: 'table' | 'json';
}

export interface StatusFlags extends ContextFlags {
  output: 'table' | 'wide' | 'json';
  showToken?: boolean;
  quiet?: boolean;
}

/** Of `kleis version`. */
export type VersionFlags = BrokerFlags & OutputFlags;

export type KubeconfigAddFlags = SignInFlags & {
  from?: string;
  all?: boolean;
  /** False: paths stay paths. */
  embed: boolean;
  server?: string;
  clusterCertificateAuthority?: string;
  tlsServerName?: string;
  namespace?: string;
  cluster?: string;
  user?: string;
  clusterAudience?: string;
  clusterScope?: string;
  clusterResource?: string;
  clusterGrant?: string;
  kubeconfig?: string;
  current?: boolean;
  /** Written without asking any server what it thinks of it. */
  offline?: boolean;
  dryRun?: boolean;
  yes?: boolean;
};

export interface KubeconfigFlags {
  kubeconfig?: string;
}

export interface KubeconfigListFlags extends KubeconfigFlags {
  output: 'table' | 'json' | 'name';
}

/** Of every command that changes entries which exist. */
export interface KubeconfigChangeFlags extends KubeconfigFlags {
  dryRun?: boolean;
  yes?: boolean;
}

export interface KubeconfigMergeFlags extends KubeconfigFlags {
  dryRun?: boolean;
  prefix?: string;
  overwrite?: boolean;
}

/** `kleis kubeconfig service-account`: of a broker, or of a token that is made. */
export type KubeconfigServiceAccountFlags = SignInFlags &
  KubeconfigChangeFlags & {
    context?: string;
    cluster?: string;
    server?: string;
    clusterCertificateAuthority?: string;
    tlsServerName?: string;
    user?: string;
    namespace?: string;
    name?: string;
    duration?: string;
    neverExpires?: boolean;
    offline?: boolean;
    out?: string;
  };

/** `kleis kubeconfig migrate`; the sign-in flags go before what an entry says. */
export type KubeconfigMigrateFlags = SignInFlags & KubeconfigChangeFlags & { all?: boolean; from?: string };

/** For an option that may be repeated. */
export const collect = (value: string, earlier: string[] | undefined) => [...(earlier ?? []), value];

/** For `Command.addOption`. */
export function optionOf(name: Name): Option {
  const { flag, help, choices, orElse, repeatable } = settingOf(name);
  const option = new Option(flag ?? '', help);
  if (choices !== undefined) option.choices([...choices]);
  if (orElse === true) option.argParser((value: string) => value);
  if (repeatable === true) option.argParser(collect);
  return option;
}

/** The flags that say what to get and how: the same for `get-token`, `login` and `kubeconfig add`, but for those that a command has no use for. */
export function addSignInFlags(command: Command, unused: readonly FlagName[] = []): Command {
  for (const name of entryNames) {
    if (!unused.includes(name)) command.optionsGroup(`${settingOf(name).group}:`).addOption(optionOf(name));
  }
  return command.optionsGroup('Options:');
}

/** Of a command that signs in and leaves it to others to get a token with that. */
export const unusedAtLogin = [
  'minValidity',
  'broker',
  'grant',
  'ttl',
  'brokerCertificateAuthority',
  'brokerCertificateAuthorityData',
] as const satisfies readonly FlagName[];

/** Of a command that signs nobody in. */
export const unusedWithoutSignIn = [
  'login',
  'listenAddress',
  'redirectUri',
  'loginTimeout',
] as const satisfies readonly FlagName[];

/** `revoke` is run with the flags that a token was got with; these say nothing of which token that is. */
export function addRevokeFlags(command: Command): Command {
  addSignInFlags(command);
  const unused: readonly FlagName[] = [...unusedWithoutSignIn, 'token', 'minValidity', 'ttl', 'cache'];
  const flags = new Set(unused.map((name) => optionOf(name).long));
  for (const option of command.options) if (flags.has(option.long)) option.hideHelp();
  return command;
}

const callerNames = [
  'broker',
  'brokerCertificateAuthority',
  'issuerUrl',
  'clientId',
  'certificateAuthority',
  'scope',
  'audience',
  'account',
  'identity',
  'login',
] as const satisfies readonly FlagName[];

/** Which broker is asked, and by whom. */
export function addBrokerFlags(command: Command, yes = 'let the broker have your sign-in without asking'): Command {
  for (const name of callerNames) {
    const option = optionOf(name);
    if (name === 'broker') option.description = 'the broker that is asked';
    command.optionsGroup(`${settingOf(name).group}:`).addOption(option);
  }
  return command.optionsGroup('Options:').option('-y, --yes', yes);
}

/** What `get-token` takes, and so what may stand in a kubeconfig entry. */
export function addGetTokenFlags(command: Command): Command {
  return addSignInFlags(command).addOption(optionOf('force')).addOption(optionOf('clusterServer'));
}

const entryNames = flagNames.filter((name) => settingOf(name).only === undefined);

export const verboseFlag = new Option(verbose.join(', '), 'say on stderr what happens; never a secret');

/** The flags as the arguments of a kubeconfig entry: only what was given, in one fixed order, `--name=value`. */
export function toArguments(flags: SignInFlags): string[] {
  return entryNames.flatMap((name) => {
    const value = flags[name];
    const { long } = optionOf(name);
    if (value === undefined) return [];
    if (value === true) return [long ?? ''];
    return (Array.isArray(value) ? value : [value]).map((item) => `${long}=${absolute(name, String(item))}`);
  });
}

/** kubectl runs the plugin in whatever folder the person is in. */
function absolute(name: FlagName, value: string): string {
  if (settingOf(name).parse === file) return resolve(value);
  const [, path] = name === 'identity' ? (/^file:(.+)$/s.exec(value) ?? []) : [];
  return path === undefined ? value : `file:${resolve(path)}`;
}

/** Which kubeconfig entry says what was not typed. */
export function withContext(command: Command): Command {
  return command
    .addOption(new Option('--context <name>', 'the settings of this kubeconfig context').conflicts('issuerUrl'))
    .option('--kubeconfig <file>', 'look in this kubeconfig');
}

export function output(): Option {
  return new Option('-o, --output <format>', 'what to print').choices(['table', 'json']).default('table');
}

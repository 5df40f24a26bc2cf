import { type Command, Option } from 'commander';
import { defaultListenAddresses } from './listen-address.ts';

/** What `--issuer-url` and its like leave behind: text as typed, not yet checked (settings.ts does). */
export interface SignInFlags {
  issuerUrl?: string;
  clientId?: string;
  clientSecretFile?: string;
  clientKeyFile?: string;
  scope?: string[];
  audience?: string;
  resource?: string;
  authParam?: string[];
  login?: string;
  identity?: string;
  token?: string;
  account?: string;
  cache?: string;
  listenAddress?: string[];
  redirectUri?: string;
  dpop?: boolean;
  certificateAuthority?: string;
  minValidity?: string;
  loginTimeout?: string;
  force?: boolean;
  broker?: string;
  grant?: string;
  ttl?: string;
  brokerCertificateAuthority?: string;
}

/** Which kubeconfig entry a command takes its settings from. */
interface ContextFlags {
  context?: string;
  kubeconfig?: string;
}

export interface LoginFlags extends SignInFlags, ContextFlags {
  browserCommand?: string;
}

export interface LogoutFlags extends ContextFlags {
  issuerUrl?: string;
  account?: string;
  all?: boolean;
}

/** `kleis token`; the cluster is for those outputs that name it. */
export interface TokenFlags extends SignInFlags, ContextFlags {
  output: (typeof choices.tokenOutput)[number];
  server?: string;
  clusterCertificateAuthority?: string;
  tlsServerName?: string;
  namespace?: string;
}

export interface RevokeFlags extends SignInFlags, ContextFlags {
  tokenFile?: string;
}

export interface OutputFlags {
  output: 'table' | 'json';
}

export interface StatusFlags extends OutputFlags {
  showToken?: boolean;
}

export interface KubeconfigAddFlags extends SignInFlags {
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
  dryRun?: boolean;
  yes?: boolean;
}

export type Shell = 'bash' | 'zsh' | 'fish';

export const choices = {
  login: ['auto', 'browser', 'device', 'paste'],
  identity: ['sso', 'client-credentials', 'github', 'gitlab', 'circleci', 'buildkite', 'kubernetes', 'auto'],
  token: ['id', 'access'],
  cache: ['auto', 'keyring', 'file', 'none'],
  tokenOutput: ['token', 'json', 'kubeconfig', 'env'],
} as const;

const collect = (value: string, earlier: string[] | undefined) => [...(earlier ?? []), value];

const provider = [
  new Option('--issuer-url <url>', 'the OpenID provider: https, or http on loopback'),
  new Option('--client-id <id>', 'the client that is registered there (default: kleis)'),
  new Option('--client-secret-file <file>', 'confidential client: a file that holds its secret'),
  new Option('--client-key-file <file>', 'confidential client: its private key, PEM or JWK (private_key_jwt)'),
  new Option('--certificate-authority <file>', 'PEM; trust this for the provider, and nothing else'),
];

const asked = [
  new Option('--scope <scope>', 'ask for this scope as well; may be repeated').argParser(collect),
  new Option('--audience <audience>', 'ask for a token for this audience'),
  new Option('--resource <uri>', 'ask for a token for this resource (RFC 8707)'),
  new Option('--auth-param <name=value>', 'send this to the authorization endpoint; may be repeated').argParser(
    collect,
  ),
  new Option('--token <kind>', 'which token the cluster gets (default: id)').choices(choices.token),
  new Option('--dpop', 'bind the tokens between Kleis and the provider to a key (RFC 9449)'),
];

const how = [
  new Option('--account <name>', 'keep several accounts at one provider apart by name'),
  new Option('--identity <source>', 'who asks: one of these, file:PATH or env:NAME (default: sso)')
    .choices(choices.identity)
    // What the completion offers is not all there is.
    .argParser((value: string) => value),
  new Option('--login <method>', 'how a person signs in (default: auto)').choices(choices.login),
  new Option('--listen-address <host:port>', 'listen here for the browser; loopback; may be repeated').argParser(
    collect,
  ),
  new Option(
    '--redirect-uri <uri>',
    `the redirect URI that is registered, if it is not http://${defaultListenAddresses[0]}`,
  ),
  new Option('--cache <where>', 'where the session is kept (default: auto)').choices(choices.cache),
  new Option('--min-validity <duration>', 'renew a token this long before it ends (default: 1m)'),
  new Option('--login-timeout <duration>', 'give up a sign-in after this long (default: 5m)'),
];

const broker = [
  new Option('--broker <url>', 'exchange the token at this broker for one of a service account'),
  new Option('--grant <name>', 'the grant of the broker that is wanted'),
  new Option('--ttl <duration>', 'how long the token is to live (default: what the grant says)'),
  new Option('--broker-certificate-authority <file>', 'PEM; trust this for the broker, and nothing else'),
];

/** The flags that say what to get and how: the same for `get-token`, `login` and `kubeconfig add`. */
export function addSignInFlags(command: Command): Command {
  for (const [heading, options] of [
    ['Provider:', provider],
    ['What is asked for:', asked],
    ['How:', how],
    ['Broker:', broker],
  ] as const) {
    command.optionsGroup(heading);
    for (const option of options) command.addOption(option);
  }
  return command.optionsGroup('Options:');
}

/** What `get-token` takes, and so what may stand in a kubeconfig entry. */
export function addGetTokenFlags(command: Command): Command {
  return addSignInFlags(command).option('--force', 'sign in anew although the session is alive');
}

export const verboseFlag = new Option('-v, --verbose', 'say on stderr what happens; never a secret');

/** The flags as the arguments of a kubeconfig entry: only what was given, in one fixed order, `--name=value`. */
export function toArguments(flags: SignInFlags): string[] {
  const values: Readonly<Record<string, unknown>> = { ...flags };
  return [...provider, ...asked, ...how, ...broker].flatMap((option) => {
    const value = values[option.attributeName()];
    if (value === undefined) return [];
    if (value === true) return [option.long ?? ''];
    return (Array.isArray(value) ? value : [value]).map((item) => `${option.long}=${item}`);
  });
}

import { withoutPassword } from '../../shared/net/proxy.ts';
import { formatDuration } from '../../shared/duration.ts';
import { identity } from './identity-name.ts';
import { defaultListenAddresses } from './listen-address.ts';
import * as values from './values.ts';

/** One thing that can be set, wherever it can be said: a flag, config.yaml, the cluster's extension. */
export interface Setting {
  /** As commander spells it. Without one, only config.yaml says it. */
  readonly flag?: string;
  /** Where it stands in `--help`; `login` and `get-token` have a flag that a kubeconfig entry has not. */
  readonly group: 'Provider' | 'What is asked for' | 'How' | 'Broker' | 'Options';
  readonly only?: 'login' | 'get-token';
  readonly repeatable?: true;
  readonly isSwitch?: true;
  /** What the shell offers, and all that is taken unless `orElse` says that there is more. */
  readonly choices?: readonly string[];
  readonly orElse?: true;
  /** Gives the value or a `Fault`. */
  readonly parse: (value: unknown) => unknown;
  /** For `--help`: one line. */
  readonly help: string;
  /** For docs/cli.md, where that says more. Markdown. */
  readonly reference?: string;
  /** It may also stand in config.yaml, under the same name. */
  readonly config?: {
    /** What holds where nobody says anything; text in place of a value that only the surroundings know. */
    readonly otherwise: unknown;
    readonly unless?: string;
    /** As it could stand in the file; without a password. */
    readonly plain?: (value: never) => unknown;
    /** For docs/cli.md: a line of YAML. */
    readonly example: string;
    /** Where the file takes it in another form than the flag. */
    readonly help?: string;
  };
  /** It may also stand in the cluster's extension `client.authentication.k8s.io/exec`, under the same name. */
  readonly extension?: true;
  /** It says how to sign in at a provider: of no use to an identity that brings its token along. */
  readonly signInOnly?: true;
}

const minute = 60_000;
const hour = 60 * minute;

export const choices = {
  login: ['auto', 'browser', 'device', 'paste'],
  token: ['id', 'access'],
  cache: ['auto', 'keyring', 'file', 'none'],
} as const;

/** Every setting, in the order of `--help`, of a kubeconfig entry and of the reference. */
export const table = {
  issuerUrl: {
    flag: '--issuer-url <url>',
    group: 'Provider',
    parse: values.issuer,
    help: 'the OpenID provider: https, or http on loopback',
    reference: 'the OpenID provider, exactly as it spells its issuer: https, or http on loopback',
    signInOnly: true,
  },
  clientId: {
    flag: '--client-id <id>',
    group: 'Provider',
    parse: values.text,
    help: 'the client that is registered there (default: kleis)',
    signInOnly: true,
  },
  clientSecretFile: {
    flag: '--client-secret-file <file>',
    group: 'Provider',
    parse: values.file,
    help: 'confidential client: a file that holds its secret',
    reference:
      'confidential client: the file with its secret, one line; a byte order mark and blanks at its end are left out. Everybody must not be able to read it, unless a container was given it (a Secret volume of Kubernetes, /run/secrets). There is no flag for the secret itself: every process of the machine can read a command line',
    signInOnly: true,
  },
  clientKeyFile: {
    flag: '--client-key-file <file>',
    group: 'Provider',
    parse: values.file,
    help: 'confidential client: its private key, PEM or JWK (private_key_jwt)',
    reference:
      'confidential client: its private key, PEM (PKCS#8) or JWK, kept as `--client-secret-file` is; Kleis then authenticates with private_key_jwt',
    signInOnly: true,
  },
  certificateAuthority: {
    flag: '--certificate-authority <file>',
    group: 'Provider',
    parse: values.file,
    help: 'PEM; trust this for the provider, and nothing else',
  },
  certificateAuthorityData: {
    flag: '--certificate-authority-data <base64>',
    group: 'Provider',
    parse: values.certificateData,
    help: 'the same as base64, as a kubeconfig has it: no file is needed',
  },
  scope: {
    flag: '--scope <scope>',
    group: 'What is asked for',
    repeatable: true,
    parse: values.scopes,
    help: 'ask for this scope as well; may be repeated',
    reference: 'ask for this scope as well; repeatable; `openid` is always asked for',
    extension: true,
    signInOnly: true,
  },
  audience: {
    flag: '--audience <audience>',
    group: 'What is asked for',
    parse: values.audience,
    help: 'ask for a token for this audience',
    reference:
      'whom the token is for, as the provider understands it. With `--broker`, and an identity that brings its token along: the audience of the broker, if that is not its URL',
    extension: true,
  },
  resource: {
    flag: '--resource <uri>',
    group: 'What is asked for',
    parse: values.resource,
    help: 'ask for a token for this resource (RFC 8707)',
    extension: true,
    signInOnly: true,
  },
  authParam: {
    flag: '--auth-param <name=value>',
    group: 'What is asked for',
    repeatable: true,
    parse: values.authParams,
    help: 'send this to the authorization endpoint; may be repeated',
    reference: 'repeatable; sent to the authorization endpoint. What Kleis itself says there is refused',
    signInOnly: true,
  },
  token: {
    flag: '--token <kind>',
    group: 'What is asked for',
    choices: choices.token,
    parse: values.oneOf(choices.token),
    help: 'which token the cluster gets (default: id)',
    reference:
      'which token the cluster gets; `id` if not given, for client credentials `access`. Opaque access tokens are fine',
    signInOnly: true,
  },
  dpop: {
    flag: '--dpop',
    group: 'What is asked for',
    isSwitch: true,
    parse: values.flag,
    help: 'bind the tokens between Kleis and the provider to a key (RFC 9449)',
    reference:
      'binds the tokens between Kleis and the provider to a key (RFC 9449). What kubectl sends stays a bearer token',
    signInOnly: true,
  },
  account: {
    flag: '--account <name>',
    group: 'How',
    parse: values.account,
    help: 'keep several accounts at one provider apart by name',
    reference:
      'keeps several accounts at one provider apart. One with an @ is also offered to the provider as a login hint',
    signInOnly: true,
  },
  identity: {
    flag: '--identity <source>',
    group: 'How',
    choices: identity.names,
    orElse: true,
    parse: identity.parse,
    help: 'who asks: file:PATH, env:NAME or one of these (default: sso)',
    reference:
      'who asks. `sso` (the default): a person; `client-credentials`: a machine that is the client itself; `github`, `gitlab`, `circleci`, `buildkite`, `kubernetes`, `file:PATH`, `env:NAME`: a CI job, a pod or whatever else has an ID token already; `auto`: the platform that this runs on. See [ci](ci/README.md)',
  },
  login: {
    flag: '--login <method>',
    group: 'How',
    choices: choices.login,
    parse: values.oneOf(choices.login),
    help: 'how a person signs in (default: auto)',
    reference:
      'how a person signs in. `auto`: a browser where one can open; over SSH, in a container or without a display the device code if the provider has it, else paste. A way that fails at once is left for the next; where nobody can read what to do it ends with exit 3',
    config: { otherwise: 'auto', example: 'auto' },
    signInOnly: true,
  },
  browserCommand: {
    flag: '--browser-command <command>',
    group: 'Options',
    only: 'login',
    parse: values.command,
    help: 'open this program, its arguments divided by spaces; {url} is the address',
    reference: '`login` only: opens the address with this program. A kubeconfig cannot name one',
    config: {
      otherwise: null,
      unless: 'what the system opens addresses with',
      example: '[firefox, -P, work, "{url}"]',
      help: 'open this program, or a list of it and its arguments; {url} is the address',
    },
  },
  listenAddress: {
    flag: '--listen-address <host:port>',
    group: 'How',
    repeatable: true,
    parse: values.listenAddresses,
    help: 'listen here for the browser; loopback; may be repeated',
    reference: `repeatable, tried in turn, loopback only; port 0 is any free one. ${defaultListenAddresses.map((each) => `\`${each}\``).join(', then ')} if not given`,
    config: {
      otherwise: defaultListenAddresses,
      example: `[${defaultListenAddresses.join(', ')}]`,
      help: 'listen here for the browser; loopback; tried in turn',
    },
    signInOnly: true,
  },
  redirectUri: {
    flag: '--redirect-uri <uri>',
    group: 'How',
    parse: values.redirectUri,
    help: `the redirect URI that is registered, if it is not http://${defaultListenAddresses[0]}`,
    reference:
      'what the provider is told, if that is not the listening address without a path: http on loopback, without a query',
    config: { otherwise: null, unless: 'that of the listen address', example: 'http://localhost:8000/callback' },
    signInOnly: true,
  },
  cache: {
    flag: '--cache <where>',
    group: 'How',
    choices: choices.cache,
    parse: values.oneOf(choices.cache),
    help: 'where the session is kept (default: auto)',
    reference: 'where the session is kept. `none` keeps no credential either',
    config: { otherwise: 'auto', example: 'auto' },
  },
  minValidity: {
    flag: '--min-validity <duration>',
    group: 'How',
    parse: values.duration(0, 24 * hour),
    help: 'renew a token this long before it ends (default: 1m)',
    reference:
      'renew a token this long before it ends, but never before nine tenths of its life are over; `1m` if not given',
    config: { otherwise: '1m', plain: formatDuration, example: '1m' },
  },
  loginTimeout: {
    flag: '--login-timeout <duration>',
    group: 'How',
    parse: values.duration(1000, hour),
    help: 'give up a sign-in after this long (default: 5m)',
    config: { otherwise: '5m', plain: formatDuration, example: '5m' },
    signInOnly: true,
  },
  proxy: {
    group: 'How',
    parse: values.proxy,
    help: 'the proxy for https',
    config: {
      otherwise: null,
      unless: 'HTTPS_PROXY and its like',
      plain: withoutPassword,
      example: 'http://proxy.example.com:3128',
    },
  },
  confirmNewClusters: {
    group: 'How',
    parse: values.flag,
    help: 'ask before a session is used for a cluster that it has not met',
    config: { otherwise: false, example: 'false' },
  },
  clientFiles: {
    group: 'Provider',
    parse: values.absolutePaths,
    help: 'secrets and keys of clients that a kubeconfig may name; a folder ends in /',
    config: { otherwise: [], unless: 'those beside this file', example: '[/run/secrets/kleis/]' },
  },
  brokerAudiences: {
    group: 'Broker',
    parse: values.brokerAudiences,
    help: 'what brokers want tokens of CI platforms to be for, where that is not their URL',
    config: { otherwise: null, unless: 'the URL of each broker', example: '{ "https://kleis.internal": kleis }' },
  },
  broker: {
    flag: '--broker <url>',
    group: 'Broker',
    parse: values.serverUrl,
    help: 'exchange the token at this broker for one of a service account',
    reference: 'exchanges the ID token at this broker for one of a service account. https, or http on loopback',
  },
  grant: {
    flag: '--grant <name>',
    group: 'Broker',
    parse: values.grant,
    help: 'the grant of the broker that is wanted',
    extension: true,
  },
  ttl: {
    flag: '--ttl <duration>',
    group: 'Broker',
    parse: values.duration(1000, 366 * 24 * hour),
    help: 'how long the token is to live (default: what the grant says)',
    reference: 'how long that token is to live; what the grant says if not given, and never more than it allows',
  },
  brokerCertificateAuthority: {
    flag: '--broker-certificate-authority <file>',
    group: 'Broker',
    parse: values.file,
    help: 'PEM; trust this for the broker, and nothing else',
  },
  brokerCertificateAuthorityData: {
    flag: '--broker-certificate-authority-data <base64>',
    group: 'Broker',
    parse: values.certificateData,
    help: 'the same as base64, as a kubeconfig has it: no file is needed',
  },
  force: {
    flag: '--force',
    group: 'Options',
    only: 'get-token',
    isSwitch: true,
    parse: values.flag,
    help: 'renew the token although the last is fresh',
    reference:
      '`get-token` and `token` only: a new token although the last is fresh; from the refresh token, so that nobody signs in who need not. `kleis token --sign-in` signs in anew',
  },
  clusterServer: {
    flag: '--cluster-server <url>',
    group: 'Options',
    only: 'get-token',
    parse: values.text,
    help: 'the API server, for a client that does not say which cluster it asks for',
    reference:
      '`get-token` only: the API server, for a client that cannot say which cluster it asks for (Terraform, Argo CD, the clients for C#, JavaScript and Ruby). It is a destination like any other; a client that says another cluster gets nothing',
  },
} as const satisfies Record<string, Setting>;

/** How the flag of every command is spelt, which is no setting. */
export const verbose = ['-v', '--verbose'] as const;

export type Name = keyof typeof table;
type Table = typeof table;

/** The values, as the parsers give them. */
export type Values = { readonly [K in Name]: Exclude<ReturnType<Table[K]['parse']>, values.Fault> };

type NamesWith<Property extends string> = { [K in Name]: Table[K] extends Record<Property, unknown> ? K : never }[Name];
/** What a kubeconfig entry and `get-token` may say: never a command to run. */
export type FlagName = Exclude<NamesWith<'flag'>, 'browserCommand'>;
export type ConfigName = NamesWith<'config'>;
export type ExtensionName = NamesWith<'extension'>;

export const names = Object.keys(table) as readonly Name[];
export const flagNames = names.filter((name): name is FlagName => 'flag' in table[name] && name !== 'browserCommand');
export const configNames = names.filter((name): name is ConfigName => 'config' in table[name]);

/** The row, without what makes each row a type of its own. */
export function settingOf(name: Name): Setting {
  return table[name];
}

export function isName(text: string): text is Name {
  return Object.hasOwn(table, text);
}

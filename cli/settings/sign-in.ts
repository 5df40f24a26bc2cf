import { KleisError } from '../../shared/errors.ts';
import { isLoopback } from '../../shared/net/proxy.ts';
import { clean } from '../../shared/text.ts';
import { type AmbientSettings, type BrokerSettings, isAmbientName, resolveAmbient, resolveBroker } from './ambient.ts';
import { choices, type SignInFlags } from './flags.ts';
import { isListenAddress, isRedirectUri } from './listen-address.ts';
import { duration, file, oneOf, text, usage } from './values.ts';

/**
 * What a command works with, whole and checked: made once by `resolveSettings` from flags, the cluster's extension and
 * the person's configuration, then only read.
 */
export interface Settings {
  /** https, or http on loopback. Exactly as written: RFC 8414 compares issuers as strings. */
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly clientSecretFile: string | undefined;
  readonly clientKeyFile: string | undefined;
  /** Without duplicates; always with `openid` for a person's sign-in. */
  readonly scopes: readonly string[];
  readonly audience: string | undefined;
  readonly resource: string | undefined;
  /** Additional parameters of the authorization and device authorization request. */
  readonly authParams: Readonly<Record<string, string>>;
  readonly login: 'auto' | 'browser' | 'device' | 'paste';
  readonly identity: 'sso' | 'client-credentials';
  readonly token: 'id' | 'access';
  readonly account: string | undefined;
  readonly cache: 'auto' | 'keyring' | 'file' | 'none';
  /** HOST:PORT, loopback only, tried in turn; port 0 is any free one. */
  readonly listenAddress: readonly string[];
  readonly redirectUri: string | undefined;
  readonly dpop: boolean;
  /** A PEM file; when given, nothing else is trusted for the provider. */
  readonly certificateAuthority: string | undefined;
  /** Milliseconds. */
  readonly minValidity: number;
  /** Milliseconds. */
  readonly loginTimeout: number;
  readonly force: boolean;
  /** Where what was signed in for is exchanged; undefined: the cluster gets the provider's own token. */
  readonly broker: BrokerSettings | undefined;

  // From the person's configuration alone: no flag or extension of a kubeconfig may name a command.
  readonly browserCommand: readonly string[] | undefined;
  readonly proxy: string | undefined;
  readonly confirmNewClusters: boolean;
}

/** What `resolveSettings` takes from the person's configuration; see config.ts. */
export type PersonChoices = Partial<
  Pick<Settings, 'login' | 'browserCommand' | 'cache' | 'listenAddress' | 'redirectUri' | 'proxy'> &
    Pick<Settings, 'loginTimeout' | 'minValidity' | 'confirmNewClusters'>
>;

const maxItems = 64;

// What Kleis itself says in these requests (RFC 6749, 7636, 8628, 9101, 9126, 9449; OpenID Connect Core): a kubeconfig that could set
// one could take the sign-in apart.
const reservedParams = new Set(
  `client_id client_secret client_assertion client_assertion_type redirect_uri response_type scope state nonce iss code
  code_challenge code_challenge_method code_verifier grant_type refresh_token device_code request request_uri dpop_jkt
  audience resource id_token_hint registration`.split(/\s+/),
);

/** What differs by cluster, from the extension client.authentication.k8s.io/exec: these and nothing else. */
interface ClusterChoices {
  readonly audience?: string;
  readonly scope?: readonly string[];
  readonly resource?: string;
  readonly grant?: string;
}

/** Nobody signs in: the token of the job or machine is there. */
export function isAmbient(settings: Settings | AmbientSettings): settings is AmbientSettings {
  return settings.issuerUrl === undefined;
}

/** As `resolveSettings`, also for identities that nobody signs in for. */
export function resolveRequest(
  flags: SignInFlags,
  extension: unknown,
  person: PersonChoices,
): Settings | AmbientSettings {
  if (!isAmbientName(flags.identity)) return resolveSettings(flags, extension, person);
  return resolveAmbient(flags, parseExtension(extension), person);
}

/**
 * Flags, then the cluster's extension over them (it is the more specific), then the person's choices where no flag was
 * given. Throws `usage` for a flag, `kubeconfig_invalid` for the extension.
 */
export function resolveSettings(flags: SignInFlags, extension: unknown, person: PersonChoices): Settings {
  const cluster = parseExtension(extension);
  if (isAmbientName(flags.identity)) {
    throw usage(`With --identity ${clean(flags.identity, 80)} nobody signs in: the token is there already.`);
  }
  const identity = oneOf('--identity', ['sso', 'client-credentials'], flags.identity) ?? 'sso';
  const issuerUrl = text('--issuer-url', flags.issuerUrl);
  if (issuerUrl === undefined) {
    throw new KleisError('usage', 'No issuer is given, so there is nothing to sign in to.', {
      hint: 'Name the provider with --issuer-url.',
    });
  }
  const clientSecretFile = file('--client-secret-file', flags.clientSecretFile);
  const clientKeyFile = file('--client-key-file', flags.clientKeyFile);
  if (clientSecretFile !== undefined && clientKeyFile !== undefined) {
    throw usage('--client-secret-file and --client-key-file are two ways to authenticate: give one of them.');
  }
  if (identity === 'client-credentials' && clientSecretFile === undefined && clientKeyFile === undefined) {
    throw usage('--identity client-credentials needs --client-secret-file or --client-key-file.');
  }
  if (identity === 'client-credentials' && flags.token === 'id') {
    throw usage('--identity client-credentials gives no ID token (RFC 6749 section 4.4): leave --token id away.');
  }
  const asked = (cluster.scope ?? flags.scope ?? []).flatMap((value) => scopes('--scope', value));
  return {
    issuerUrl: checkIssuer(issuerUrl),
    clientId: text('--client-id', flags.clientId) ?? 'kleis',
    clientSecretFile,
    clientKeyFile,
    scopes: [...new Set(identity === 'sso' ? ['openid', ...asked] : asked)],
    audience: cluster.audience ?? text('--audience', flags.audience),
    resource: checkResource(cluster.resource ?? text('--resource', flags.resource)),
    authParams: checkParams(flags.authParam ?? []),
    login: oneOf('--login', choices.login, flags.login) ?? person.login ?? 'auto',
    identity,
    token: oneOf('--token', choices.token, flags.token) ?? (identity === 'sso' ? 'id' : 'access'),
    account: checkAccount(flags.account),
    cache: oneOf('--cache', choices.cache, flags.cache) ?? person.cache ?? 'auto',
    listenAddress: (flags.listenAddress ?? person.listenAddress ?? []).map(checkListenAddress),
    redirectUri: checkRedirectUri(text('--redirect-uri', flags.redirectUri) ?? person.redirectUri),
    dpop: flags.dpop ?? false,
    certificateAuthority: file('--certificate-authority', flags.certificateAuthority),
    minValidity: duration('--min-validity', flags.minValidity, 0, 24) ?? person.minValidity ?? 60_000,
    loginTimeout: duration('--login-timeout', flags.loginTimeout, 1000, 1) ?? person.loginTimeout ?? 300_000,
    force: flags.force ?? false,
    broker: resolveBroker(flags, cluster),
    browserCommand: person.browserCommand,
    proxy: person.proxy,
    confirmNewClusters: person.confirmNewClusters ?? false,
  };
}

function parseExtension(extension: unknown): ClusterChoices {
  if (extension === undefined || extension === null) return {};
  const where = 'The cluster extension client.authentication.k8s.io/exec';
  if (typeof extension !== 'object' || Array.isArray(extension)) {
    throw new KleisError('kubeconfig_invalid', `${where} is not a mapping.`);
  }
  const result: { audience?: string; scope?: string[]; resource?: string; grant?: string } = {};
  for (const [name, value] of Object.entries(extension)) {
    if (name === 'scope') {
      result.scope = (Array.isArray(value) ? value : [value]).map((item) => extensionText(where, name, item));
    } else if (name === 'audience' || name === 'resource' || name === 'grant') {
      result[name] = extensionText(where, name, value);
    } else {
      throw new KleisError(
        'kubeconfig_invalid',
        `${where} has ${clean(name, 60)}, which Kleis takes from flags alone.`,
        {
          hint: 'It may hold audience, scope, resource and grant.',
        },
      );
    }
  }
  return result;
}

function extensionText(where: string, name: string, value: unknown): string {
  if (typeof value !== 'string') throw new KleisError('kubeconfig_invalid', `${where}: ${name} is not text.`);
  return text(name, value) ?? '';
}

function checkIssuer(value: string): string {
  const url = URL.parse(value);
  const refuse = (why: string) =>
    new KleisError('issuer_invalid', `The issuer ${clean(value)} cannot be used: ${why}.`);
  if (url === null || /\s/.test(value)) throw refuse('it is not a URL');
  if (url.username !== '' || url.password !== '') throw refuse('it holds a user name or password');
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(value)) {
    throw refuse('an issuer has neither query nor fragment (OpenID Connect Discovery)');
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw refuse('it is neither https nor http on loopback');
  }
  return value;
}

/** RFC 8707 section 2: an absolute URI without a fragment. */
function checkResource(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!/^[a-z][a-z0-9+.-]*:/i.test(value) || value.includes('#')) {
    throw usage(`--resource ${clean(value)} is not an absolute URI without a fragment (RFC 8707).`);
  }
  return value;
}

function checkParams(values: readonly string[]): Record<string, string> {
  if (values.length > maxItems) throw usage(`--auth-param is given more than ${maxItems} times.`);
  const params = new Map<string, string>();
  for (const value of values) {
    const [, name, content] = /^([\w.-]{1,100})=(.*)$/s.exec(value) ?? [];
    if (name === undefined || content === undefined) throw usage(`--auth-param ${clean(value)} is not name=value.`);
    if (reservedParams.has(name.toLowerCase())) {
      throw usage(`--auth-param ${name} is reserved: Kleis itself says it in the request.`);
    }
    if (params.has(name)) throw usage(`--auth-param ${name} is given twice.`);
    // A fragment stays in the browser: the callback would never hear of it.
    if (name === 'response_mode' && content !== 'query' && content !== 'form_post') {
      throw usage('--auth-param response_mode takes query or form_post.');
    }
    params.set(name, text('--auth-param', content) ?? '');
  }
  return Object.fromEntries(params);
}

function checkAccount(value: string | undefined): string | undefined {
  if (value === undefined || /^[\w.@+-]{1,100}$/.test(value)) return value;
  throw usage('--account takes up to 100 letters, digits and . _ @ + -');
}

function checkListenAddress(value: string): string {
  if (isListenAddress(value)) return value;
  throw usage(
    `--listen-address ${clean(value)} is not HOST:PORT with a loopback host (localhost, 127.0.0.1 or [::1]).`,
  );
}

function checkRedirectUri(value: string | undefined): string | undefined {
  if (value === undefined || isRedirectUri(value)) return value;
  throw usage(
    `--redirect-uri ${clean(value)} is not an http URI on loopback without a query, such as http://localhost:8000/callback.`,
  );
}

/** RFC 6749 section 3.3: scope tokens are printable ASCII without quotes and backslash, divided by spaces. */
function scopes(flag: string, value: string): string[] {
  const list = value.split(' ').filter((scope) => scope !== '');
  if (
    list.length === 0 ||
    list.length > maxItems ||
    !list.every((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(scope))
  ) {
    throw usage(`${flag} ${clean(value)} is not a scope (RFC 6749 section 3.3).`);
  }
  return list;
}

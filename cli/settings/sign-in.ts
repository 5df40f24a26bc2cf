import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { type AmbientSettings, resolveAmbient } from './ambient.ts';
import { type BrokerSettings, resolveBroker } from './broker.ts';
import type { SignInFlags } from './flags.ts';
import { authorityOf, gather, type PersonChoices } from './gather.ts';
import { isSignInIdentity, type SignInIdentity } from './identity-name.ts';
import type { Values } from './table.ts';
import { usage } from './values.ts';

/**
 * What a command works with, whole and checked: made once by `resolveSettings` from flags, the cluster's extension and
 * the person's configuration, then only read. What each value is, table.ts says.
 */
export interface Settings extends Pick<
  Values,
  'issuerUrl' | 'clientId' | 'login' | 'token' | 'cache' | 'dpop' | 'force'
> {
  readonly clientSecretFile: string | undefined;
  /** Anew, although the session is alive; `force` renews it. */
  readonly signIn?: boolean;
  readonly clientKeyFile: string | undefined;
  /** Without duplicates; always with `openid` for a person's sign-in. */
  readonly scopes: readonly string[];
  readonly audience: string | undefined;
  readonly resource: string | undefined;
  /** Additional parameters of the authorization and device authorization request. */
  readonly authParams: Readonly<Record<string, string>>;
  readonly identity: SignInIdentity;
  readonly account: string | undefined;
  /** HOST:PORT, loopback only, tried in turn; port 0 is any free one. */
  readonly listenAddress: readonly string[];
  readonly redirectUri: string | undefined;
  /** A PEM file, or its text as a data URL; when given, nothing else is trusted for the provider. */
  readonly certificateAuthority: string | undefined;
  /** Milliseconds. */
  readonly minValidity: number;
  /** Milliseconds. */
  readonly loginTimeout: number;
  /** Where what was signed in for is exchanged; undefined: the cluster gets the provider's own token. */
  readonly broker: BrokerSettings | undefined;

  // From the person's configuration alone: no flag or extension of a kubeconfig may name a command.
  readonly browserCommand: readonly string[] | undefined;
  readonly proxy: string | undefined;
  readonly confirmNewClusters: boolean;
  /** Absolute paths, of folders with a slash at the end: what a kubeconfig may name as the secret or key of its client. */
  readonly clientFiles: readonly string[];
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
  if (isSignInIdentity(flags.identity)) return resolveSettings(flags, extension, person);
  return resolveAmbient(flags, extension, person);
}

/** Throws `usage` and `issuer_invalid` for a flag, `kubeconfig_invalid` for the extension. */
export function resolveSettings(flags: SignInFlags, extension: unknown, person: PersonChoices): Settings {
  const given = gather(flags, extension, person);
  const { issuerUrl, clientSecretFile, clientKeyFile, scope = [], identity = 'sso' } = given;
  if (!isSignInIdentity(identity)) {
    throw usage(`With --identity ${clean(identity, 80)} nobody signs in: the token is there already.`);
  }
  if (issuerUrl === undefined) {
    throw new KleisError('usage', 'No issuer is given, so there is nothing to sign in to.', {
      hint: 'Name the provider with --issuer-url.',
    });
  }
  if (clientSecretFile !== undefined && clientKeyFile !== undefined) {
    throw usage('--client-secret-file and --client-key-file are two ways to authenticate: give one of them.');
  }
  if (identity === 'client-credentials' && clientSecretFile === undefined && clientKeyFile === undefined) {
    throw usage('--identity client-credentials needs --client-secret-file or --client-key-file.');
  }
  if (identity === 'client-credentials' && given.token === 'id') {
    throw usage('--identity client-credentials gives no ID token (RFC 6749 section 4.4): leave --token id away.');
  }
  return {
    issuerUrl,
    clientId: given.clientId ?? 'kleis',
    clientSecretFile,
    clientKeyFile,
    scopes: [...new Set(identity === 'sso' ? ['openid', ...scope] : scope)],
    audience: given.audience,
    resource: given.resource,
    authParams: given.authParam ?? {},
    login: given.login ?? 'auto',
    identity,
    token: given.token ?? (identity === 'sso' ? 'id' : 'access'),
    account: given.account,
    cache: given.cache ?? 'auto',
    listenAddress: given.listenAddress ?? [],
    redirectUri: given.redirectUri,
    dpop: given.dpop ?? false,
    certificateAuthority: authorityOf(given, 'certificateAuthority'),
    minValidity: given.minValidity ?? 60_000,
    loginTimeout: given.loginTimeout ?? 300_000,
    force: given.force ?? false,
    broker: resolveBroker(given, flags.grant),
    browserCommand: given.browserCommand,
    proxy: given.proxy,
    confirmNewClusters: given.confirmNewClusters ?? false,
    clientFiles: given.clientFiles ?? [],
  };
}

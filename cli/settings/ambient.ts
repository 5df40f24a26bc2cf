import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { choices, type SignInFlags } from './flags.ts';
import { duration, file, oneOf, serverUrl, text, usage } from './values.ts';

/** Where a subject token is exchanged, and for what. */
export interface BrokerSettings {
  /** https, or http on loopback; no slash at its end. */
  readonly url: string;
  readonly grant: string;
  /** Milliseconds; undefined takes what the grant gives. */
  readonly ttl: number | undefined;
  /** A PEM file; when given, nothing else is trusted for the broker. */
  readonly certificateAuthority: string | undefined;
}

/** What a command works with where nobody signs in: the job or the machine has an identity already. */
export interface AmbientSettings {
  /** One of `ambientNames`, `file:PATH` (absolute) or `env:NAME`. */
  readonly identity: string;
  readonly issuerUrl?: never;
  /** Whom the token is to be for; learnt from the broker if not given. */
  readonly audience: string | undefined;
  readonly broker: BrokerSettings | undefined;
  /** A PEM file; when given, nothing else is trusted for the platform that makes the token. */
  readonly certificateAuthority: string | undefined;
  readonly cache: 'auto' | 'keyring' | 'file' | 'none';
  /** Milliseconds. */
  readonly minValidity: number;
  readonly force: boolean;
  readonly proxy: string | undefined;
}

const ambientNames = choices.identity.filter((name) => name !== 'sso' && name !== 'client-credentials');

/** True for `github`, `env:NAME` and the like: where the token is there and nobody signs in. Throws `usage`. */
export function isAmbientName(value: string | undefined): boolean {
  if (value === undefined || value === 'sso' || value === 'client-credentials') return false;
  if ((ambientNames as readonly string[]).includes(value) || /^(?:file|env):/.test(value)) return true;
  throw usage(`--identity ${clean(value, 80)} is none of ${choices.identity.join(', ')}, file:PATH and env:NAME.`);
}

// They say how to sign in at a provider, and here nobody does.
const signInOnly = {
  issuerUrl: '--issuer-url',
  clientId: '--client-id',
  clientSecretFile: '--client-secret-file',
  clientKeyFile: '--client-key-file',
  scope: '--scope',
  resource: '--resource',
  authParam: '--auth-param',
  login: '--login',
  token: '--token',
  account: '--account',
  listenAddress: '--listen-address',
  redirectUri: '--redirect-uri',
  dpop: '--dpop',
  loginTimeout: '--login-timeout',
} as const satisfies Partial<Record<keyof SignInFlags, string>>;

/** What the cluster's extension may say here; its scope and resource are for those who sign in. */
interface ClusterChoices {
  readonly audience?: string;
  readonly grant?: string;
}

/** For `isAmbientName`s. Throws `usage`. */
export function resolveAmbient(
  flags: SignInFlags,
  cluster: ClusterChoices,
  person: {
    readonly cache?: AmbientSettings['cache'];
    readonly minValidity?: number;
    readonly proxy?: string | undefined;
  },
): AmbientSettings {
  const identity = checkIdentity(flags.identity ?? '');
  for (const [name, flag] of Object.entries(signInOnly)) {
    if (flags[name as keyof SignInFlags] === undefined) continue;
    throw usage(`${flag} is for a sign-in, but --identity ${clean(identity, 80)} brings its token along.`);
  }
  const certificateAuthority = file('--certificate-authority', flags.certificateAuthority);
  if (certificateAuthority !== undefined && identity !== 'github' && identity !== 'auto') {
    throw usage(`--certificate-authority is of no use here: --identity ${clean(identity, 80)} asks no server.`);
  }
  return {
    identity,
    audience: checkAudience(cluster.audience ?? text('--audience', flags.audience)),
    broker: resolveBroker(flags, cluster),
    certificateAuthority,
    cache: oneOf('--cache', choices.cache, flags.cache) ?? person.cache ?? 'auto',
    minValidity: duration('--min-validity', flags.minValidity, 0, 24) ?? person.minValidity ?? 60_000,
    force: flags.force ?? false,
    proxy: person.proxy,
  };
}

/** Undefined where no broker is named: then the cluster gets the token of the provider or platform itself. Throws `usage`. */
export function resolveBroker(flags: SignInFlags, cluster: Pick<ClusterChoices, 'grant'>): BrokerSettings | undefined {
  const url = serverUrl('--broker', text('--broker', flags.broker));
  if (url === undefined) {
    const alone = {
      grant: '--grant',
      ttl: '--ttl',
      brokerCertificateAuthority: '--broker-certificate-authority',
    } as const;
    for (const [name, flag] of Object.entries(alone)) {
      if (flags[name as keyof typeof alone] !== undefined) throw usage(`${flag} is for a broker: give --broker too.`);
    }
    return undefined;
  }
  const grant = cluster.grant ?? text('--grant', flags.grant);
  if (grant === undefined) {
    throw usage('--broker is given, but not what to ask it for.', 'Name a grant of the broker with --grant.');
  }
  return {
    url,
    grant: checkGrant(grant),
    ttl: duration('--ttl', flags.ttl, 1000, 24 * 366),
    certificateAuthority: file('--broker-certificate-authority', flags.brokerCertificateAuthority),
  };
}

function checkIdentity(value: string): string {
  const [, kind, rest = ''] = /^(file|env):(.*)$/s.exec(value) ?? [];
  // The launcher uses small letters, and single ones, for itself.
  if (kind === 'env' && !/^[A-Z_][A-Z0-9_]{1,127}$/.test(rest)) {
    throw usage(`--identity ${clean(value, 80)} names no variable in capital letters, as env:KLEIS_ID_TOKEN does.`);
  }
  return kind === 'file' ? `file:${file('--identity file:', rest) ?? ''}` : value;
}

/** It becomes an argument of a program of the platform. */
function checkAudience(value: string | undefined): string | undefined {
  if (value?.startsWith('-') !== true) return value;
  throw usage(`--audience ${clean(value, 80)} begins with a dash.`);
}

/** It is sent as the scope (RFC 6749 section 3.3), of which there is exactly one. */
function checkGrant(value: string): string {
  if (/^[\x21\x23-\x5b\x5d-\x7e]{1,253}$/.test(value)) return value;
  throw new KleisError('usage', `--grant ${clean(value, 80)} is not the name of a grant.`);
}

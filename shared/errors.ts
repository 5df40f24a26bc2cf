/**
 * Every way in which Kleis fails, in one table: a stable code (scripts and logs may rely on it), the exit code of the
 * command line, and what to do next. What happened and why is said where it happens.
 */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  signIn: 3,
  denied: 4,
  unavailable: 5,
  configuration: 6,
  /** As shells report SIGINT. */
  interrupted: 130,
} as const;

/** For people, and for those who write scripts. */
export const exitMeanings: Readonly<
  Record<keyof typeof exitCodes, { readonly short: string; readonly means: string; readonly scripts: string }>
> = {
  ok: { short: 'fine', means: 'fine', scripts: 'go on' },
  unexpected: { short: 'unexpected', means: 'something that Kleis did not foresee', scripts: 'report it' },
  usage: { short: 'usage', means: 'usage: a flag or argument is wrong', scripts: 'correct the call' },
  signIn: {
    short: 'sign-in needed or refused',
    means: 'a sign-in is needed, was refused, cancelled or ran out of time',
    scripts: 'get a person',
  },
  denied: { short: 'denied by policy', means: 'denied by policy', scripts: 'ask the administrator' },
  unavailable: {
    short: 'network or server unavailable, try again',
    means: 'the network or a server is unavailable, or another process holds what is needed',
    scripts: 'try again',
  },
  configuration: {
    short: 'configuration',
    means: 'configuration: `config.yaml`, kubeconfig, provider settings, the clock, storage',
    scripts: 'correct the configuration',
  },
  interrupted: { short: 'interrupted', means: 'interrupted (Ctrl-C)', scripts: 'run it again' },
};

/** For `--help`; `more` replaces what a program has more to say of. */
export function exitCodesHelp(more: Partial<Record<keyof typeof exitCodes, string>> = {}): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const lines = names.map(
    (name) => `  ${String(exitCodes[name]).padEnd(3)}  ${more[name] ?? exitMeanings[name].short}`,
  );
  return `\nExit codes:\n${lines.join('\n')}`;
}

/** RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 7009 section 2.2.1, RFC 6750 section 3.1. */
export const oauthErrors = [
  'invalid_request',
  'invalid_scope',
  'invalid_target',
  'unsupported_grant_type',
  'unsupported_token_type',
  'invalid_token',
  'insufficient_scope',
  'server_error',
  'temporarily_unavailable',
] as const;
export type OAuthError = (typeof oauthErrors)[number];

interface ErrorEntry {
  readonly exit: keyof typeof exitCodes;
  /** What to do next; one sentence, imperative. */
  readonly hint: string;
  /** How the broker answers; where there is none it is a fault of its own: 500, `server_error`. */
  readonly status?: number;
  readonly oauth?: OAuthError;
}

const refused = { status: 400, oauth: 'invalid_request' } as const;
const unavailable = { exit: 'unavailable', status: 503, oauth: 'temporarily_unavailable' } as const;

const table = {
  unexpected: { exit: 'unexpected', hint: 'Run it again with --verbose and report what it prints.' },
  usage: { exit: 'usage', hint: 'See --help.' },
  interrupted: { exit: 'interrupted', hint: 'Run the command again.' },

  sign_in_needed: { exit: 'signIn', status: 401, oauth: 'invalid_token', hint: 'Sign in with `kleis login`.' },
  sign_in_refused: {
    ...refused,
    status: 403,
    exit: 'signIn',
    hint: 'Try again, or ask the administrator of the provider why it refuses.',
  },
  sign_in_cancelled: { exit: 'signIn', hint: 'Run the command again to sign in.' },
  sign_in_timeout: { exit: 'signIn', hint: 'Run the command again; --login-timeout gives more time.' },
  sign_in_invalid: {
    ...refused,
    exit: 'signIn',
    hint: 'Try again; if it keeps happening, tell the administrator of the provider.',
  },
  claims_too_large: {
    ...refused,
    exit: 'signIn',
    hint: 'Ask the administrator of the provider to send fewer groups to this client.',
  },
  browser_unavailable: { exit: 'signIn', hint: 'Use --login device or --login paste.' },

  provider_unavailable: { exit: 'unavailable', hint: 'Check the network and try again.' },
  provider_invalid: {
    exit: 'unavailable',
    hint: 'Check that the issuer URL names an OpenID provider, then try again.',
  },
  broker_invalid: {
    exit: 'unavailable',
    hint: 'Check that the address is that of a Kleis broker, and that nothing else answers for it.',
  },
  claim_held: { exit: 'unavailable', hint: 'Wait for it to end, or end that process, and try again.' },

  subject_malformed: { ...refused, exit: 'signIn', hint: 'Send the token exactly as its issuer gave it.' },
  subject_issuer_unknown: {
    ...refused,
    exit: 'signIn',
    hint: 'Check the issuer; /.well-known/kleis of the broker lists those it knows.',
  },
  subject_algorithm: {
    ...refused,
    exit: 'signIn',
    hint: 'Ask the administrator of the broker which algorithms it accepts.',
  },
  subject_signature: { ...refused, exit: 'signIn', hint: 'Get a new token from the issuer and send it unchanged.' },
  subject_audience: {
    ...refused,
    exit: 'signIn',
    hint: 'Ask the issuer for a token with the audience that /.well-known/kleis names.',
  },
  subject_expired: { ...refused, exit: 'signIn', hint: 'Get a new token and send it at once.' },
  subject_not_yet_valid: {
    ...refused,
    exit: 'signIn',
    hint: 'Try again in a minute; if it stays, a clock is wrong at one end.',
  },
  subject_too_old: { ...refused, exit: 'signIn', hint: 'Get a new token right before it is exchanged.' },
  subject_replayed: {
    ...refused,
    exit: 'signIn',
    hint: 'Get a new token from the issuer for every exchange, and repeat a request only with its Idempotency-Key.',
  },
  issuer_unavailable: { ...unavailable, hint: 'Try again in a moment.' },

  request_malformed: { ...refused, exit: 'usage', hint: 'Correct what the message names.' },
  request_unsupported: { ...refused, exit: 'usage', hint: 'Leave out what the broker does not offer.' },
  request_too_large: { ...refused, status: 413, exit: 'usage', hint: 'Send less.' },
  request_foreign: {
    ...refused,
    status: 403,
    exit: 'usage',
    hint: 'Open the page of the broker anew, and do it there.',
  },
  request_slow: { ...refused, status: 408, exit: 'unavailable', hint: 'Send the whole request at once.' },
  grant_type_unsupported: { exit: 'usage', status: 400, oauth: 'unsupported_grant_type', hint: 'Use token exchange.' },
  token_type_unsupported: {
    exit: 'usage',
    status: 400,
    oauth: 'unsupported_token_type',
    hint: 'Let it expire, or ask the administrator of the broker to make the grant revocable.',
  },
  scope_invalid: { exit: 'usage', status: 400, oauth: 'invalid_scope', hint: 'Name exactly one grant in scope.' },
  target_invalid: {
    exit: 'denied',
    status: 400,
    oauth: 'invalid_target',
    hint: 'Leave audience and resource out: a grant has one cluster.',
  },
  grant_denied: {
    ...refused,
    exit: 'denied',
    hint: 'Check the name of the grant, or ask the administrator of the broker, with the request id.',
  },
  bearer_missing: { exit: 'signIn', status: 401, oauth: 'invalid_token', hint: 'Send `Authorization: Bearer TOKEN`.' },
  bearer_invalid: { exit: 'signIn', status: 401, oauth: 'invalid_token', hint: 'Sign in again.' },
  admin_only: {
    exit: 'denied',
    status: 403,
    oauth: 'insufficient_scope',
    hint: 'Ask one of the admins of the broker.',
  },
  route_unknown: { exit: 'usage', status: 404, oauth: 'invalid_request', hint: 'Check the URL of the broker.' },
  lease_unknown: { exit: 'usage', status: 404, oauth: 'invalid_request', hint: 'List those there are with `leases`.' },
  method_unsupported: {
    exit: 'usage',
    status: 405,
    oauth: 'invalid_request',
    hint: 'Use the method that Allow names.',
  },
  proxy_untrusted: {
    exit: 'configuration',
    status: 403,
    oauth: 'invalid_request',
    hint: 'Use https, or name the proxy in trustedProxies of the broker.',
  },
  rate_limited: { ...unavailable, status: 429, hint: 'Wait as long as Retry-After says, and try again.' },
  cluster_unavailable: { ...unavailable, hint: 'Try again in a moment.' },
  cluster_refused: {
    exit: 'unavailable',
    status: 502,
    oauth: 'server_error',
    hint: 'Tell the administrator of the broker: `kleis-broker check` says what is wrong.',
  },
  audit_unavailable: { ...unavailable, hint: 'Try again in a moment; no token was given out.' },
  broker_not_ready: { ...unavailable, hint: 'Try again in a moment.' },
  caller_gone: {
    exit: 'unavailable',
    status: 499,
    oauth: 'server_error',
    hint: 'Try again with the same Idempotency-Key.',
  },

  config_invalid: { exit: 'configuration', hint: 'Correct the configuration.' },
  kubeconfig_invalid: { exit: 'configuration', hint: 'Correct the kubeconfig.' },
  identity_missing: { exit: 'configuration', hint: 'See docs/ci/README.md for what gives a job an identity.' },
  cluster_unknown: {
    exit: 'configuration',
    hint: 'Set `provideClusterInfo: true` in the exec section of the kubeconfig user.',
  },
  issuer_invalid: { exit: 'configuration', hint: 'Check --issuer-url.' },
  issuer_mismatch: { exit: 'configuration', hint: 'Use the issuer exactly as the provider spells it.' },
  client_refused: {
    exit: 'configuration',
    status: 502,
    oauth: 'server_error',
    hint: 'Check --client-id and how the client authenticates.',
  },
  token_unusable: {
    exit: 'configuration',
    hint: 'Check --scope and --token, and what the provider issues to this client.',
  },
  port_in_use: { exit: 'configuration', hint: 'Give another with --listen-address, or use --login device.' },
  clock_skewed: { exit: 'configuration', hint: 'Set the clock of this machine.' },
  storage_unsafe: {
    exit: 'configuration',
    hint: 'Take the rights of others away (chmod go=), or remove the file and sign in again.',
  },
  storage_corrupt: { exit: 'configuration', hint: 'Remove the file and sign in again.' },
  storage_unavailable: { exit: 'configuration', hint: 'Free the space or the folder, or use --cache none.' },
  keyring_unavailable: { exit: 'configuration', hint: 'Unlock the keyring, or use --cache file.' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof table;

export const errorCodes = Object.keys(table).filter(isErrorCode);

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(table, value);
}

/** How the broker answers with that code. */
export function statusOf(code: ErrorCode): { readonly status: number; readonly oauth: OAuthError } {
  const { status = 500, oauth = 'server_error' }: ErrorEntry = table[code];
  return { status, oauth };
}

export interface ErrorDetails {
  /** Overrides the table's hint where the place knows better. */
  readonly hint?: string;
  /** For the log at debug level only; never shown otherwise. Never a token. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Seconds after which trying again makes sense; where the broker knows. */
  readonly retryAfter?: number;
}

/** `message` says what happened and why, in public words: no token, and text from outside only through `clean()`. */
export class KleisError extends Error {
  override readonly name = 'KleisError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly exitCode: number;
  readonly detail: string | undefined;
  readonly retryAfter: number | undefined;
  /** HTTP, where the broker answers with it. */
  readonly status: number;
  readonly oauth: OAuthError;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.hint = details.hint ?? table[code].hint;
    const entry: ErrorEntry = table[code];
    this.exitCode = exitCodes[entry.exit];
    this.detail = details.detail;
    this.retryAfter = details.retryAfter;
    const { status, oauth } = statusOf(code);
    this.status = status;
    this.oauth = oauth;
  }
}

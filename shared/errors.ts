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
} as const;

interface ErrorEntry {
  readonly exit: number;
  /** What to do next; one sentence, imperative. */
  readonly hint: string;
}

const table = {
  unexpected: { exit: 1, hint: 'Run it again with --verbose and report what it prints.' },
  usage: { exit: 2, hint: 'See --help.' },

  sign_in_needed: { exit: 3, hint: 'Sign in with `kleis login`.' },
  sign_in_refused: { exit: 3, hint: 'Try again, or ask the administrator of the provider why it refuses.' },
  sign_in_cancelled: { exit: 3, hint: 'Run the command again to sign in.' },
  sign_in_timeout: { exit: 3, hint: 'Run the command again; --login-timeout gives more time.' },
  sign_in_invalid: { exit: 3, hint: 'Try again; if it keeps happening, tell the administrator of the provider.' },
  browser_unavailable: { exit: 3, hint: 'Use --login device or --login paste.' },

  provider_unavailable: { exit: 5, hint: 'Check the network and try again; nothing was lost.' },
  provider_invalid: { exit: 5, hint: 'Check that the issuer URL names an OpenID provider, then try again.' },
  claim_held: { exit: 5, hint: 'Wait for it to end, or end that process, and try again.' },

  subject_malformed: { exit: 3, hint: 'Send the token exactly as its issuer gave it.' },
  subject_issuer_unknown: { exit: 3, hint: 'Check the issuer; /.well-known/kleis of the broker lists those it knows.' },
  subject_algorithm: { exit: 3, hint: 'Ask the administrator of the broker which algorithms it accepts.' },
  subject_signature: { exit: 3, hint: 'Get a new token from the issuer and send it unchanged.' },
  subject_audience: { exit: 3, hint: 'Ask the issuer for a token with the audience that /.well-known/kleis names.' },
  subject_expired: { exit: 3, hint: 'Get a new token and send it at once.' },
  subject_not_yet_valid: { exit: 3, hint: 'Try again in a minute; if it stays, a clock is wrong at one end.' },
  subject_too_old: { exit: 3, hint: 'Get a new token right before it is exchanged.' },
  issuer_unavailable: { exit: 5, hint: 'Try again in a moment.' },

  config_invalid: { exit: 6, hint: 'Correct the configuration.' },
  kubeconfig_invalid: { exit: 6, hint: 'Correct the kubeconfig.' },
  cluster_unknown: { exit: 6, hint: 'Set `provideClusterInfo: true` in the exec section of the kubeconfig user.' },
  issuer_invalid: { exit: 6, hint: 'Check --issuer-url.' },
  issuer_mismatch: { exit: 6, hint: 'Use the issuer exactly as the provider spells it.' },
  client_refused: { exit: 6, hint: 'Check --client-id and how the client authenticates.' },
  token_unusable: { exit: 6, hint: 'Check --scope and --token, and what the provider issues to this client.' },
  port_in_use: { exit: 6, hint: 'Give another with --listen-address, or use --login device.' },
  clock_skewed: { exit: 6, hint: 'Set the clock of this machine.' },
  storage_unsafe: {
    exit: 6,
    hint: 'Take the rights of others away (chmod go=), or remove the file and sign in again.',
  },
  storage_corrupt: { exit: 6, hint: 'Remove the file and sign in again.' },
  storage_unavailable: { exit: 6, hint: 'Free the space or the folder, or use --cache none.' },
  keyring_unavailable: { exit: 6, hint: 'Unlock the keyring, or use --cache file.' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof table;

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(table, value);
}

export interface ErrorDetails {
  /** Overrides the table's hint where the place knows better. */
  readonly hint?: string;
  /** For the log at debug level only; never shown otherwise. Never a token. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** `message` says what happened and why, in public words: no token, and text from outside only through `clean()`. */
export class KleisError extends Error {
  override readonly name = 'KleisError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly exitCode: number;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.hint = details.hint ?? table[code].hint;
    this.exitCode = table[code].exit;
    this.detail = details.detail;
  }
}

import { KleisError, type ErrorCode } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Answer } from './answer.ts';

/** What was asked with, where that explains a refusal. */
export interface Asker {
  /** The client has a secret or a key and has used it. */
  readonly authenticates: boolean;
  /** Scopes that were asked for and that the provider does not list, where it lists any. */
  readonly unlistedScopes: readonly string[];
}

/** Error codes that speak of the moment or of the request's form, not of the token or code that was presented. */
const passing = new Set([
  'temporarily_unavailable',
  'slow_down',
  'server_error',
  'use_dpop_nonce',
  'invalid_dpop_proof',
]);
const ofTheClient = new Set(['invalid_client', 'unauthorized_client']);

/**
 * What it means that a refresh was not answered with tokens. Real providers refuse with whatever code they like (or with
 * an empty 400), so only what is certainly not about the refresh token is taken out; and a session is given up only on
 * `sign_in_needed`.
 */
export function refreshRefusal(answer: Answer, asker: Asker): KleisError {
  // A gateway that gave up waiting does not know what the provider has done.
  const lost = answer.status === 502 || answer.status === 504 ? 'the session is kept' : 'nothing was lost';
  if (isPassing(answer)) return unavailable(answer, `Try again in a moment; ${lost}.`);
  if (ofTheClient.has(answer.error ?? '') || wantsProof(answer, asker)) return clientRefused(answer, asker);
  return new KleisError('sign_in_needed', `The session has ended: ${said(answer)}.`, hintOf(answer, asker));
}

/** The same for a code, a device code or a client's own credentials. */
export function signInRefusal(answer: Answer, asker: Asker): KleisError {
  if (isPassing(answer)) return unavailable(answer, 'Try again in a moment; the provider has a problem.');
  const emptyRefusal = answer.status === 401 && answer.error === undefined;
  if (ofTheClient.has(answer.error ?? '') || emptyRefusal || wantsProof(answer, asker))
    return clientRefused(answer, asker);
  const code: ErrorCode =
    answer.error === 'invalid_scope' || answer.error === 'invalid_target' ? 'token_unusable' : 'sign_in_refused';
  return new KleisError(code, `The provider refuses: ${said(answer)}.`, hintOf(answer, asker));
}

/** The same for a device sign-in, which many providers list and few allow to every client. */
export function deviceRefusal(answer: Answer, asker: Asker): KleisError {
  const isOff = answer.error === 'unauthorized_client' || answer.error === 'unsupported_grant_type';
  if (!isOff || wantsProof(answer, asker)) return signInRefusal(answer, asker);
  return new KleisError('client_refused', `This client may not sign in with a device code: ${said(answer)}.`, {
    hint: 'Enable the device authorization grant for it at the provider (Keycloak: Capability config, "OAuth 2.0 Device Authorization Grant"), or use --login browser or --login paste.',
  });
}

export function isPassing({ status, error, ok }: Answer): boolean {
  if (error !== undefined && passing.has(error)) return true;
  if (status === 408 || status === 425 || status === 429) return true;
  // About the token itself, whatever the status that comes with it; and some refuse with a 200.
  if (error === 'invalid_grant' || (ok && error !== undefined)) return false;
  if (status === 400 || status === 401) return false;
  if (status < 400 || status >= 500) return true;
  return error === undefined;
}

/** `invalid_client`, also as an empty 401: worth one more try with the client's other way to authenticate. */
export function refusesClient(answer: Answer): boolean {
  return answer.error === 'invalid_client' || (answer.status === 401 && answer.error === undefined);
}

function unavailable(answer: Answer, hint: string): KleisError {
  return new KleisError('provider_unavailable', `The provider cannot answer now: ${said(answer)}.`, {
    hint: clockHint(answer) ?? hint,
  });
}

function clientRefused(answer: Answer, asker: Asker): KleisError {
  const message = `The provider does not accept this client: ${said(answer)}.`;
  return new KleisError('client_refused', message, hintOf(answer, asker));
}

function said({ host, status, error, description }: Answer): string {
  const what = error === undefined ? `with HTTP ${status}` : clean(error, 60);
  const because = description === undefined ? '' : ` (${clean(description).replace(/\.$/, '')})`;
  return `${clean(host)} answers ${what}${because}`;
}

function hintOf(answer: Answer, asker: Asker): { hint?: string } {
  const hint =
    clockHint(answer) ??
    (answer.error === 'invalid_scope' ? scopeHint(asker) : undefined) ??
    (wantsProof(answer, asker) || (answer.error === 'invalid_client' && !asker.authenticates)
      ? proofHint(answer)
      : undefined);
  return hint === undefined ? {} : { hint };
}

/** Names what a provider most likely means by `invalid_scope` (Keycloak says only that one of all is wrong). */
export function scopeHint({ unlistedScopes }: Asker): string | undefined {
  if (unlistedScopes.length === 0) return undefined;
  const names = clean(unlistedScopes.join(', '));
  return `The provider does not list ${names}: leave that out of --scope, or have it added to this client.`;
}

/**
 * A client that has a secret at the provider was used without it. Google says so with `invalid_request`, Keycloak with
 * `unauthorized_client`, Entra ID with AADSTS7000218: their words are all there is to go by.
 */
function wantsProof({ ok, description }: Answer, { authenticates }: Asker): boolean {
  return !ok && !authenticates && /client[ _-]?(?:secret|assertion|credentials)|AADSTS7000218/i.test(description ?? '');
}

function proofHint({ description }: Answer): string {
  const give = 'Give the secret of this client with --client-secret-file';
  return description?.includes('AADSTS7000218') === true
    ? `${give}, or allow public client flows for it (Entra ID: Authentication, "Allow public client flows").`
    : `${give}, or register it as a public client.`;
}

function clockHint({ clockAhead }: Answer): string | undefined {
  if (clockAhead === undefined || Math.abs(clockAhead) < 60_000) return undefined;
  return `${describeSkew(clockAhead)} Set it, then try again.`;
}

/** "The clock of this machine is 10 minutes ahead of the provider's." */
export function describeSkew(clockAhead: number): string {
  const seconds = Math.round(Math.abs(clockAhead) / 1000);
  const [amount, unit] =
    seconds < 120
      ? [seconds, 'seconds']
      : seconds < 7200
        ? [Math.round(seconds / 60), 'minutes']
        : seconds < 172_800
          ? [Math.round(seconds / 3600), 'hours']
          : [Math.round(seconds / 86_400), 'days'];
  return `The clock of this machine is ${amount} ${unit} ${clockAhead > 0 ? 'ahead of' : 'behind'} the provider's.`;
}

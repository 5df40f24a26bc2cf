import { KleisError, type ErrorCode } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { parseObject } from '../../shared/json.ts';

/** What the token endpoint (or one of its sisters) answered. */
export interface Answer {
  /** The host that answered. */
  readonly host: string;
  readonly status: number;
  /** `error` of an OAuth error body (RFC 6749 section 5.2). */
  readonly error: string | undefined;
  readonly description: string | undefined;
  /** How far this machine's clock is ahead of the provider's, in milliseconds, from the Date header. */
  readonly clockAhead: number | undefined;
}

/** Reads an answer at the moment `now` (milliseconds since the epoch). */
export function readAnswer(url: string, response: Response, text: string, now: number): Answer {
  const body = parseObject(text);
  const date = Date.parse(response.headers.get('date') ?? '');
  return {
    host: new URL(url).host,
    status: response.status,
    error: textOf(body?.['error']),
    description: textOf(body?.['error_description']),
    clockAhead: Number.isNaN(date) ? undefined : now - date,
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
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
export function refreshRefusal(answer: Answer): KleisError {
  if (isPassing(answer)) return unavailable(answer, 'nothing was lost');
  if (ofTheClient.has(answer.error ?? '')) return clientRefused(answer);
  return new KleisError('sign_in_needed', `The session has ended: ${said(answer)}.`, hintOf(answer));
}

/** The same for a code, a device code or a client's own credentials. */
export function signInRefusal(answer: Answer): KleisError {
  if (isPassing(answer)) return unavailable(answer, 'try again');
  if (ofTheClient.has(answer.error ?? '') || (answer.status === 401 && answer.error === undefined))
    return clientRefused(answer);
  const code: ErrorCode =
    answer.error === 'invalid_scope' || answer.error === 'invalid_target' ? 'token_unusable' : 'sign_in_refused';
  return new KleisError(code, `The provider refuses: ${said(answer)}.`, hintOf(answer));
}

export function isPassing({ status, error }: Answer): boolean {
  if (error !== undefined && passing.has(error)) return true;
  if (status === 408 || status === 425 || status === 429) return true;
  // About the token itself, whatever the status that comes with it; and some refuse with a 200.
  if (error === 'invalid_grant' || (status === 200 && error !== undefined)) return false;
  if (status === 400 || status === 401) return false;
  if (status < 400 || status >= 500) return true;
  return error === undefined;
}

/** `invalid_client`, also as an empty 401: worth one more try with the client's other way to authenticate. */
export function refusesClient(answer: Answer): boolean {
  return answer.error === 'invalid_client' || (answer.status === 401 && answer.error === undefined);
}

function unavailable(answer: Answer, comfort: string): KleisError {
  const hint =
    clockHint(answer) ?? `Try again in a moment; ${comfort === 'try again' ? 'the provider has a problem' : comfort}.`;
  return new KleisError('provider_unavailable', `The provider cannot answer now: ${said(answer)}.`, { hint });
}

function clientRefused(answer: Answer): KleisError {
  return new KleisError('client_refused', `The provider does not accept this client: ${said(answer)}.`, hintOf(answer));
}

function said({ host, status, error, description }: Answer): string {
  const from = `${clean(host)} answers`;
  if (error === undefined) return `${from} with HTTP ${status}`;
  const because = description === undefined || description === '' ? '' : ` (${clean(description).replace(/\.$/, '')})`;
  return `${from} ${clean(error, 60)}${because}`;
}

function hintOf(answer: Answer): { hint?: string } {
  const hint = clockHint(answer);
  return hint === undefined ? {} : { hint };
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

const secretFields = ['refresh_token', 'code', 'code_verifier', 'device_code', 'client_secret', 'client_assertion'];

/** A provider that repeats in its refusal what we sent must not get it onto a terminal or into a log. */
export function withoutSecrets(text: string, body: unknown): string {
  if (!(body instanceof URLSearchParams)) return text;
  const secrets = secretFields.flatMap((name) => body.get(name) ?? []).filter((secret) => secret.length >= 8);
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
}

import { type ErrorCode, type ErrorDetails, isErrorCode, KleisError, statusOf } from './errors.ts';
import { isObject, parseObject } from './json.ts';
import { createFetch, type Fetch } from './net/http.ts';
import { isTrustFailure } from './net/network-errors.ts';
import { tellIfSlow } from './net/patience.ts';
import { backoff, isPassingStatus, readRetryAfter } from './net/retry.ts';
import { withoutLastSlash } from './net/url.ts';
import { type ErrorResponse, type FailedCondition, requestIdHeader, type RevokeResponse } from './protocol.ts';
import type { Secret } from './secret.ts';
import { clean } from './text.ts';

export interface BrokerConnectionOptions {
  /** https, or http on loopback. */
  readonly url: string;
  /** PEM text; then nothing else is trusted. */
  readonly certificateAuthority: string | undefined;
  /** The flag that gives it, for hints. */
  readonly authorityFlag: string;
  readonly proxy?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: { now(): number; sleep(milliseconds: number, signal?: AbortSignal): Promise<void> };
  readonly signal: AbortSignal;
  /** Bytes of an answer. */
  readonly maxBody: number;
  /** Told before each repetition. */
  readonly debug?: (text: string) => void;
  /** Told of the host when it has not answered for a second. */
  readonly waiting?: (host: string) => void;
}

export interface BrokerCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly form?: URLSearchParams;
  readonly bearer?: Secret;
  readonly headers?: Readonly<Record<string, string>>;
  /** A status beside 200 whose body, unless it says an error, is an answer too. */
  readonly alsoAnswers?: number;
}

export interface BrokerAnswer {
  readonly body: Readonly<Record<string, unknown>>;
  /** When the request left, in milliseconds since the epoch; what `expires_in` counts from is not earlier. */
  readonly sentAt: number;
}

export interface BrokerConnection {
  /** The broker's host, as people may see it. */
  readonly host: string;
  /**
   * Sends it again where nobody knows whether an answer got lost, so it must be harmless to send twice. Throws what the
   * broker says (with its reason and request id), `provider_unavailable`, `broker_invalid`.
   */
  request(call: BrokerCall): Promise<BrokerAnswer>;
  /** What answers there is no broker. */
  notABroker(why: string): KleisError;
}

/** What a broker refuses, with what it says of it. */
export class BrokerRefusal extends KleisError {
  /** Of the caller's own claims; cleaned. */
  readonly failed: readonly FailedCondition[];

  constructor(code: ErrorCode, message: string, failed: readonly FailedCondition[], details: ErrorDetails) {
    super(code, message, details);
    this.failed = failed;
  }
}

const attempts = 4;
const firstWait = 400;
const attemptTimeout = 15_000;
/** For all attempts together: kubectl waits, and the claim of the session is held (60 s). */
const patience = 35_000;

/** The one way in which both programs talk to a broker. */
export function openBrokerConnection(options: BrokerConnectionOptions): BrokerConnection {
  const { url, certificateAuthority, authorityFlag, proxy, env, clock, signal, maxBody, debug, waiting } = options;
  const base = withoutLastSlash(url);
  const host = clean(new URL(base).host);
  const fetch = createFetch({
    certificateAuthority,
    proxy,
    env,
    now: () => clock.now(),
    signal,
    debug,
    maxBody,
    timeout: attemptTimeout,
    attempts: 1,
  });

  async function again(failure: KleisError, attempt: number, deadline: number): Promise<void> {
    const asked = failure.retryAfter === undefined ? undefined : failure.retryAfter * 1000;
    const wait = asked ?? Math.round(backoff(attempt, firstWait));
    if (attempt >= attempts || clock.now() + wait > deadline) throw failure;
    debug?.(`${failure.message} Trying again in ${wait} ms.`);
    await clock.sleep(wait, signal);
  }

  return {
    host,
    notABroker: (why) => notABroker(host, why),
    request: async (call) => tellIfSlow(waiting && (() => waiting(host)), async () => request(call)),
  };

  async function request(call: BrokerCall): Promise<BrokerAnswer> {
    const deadline = clock.now() + patience;
    for (let attempt = 1; ; attempt += 1) {
      const sentAt = clock.now();
      const outcome = await send(fetch, base, call).catch((error: unknown) => unreachable(error, authorityFlag));
      if (outcome instanceof KleisError) {
        await again(outcome, attempt, deadline);
        continue;
      }
      const body = parseObject(await outcome.text());
      const answered = outcome.status === call.alsoAnswers && body !== undefined && body['error'] === undefined;
      const refusal = answered ? undefined : readRefusal(outcome, body, host, clock.now());
      if (refusal === undefined) return { body: body ?? {}, sentAt };
      if (!isPassing(refusal)) throw refusal;
      await again(refusal, attempt, deadline);
    }
  }
}

/** What a broker says of a token that it was to end. Throws `broker_invalid`. */
export function readRevocation({ body }: BrokerAnswer, broker: Pick<BrokerConnection, 'notABroker'>): RevokeResponse {
  const { revoked, dead_within: deadWithin, reason, lease } = body;
  if (typeof revoked !== 'boolean') throw broker.notABroker('it does not say whether the token was revoked');
  return {
    revoked,
    ...(typeof deadWithin === 'number' && deadWithin >= 0 && { dead_within: deadWithin }),
    ...((reason === 'unknown' || reason === 'expired') && { reason }),
    ...(typeof lease === 'string' && { lease: clean(lease, 253) }),
  };
}

async function send(fetch: Fetch, base: string, { method, path, form, bearer, headers }: BrokerCall) {
  return fetch(`${base}${path}`, {
    method,
    headers: {
      accept: 'application/json',
      ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(bearer && { authorization: `Bearer ${bearer.reveal()}` }),
      ...headers,
    },
    body: form,
    redirect: 'manual',
  });
}

/** What shared/net/http.ts says of any server, with what to do about this one; thrown unless it may pass. */
function unreachable(error: unknown, authorityFlag: string): KleisError {
  if (!(error instanceof KleisError) || !error.code.startsWith('provider_')) throw error;
  const untrusted = isTrustFailure(error);
  const hint = untrusted
    ? `Check the address of the broker, and give ${authorityFlag} if the broker has a certificate of your own authority.`
    : 'Check the address of the broker and the network, and try again.';
  const { code, message, detail } = error;
  const failure = new KleisError(code, message, { hint, cause: error, ...(detail !== undefined && { detail }) });
  if (code !== 'provider_unavailable' || untrusted) throw failure;
  return failure;
}

function isPassing({ code, oauth }: KleisError): boolean {
  return oauth === 'temporarily_unavailable' || code === 'request_slow' || code === 'caller_gone';
}

type ErrorBody = Partial<Record<keyof ErrorResponse, unknown>>;

/** Undefined if the answer is none. */
function readRefusal(
  { status, headers }: Response,
  body: ErrorBody | undefined,
  host: string,
  now: number,
): KleisError | undefined {
  if (status === 200) return undefined;
  const retryAfter = readRetryAfter(headers.get('retry-after'), now);
  const retryHint = retryAfter === undefined ? undefined : `Try again in ${retryAfter} s.`;
  const rest = retryAfter === undefined ? {} : { retryAfter };
  if (body === undefined || typeof body.error !== 'string') {
    if (!isPassingStatus(status)) return notABroker(host, `it answers with HTTP ${status}`);
    return new KleisError('broker_not_ready', `${host} answers with HTTP ${status}.`, {
      ...rest,
      hint: retryHint ?? 'Try again in a moment.',
    });
  }
  const id = clean(body.request_id ?? headers.get(requestIdHeader) ?? '', 80);
  const said = clean(body.message ?? body.error_description ?? body.error, 600);
  const failed = readFailed(body.failed);
  const message = `The broker ${host} says: ${said}${failedClaims(failed)}${id === '' ? '' : ` (request ${id})`}`;
  const hint = typeof body.hint === 'string' && body.hint !== '' ? clean(body.hint, 300) : undefined;
  const better = retryHint ?? hint;
  const details = { ...rest, ...(better !== undefined && { hint: better }) };
  return new BrokerRefusal(codeOf(body, status), message, failed, details);
}

/** A code of the table if it is one that a broker answers this status with; a code is also an exit code. */
function codeOf({ code, error }: ErrorBody, status: number): ErrorCode {
  if (typeof code === 'string' && isErrorCode(code)) {
    const known = statusOf(code);
    if (known.status === status && known.oauth === error) return code;
  }
  if (status === 429 || status >= 500) return 'broker_not_ready';
  // RFC 8693 section 2.2.2: what a token exchange service says to all that its policy does not allow.
  return status === 401 ? 'bearer_invalid' : 'grant_denied';
}

function readFailed(failed: unknown): FailedCondition[] {
  if (!Array.isArray(failed)) return [];
  return failed
    .slice(0, 8)
    .filter(isObject)
    .filter((item) => 'claim' in item)
    .map(({ claim, seen, expected }) => ({
      claim: clean(claim, 80),
      seen: clean(seen ?? 'nothing', 120),
      ...(expected !== undefined && { expected: clean(expected, 120) }),
    }));
}

function failedClaims(failed: readonly FailedCondition[]): string {
  const texts = failed.map(({ claim, seen, expected }) => {
    const wanted = expected === undefined ? '' : `, expected ${expected}`;
    return `${claim} (seen ${seen}${wanted})`;
  });
  return texts.length === 0 ? '' : ` What did not fit: ${texts.join('; ')}.`;
}

function notABroker(host: string, why: string): KleisError {
  return new KleisError('broker_invalid', `${host} does not answer as a Kleis broker: ${why}.`);
}

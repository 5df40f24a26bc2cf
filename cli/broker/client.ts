import { parseObject } from '../../shared/json.ts';
import { randomUUID } from 'node:crypto';
import { type ErrorCode, isErrorCode, KleisError } from '../../shared/errors.ts';
import { createFetch, type Fetch } from '../../shared/net/http.ts';
import {
  type ErrorResponse,
  idempotencyHeader,
  issuedTokenTypes,
  requestIdHeader,
  type RevokeResponse,
  routes,
  tokenExchangeGrant,
} from '../../shared/protocol.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

/** What a broker gives for a subject token. Times in milliseconds since the epoch. */
export interface MintedToken {
  readonly token: Secret;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The handle that the broker keeps it under, if it keeps any. */
  readonly lease: string | undefined;
  readonly revocable: boolean;
  readonly grant: string;
  /** By its name at the broker. */
  readonly cluster: string | undefined;
}

export interface ExchangeRequest {
  readonly subject: Secret;
  /** RFC 8693 section 3. */
  readonly subjectType: string;
  readonly grant: string;
  /** Milliseconds; undefined takes what the grant gives. */
  readonly ttl: number | undefined;
}

/** What a broker says of the issuers that it takes tokens of. */
export interface KnownIssuer {
  readonly issuer: string;
  readonly audience: string;
}

export interface BrokerClient {
  /**
   * RFC 8693. Asks again where nobody knows whether an answer got lost, with the same `Idempotency-Key`, so that the
   * broker gives one token for it. Throws what the broker says (with its reason and request id), `provider_unavailable`,
   * `broker_invalid`.
   */
  exchange(request: ExchangeRequest): Promise<MintedToken>;
  /** RFC 7009. Throws as `exchange`; `token_type_unsupported` for a token that cannot be revoked. */
  revoke(token: Secret): Promise<RevokeResponse>;
  /** From `/.well-known/kleis`; kept for a few minutes if there is a memory. */
  issuers(): Promise<readonly KnownIssuer[]>;
  /** What was kept has turned out to be wrong. */
  forgetIssuers(): void;
}

/** Where the client may leave a note for the next process; nothing secret. */
export interface Memory {
  read(): string | undefined;
  /** @param until milliseconds since the epoch */
  write(text: string, until: number): void;
  remove(): void;
}

export interface BrokerOptions {
  /** https, or http on loopback. */
  readonly url: string;
  /** PEM text; then nothing else is trusted. */
  readonly certificateAuthority: string | undefined;
  readonly proxy: string | undefined;
  readonly memory?: Memory | undefined;
  readonly deps: Pick<Deps, 'env' | 'clock' | 'signal' | 'report'>;
}

const attempts = 4;
const attemptTimeout = 15_000;
/** For all attempts together: kubectl waits, and the claim of the session is held (60 s). */
const patience = 35_000;
const memoryLifetime = 600_000;
const maxBody = 256 * 1024;

export function openBroker({ url, certificateAuthority, proxy, memory, deps }: BrokerOptions): BrokerClient {
  const { env, clock, signal, report } = deps;
  const base = url.replace(/\/+$/, '');
  const host = clean(new URL(base).host);
  const fetch = createFetch({ certificateAuthority, proxy, env, timeout: attemptTimeout, maxBody, signal });

  async function post(route: string, form: URLSearchParams, headers: Record<string, string> = {}): Promise<Answer> {
    const deadline = clock.now() + patience;
    for (let attempt = 1; ; attempt += 1) {
      const sentAt = clock.now();
      const outcome = await once(fetch, `${base}${route}`, form, headers);
      if (!(outcome instanceof KleisError)) {
        const refusal = readRefusal(outcome, host);
        if (refusal === undefined) return { ...outcome, sentAt };
        if (!isPassing(refusal)) throw refusal;
        await again(refusal, attempt, deadline);
      } else {
        await again(outcome, attempt, deadline);
      }
    }
  }

  async function again(failure: KleisError, attempt: number, deadline: number): Promise<void> {
    const wait = failure.retryAfter === undefined ? backoff(attempt) : failure.retryAfter * 1000;
    if (attempt >= attempts || clock.now() + wait > deadline) throw failure;
    report.debug(`${failure.message} Trying again in ${wait} ms.`);
    await clock.sleep(wait, signal);
  }

  return {
    async exchange({ subject, subjectType, grant, ttl }) {
      const form = new URLSearchParams({
        grant_type: tokenExchangeGrant,
        subject_token: subject.reveal(),
        subject_token_type: subjectType,
        scope: grant,
        requested_token_type: issuedTokenTypes[0] ?? '',
      });
      if (ttl !== undefined) form.set('expires_in', String(Math.ceil(ttl / 1000)));
      const answer = await post(routes.token, form, { [idempotencyHeader]: randomUUID() });
      const minted = readMinted(answer, grant, host);
      for (const warning of warningsOf(answer)) report.warn(`${host}: ${warning}`);
      return minted;
    },

    async revoke(token) {
      return readRevocation(await post(routes.revoke, new URLSearchParams({ token: token.reveal() })), host);
    },

    async issuers() {
      const kept = memory?.read();
      const known = kept === undefined ? undefined : readIssuers(kept);
      if (known !== undefined) return known;
      const response = await fetch(`${base}${routes.wellKnown}`, { headers: { accept: 'application/json' } }).catch(
        (error: unknown) => {
          throw unreachable(error);
        },
      );
      const answer = await readAnswer(response);
      const refusal = readRefusal(answer, host);
      if (refusal !== undefined) throw refusal;
      const issuers = readIssuers(answer.text);
      if (issuers === undefined) throw notABroker(host, 'its /.well-known/kleis names no issuers');
      memory?.write(JSON.stringify({ issuers }), clock.now() + memoryLifetime);
      return issuers;
    },

    forgetIssuers() {
      memory?.remove();
    },
  };
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

interface Answer extends RawAnswer {
  /** When the request left; what `expires_in` counts from is not earlier. */
  readonly sentAt: number;
}

/** The answer, or why there is none if it may come yet. */
async function once(
  fetch: Fetch,
  url: string,
  form: URLSearchParams,
  headers: Record<string, string>,
): Promise<RawAnswer | KleisError> {
  const type = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...type, ...headers },
      body: form,
      redirect: 'manual',
    });
    return await readAnswer(response);
  } catch (error) {
    const failure = unreachable(error);
    if (failure instanceof KleisError && failure.code === 'provider_unavailable' && !isAboutTrust(failure)) {
      return failure;
    }
    throw failure;
  }
}

async function readAnswer(response: Response): Promise<RawAnswer> {
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** What shared/net/http.ts says of any server, with what to do about this one. */
function unreachable(error: unknown): unknown {
  if (!(error instanceof KleisError) || !error.code.startsWith('provider_')) return error;
  const hint = isAboutTrust(error)
    ? 'Check --broker, and give --broker-certificate-authority if the broker has a certificate of your own authority.'
    : 'Check --broker and the network, and try again.';
  return new KleisError(error.code, error.message, {
    hint,
    cause: error,
    ...(error.detail && { detail: error.detail }),
  });
}

/** A certificate is no better in half a second. */
function isAboutTrust(error: KleisError): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (/^(CERT_|ERR_TLS|ERR_SSL|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|EPROTO)/.test(String(code))) return true;
  }
  return false;
}

function backoff(attempt: number): number {
  return Math.round(400 * 2 ** (attempt - 1) * (0.75 + Math.random() / 2));
}

/** Undefined if the answer is none. */
function readRefusal({ status, text, headers }: RawAnswer, host: string): KleisError | undefined {
  if (status === 200) return undefined;
  const body = parseObject(text) as Partial<Record<keyof ErrorResponse, unknown>> | undefined;
  const retryAfter = readRetryAfter(headers.get('retry-after'));
  const rest = retryAfter === undefined ? {} : { retryAfter };
  if (body === undefined || typeof body.error !== 'string') {
    if (status !== 429 && status < 500) return notABroker(host, `it answers with HTTP ${status}`);
    return new KleisError('broker_not_ready', `${host} answers with HTTP ${status}.`, {
      ...rest,
      hint: retryHint(retryAfter) ?? 'Try again in a moment.',
    });
  }
  const id = clean(body.request_id ?? headers.get(requestIdHeader) ?? '', 80);
  const said = clean(body.message ?? body.error_description ?? body.error, 600);
  const message = `The broker ${host} says: ${said}${failedClaims(body.failed)}${id === '' ? '' : ` (request ${id})`}`;
  const hint = typeof body.hint === 'string' && body.hint !== '' ? clean(body.hint, 300) : undefined;
  const better = retryHint(retryAfter) ?? hint;
  return new KleisError(codeOf(body, status), message, { ...rest, ...(better !== undefined && { hint: better }) });
}

/** A code of the table if it is one that a broker answers this status with; a code is also an exit code. */
function codeOf(body: Partial<Record<keyof ErrorResponse, unknown>>, status: number): ErrorCode {
  const { code } = body;
  if (typeof code === 'string' && isErrorCode(code)) {
    const known = new KleisError(code, '');
    if (known.status === status && known.oauth === body.error) return code;
  }
  if (status === 429 || status >= 500) return 'broker_not_ready';
  // RFC 8693 section 2.2.2: what a token exchange service says to all that its policy does not allow.
  return status === 401 ? 'bearer_invalid' : 'grant_denied';
}

function failedClaims(failed: unknown): string {
  if (!Array.isArray(failed) || failed.length === 0) return '';
  const texts = failed.slice(0, 8).flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null || !('claim' in item)) return [];
    const { claim, seen, expected } = item as Record<string, unknown>;
    const wanted = expected === undefined ? '' : `, expected ${clean(expected, 120)}`;
    return [`${clean(claim, 80)} (seen ${clean(seen ?? 'nothing', 120)}${wanted})`];
  });
  return texts.length === 0 ? '' : ` What did not fit: ${texts.join('; ')}.`;
}

function retryHint(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : `Try again in ${seconds} s.`;
}

/** RFC 9110 section 10.2.3, in seconds; at most a day. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d{1,5}$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000);
  return seconds >= 0 && seconds <= 86_400 ? seconds : undefined;
}

function isPassing({ code, oauth }: KleisError): boolean {
  return oauth === 'temporarily_unavailable' || code === 'request_slow' || code === 'caller_gone';
}

function readMinted(answer: Answer, grant: string, host: string): MintedToken {
  const body = parseObject(answer.text) ?? {};
  const { access_token: token, token_type: type, expires_in: lifetime, lease, cluster } = body;
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw notABroker(host, 'its answer holds no token');
  }
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw notABroker(host, 'what it gives is no bearer token');
  }
  if (typeof lifetime !== 'number' || !(lifetime > 0) || lifetime > 2 ** 32) {
    throw notABroker(host, 'it does not say how long the token lives');
  }
  return {
    token: new Secret(token),
    issuedAt: answer.sentAt,
    expiresAt: answer.sentAt + lifetime * 1000,
    lease: typeof lease === 'string' ? clean(lease, 253) : undefined,
    revocable: body['revocable'] === true,
    grant,
    cluster: typeof cluster === 'string' ? clean(cluster, 253) : undefined,
  };
}

function warningsOf(answer: Answer): string[] {
  const warnings = parseObject(answer.text)?.['warnings'];
  return Array.isArray(warnings) ? warnings.slice(0, 4).map((warning) => clean(warning, 300)) : [];
}

function readRevocation(answer: Answer, host: string): RevokeResponse {
  const body = parseObject(answer.text);
  const { revoked, dead_within: deadWithin, reason, lease } = body ?? {};
  if (typeof revoked !== 'boolean') throw notABroker(host, 'it does not say whether the token was revoked');
  return {
    revoked,
    ...(typeof deadWithin === 'number' && deadWithin >= 0 && { dead_within: deadWithin }),
    ...((reason === 'unknown' || reason === 'expired') && { reason }),
    ...(typeof lease === 'string' && { lease: clean(lease, 253) }),
  };
}

function readIssuers(text: string): KnownIssuer[] | undefined {
  const issuers = parseObject(text)?.['issuers'];
  if (!Array.isArray(issuers)) return undefined;
  return issuers.slice(0, 1000).flatMap((item: unknown) => {
    const { issuer, audience } = (item ?? {}) as Record<string, unknown>;
    return isLine(issuer) && isLine(audience) ? [{ issuer, audience }] : [];
  });
}

function isLine(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && clean(value, 2048) === value;
}

function notABroker(host: string, why: string): KleisError {
  return new KleisError('broker_invalid', `${host} does not answer as a Kleis broker: ${why}.`);
}

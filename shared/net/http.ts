import http from 'node:http';
import https from 'node:https';
import { createAgent } from './agent.ts';
import { checkCertificates } from './certificates.ts';
import { dialing } from './dialing.ts';
import { KleisError } from '../errors.ts';
import { lazy } from './lazy.ts';
import { explainNetworkError, isTrustFailure, neverSent } from './network-errors.ts';
import { tellIfSlow } from './patience.ts';
import { proxyChooser } from './proxy.ts';
import { backoff, isPassingStatus, readRetryAfter } from './retry.ts';
import type { Secret } from '../secret.ts';
import { clean } from '../text.ts';
import { createTrust, unusableAuthorities } from './trust.ts';

// Node's own client, not a library: loading undici takes 24 to 65 ms, which every refresh of a token would pay.

/** PEM: a chain, and its key without a password. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: Secret;
}

export interface FetchOptions {
  /**
   * PEM text of the authorities that may vouch for the server; then no other is trusted. Else Node's own list and what the
   * machine trusts.
   */
  readonly certificateAuthority?: string | undefined;
  /** What this client shows of itself where a server asks for a certificate. */
  readonly clientCertificate?: ClientCertificate | undefined;
  /** The name that the server's certificate must be for, where that is not the host of the URL. */
  readonly serverName?: string | undefined;
  /** URL of a proxy; wins over the proxy variables, but not over NO_PROXY. */
  readonly proxy?: string | undefined;
  /**
   * Read: HTTPS_PROXY, ALL_PROXY, NO_PROXY (both cases), SSL_CERT_FILE, SSL_CERT_DIR, KLEIS_EXTRA_CA_CERTS,
   * NODE_EXTRA_CA_CERTS.
   */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch: what the date of a `Retry-After` is compared with, and how long a request took. */
  readonly now: () => number;
  /** Of what may be sent again; 3 if not given. */
  readonly attempts?: number;
  /** Milliseconds for one call with its retries and its body; 20 s if not given. */
  readonly timeout?: number;
  /** Bytes; 1 MiB if not given. */
  readonly maxBody?: number;
  /** Told of each attempt: method, host, what came of it, how long it took. Never a path, a header or a body. */
  readonly debug?: ((text: string) => void) | undefined;
  /** Told of the host of a call that has had no answer for a second. */
  readonly waiting?: ((host: string) => void) | undefined;
  /** Ends every call; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface FetchInit {
  method?: string;
  headers?: Record<string, string>;
  body?: string | URLSearchParams | Uint8Array | undefined | null;
  signal?: AbortSignal | undefined;
  /** Never to another origin whatever this says; `manual` gives the redirect itself. */
  redirect?: 'follow' | 'manual';
}

export type Fetch = (url: string | URL, init?: FetchInit) => Promise<Response>;

const usualAttempts = 3;
const attemptTimeout = 10_000;
/** Seconds. A server that asks for more patience than this gets an error message instead. */
const longestRetryAfter = 5;
const firstWait = 200;
const redirects = 3;

/**
 * The door through which every request leaves. What it gives back is whole: the body was read, and is no larger than
 * `maxBody`. GET and HEAD are tried three times (network errors, 429, 5xx); anything else only when the first attempt
 * cannot have reached the server. Throws `provider_unavailable` (network), `provider_invalid` (body too large),
 * `config_invalid` (proxy or certificate authority that cannot be used).
 */
export function createFetch(options: FetchOptions): Fetch {
  const { certificateAuthority, clientCertificate, serverName, env, now, attempts = usualAttempts } = options;
  const trust = lazy(() => {
    const ca = certificateAuthority === undefined ? undefined : checkCertificates(certificateAuthority);
    return createTrust({ ca, cert: clientCertificate?.cert, key: clientCertificate?.key.reveal() }, env);
  });
  const proxies = proxyChooser(options.proxy, env);
  const agents = new Map<string, http.Agent>();
  const agentFor = (url: URL): http.Agent => {
    const proxy = proxies(url);
    const key = `${url.protocol}${proxy?.href ?? ''}`;
    let agent = agents.get(key);
    if (agent === undefined) {
      agent =
        url.protocol === 'https:'
          ? createAgent({ keepAlive: true, proxy, trust: trust(), ...(serverName && { servername: serverName }) })
          : new http.Agent({ keepAlive: true });
      agents.set(key, agent);
    }
    return agent;
  };

  const { waiting } = options;
  const call: Fetch = async (input, init = {}) => {
    let url = new URL(input);
    const total = AbortSignal.timeout(options.timeout ?? 20_000);
    const method = init.method ?? 'GET';
    const repeatable = method === 'GET' || method === 'HEAD';
    const signals = [total, options.signal, init.signal].filter((signal) => signal !== undefined);
    const signal = AbortSignal.any(signals);
    for (let attempt = 1, redirected = 0; ; attempt += 1) {
      const last = attempt >= attempts;
      try {
        const single = repeatable ? AbortSignal.any([signal, AbortSignal.timeout(attemptTimeout)]) : signal;
        const response = await told(url, method, options, () =>
          send(url, method, init, agentFor(url), single, options.maxBody ?? 1024 * 1024),
        );
        const target = redirectTarget(response, url);
        if (repeatable && init.redirect !== 'manual' && target !== undefined && redirected < redirects) {
          url = target;
          redirected += 1;
          attempt -= 1;
          continue;
        }
        const wait = repeatable && !last ? retryDelay(response, attempt, now()) : undefined;
        if (wait === undefined) return response;
        await sleep(wait, signal);
      } catch (error) {
        if (error instanceof KleisError) throw error;
        const given = [options.signal, init.signal].find((one) => one?.aborted);
        if (given) throw given.reason;
        if (!last && !total.aborted && (repeatable ? !isTrustFailure(error) : neverSent(error))) {
          await sleep(backoff(attempt, firstWait), signal).catch(() => undefined);
          if (!signal.aborted) continue;
        }
        throw explainNetworkError(error, url, { extraAuthorities: await unusableAuthorities(env) });
      }
    }
  };
  if (waiting === undefined) return call;
  return async (input, init) =>
    tellIfSlow(
      () => waiting(clean(new URL(input).host)),
      async () => call(input, init),
    );
}

async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { setTimeout: wait } = await import('node:timers/promises');
  await wait(milliseconds, undefined, { signal });
}

async function told(
  url: URL,
  method: string,
  { debug, now }: Pick<FetchOptions, 'debug' | 'now'>,
  attempt: () => Promise<Response>,
): Promise<Response> {
  const began = now();
  const tell = (outcome: string) =>
    debug?.(`${method} ${clean(url.host)}: ${outcome} after ${Math.round(now() - began)} ms.`);
  try {
    const response = await attempt();
    tell(`HTTP ${response.status}`);
    return response;
  } catch (error) {
    tell(clean(error instanceof Error && 'code' in error ? error.code : 'no answer', 60));
    throw error;
  }
}

function retryDelay({ status, headers }: Response, attempt: number, now: number): number | undefined {
  if (!isPassingStatus(status)) return undefined;
  const asked = readRetryAfter(headers.get('retry-after'), now);
  if (asked === undefined) return backoff(attempt, firstWait);
  return asked <= longestRetryAfter ? asked * 1000 : undefined;
}

function redirectTarget(response: Response, from: URL): URL | undefined {
  const location = response.headers.get('location');
  if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) return undefined;
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  // Another origin gets nothing from us: it was not named by anyone who is trusted here.
  return target?.origin === from.origin ? target : undefined;
}

async function send(
  url: URL,
  method: string,
  init: FetchInit,
  agent: http.Agent,
  signal: AbortSignal,
  maxBody: number,
): Promise<Response> {
  const body = init.body === undefined || init.body === null ? undefined : toBytes(init.body);
  const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'kleis', ...init.headers };
  if (body) headers['content-length'] = String(body.byteLength);
  return new Promise<Response>((resolve, reject) => {
    const dial: Dial = url.protocol === 'https:' ? https.request : http.request;
    const request = dial(url, { method, headers, agent, signal, ...dialing, insecureHTTPParser: false }, (response) => {
      collect(response, maxBody, url).then(resolve, (error: unknown) => {
        request.destroy();
        reject(error);
      });
    });
    request.once('error', reject);
    request.end(body);
  });
}

type Dial = (
  url: URL,
  options: https.RequestOptions,
  answered: (response: http.IncomingMessage) => void,
) => http.ClientRequest;

function toBytes(body: string | URLSearchParams | Uint8Array): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(String(body));
}

async function collect(message: http.IncomingMessage, maxBody: number, url: URL): Promise<Response> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody) {
      throw new KleisError('provider_invalid', `${clean(url.host)} answers with more than ${maxBody} bytes.`);
    }
    chunks.push(chunk);
  }
  const headers = new Headers();
  for (let index = 0; index + 1 < message.rawHeaders.length; index += 2) {
    // A name or value that fetch does not allow is nothing that anyone here would read.
    try {
      headers.append(message.rawHeaders[index] ?? '', message.rawHeaders[index + 1] ?? '');
    } catch {}
  }
  const status = message.statusCode ?? 0;
  if (status < 200 || status > 599) {
    throw new KleisError('provider_unavailable', `${clean(url.host)} answers with the odd HTTP status ${status}.`);
  }
  const empty = status === 204 || status === 205 || status === 304;
  return new Response(empty ? null : Buffer.concat(chunks), { status, headers });
}

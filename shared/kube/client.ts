import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { CallError, type KubeAnswer } from './answer.ts';
import { exchange, type KubeRequest, type Method, type Target } from './call.ts';
import { openConnections } from './connections.ts';
import { KubeError } from './error.ts';
import { type KubeConnection, type KubeConnectionOptions, readConnection } from './connection.ts';
import { credentialLifetime } from './credential.ts';
import { proxyChooser, proxyOf } from '../net/proxy.ts';
import { backoff } from '../net/retry.ts';
import { createTrust } from '../net/trust.ts';

export interface KubeClient {
  /**
   * Throws `KubeError`, and `KleisError` `config_invalid` if there are no credentials to go by. Repeats only what
   * cannot have been carried out (no connection, 429), what changes nothing, and what is `repeatable`. A 403 just after
   * a connection was made is `retryable`.
   */
  request<T>(method: Method, path: string, request?: KubeRequest): Promise<KubeAnswer<T>>;
  /**
   * The server's time now, ms: its last `Date`, which is a whole second, and what has passed since by a clock that
   * nobody sets. Undefined when the last answer is too old, or our own clock was set since.
   */
  time(): number | undefined;
  /** Milliseconds that the server's clock is certainly ahead (or behind: negative); undefined where `time` is. */
  skew(): number | undefined;
  /** `performance.now()` of the last new connection: an API server that just started refuses what it allows later. */
  connectedAt(): number | undefined;
  /** The bearer token in use, if there is one. Reads the files if none was read yet. */
  token(): Promise<string | undefined>;
  /** From when to when the credential in use is good, ms; undefined where it does not say, or none was read yet. */
  lifetime(): ReturnType<typeof credentialLifetime>;
  /** What is wrong with the files of the credentials, while the last good ones are in use. */
  fault(): Error | undefined;
  close(): void;
}

export interface KubeOptions extends KubeConnectionOptions {
  readonly now: () => number;
  /** Milliseconds for a call that says nothing else; 10 s if not given. */
  readonly timeout?: number;
}

/** A Role may be known, and a token renewed, this late. */
const filesAge = 10_000;
/** From the first look at something new to the second. */
const settle = 250;
/** Milliseconds for a call, where nobody says. */
const usualTimeout = 10_000;
const attempts = 3;
const longestWait = 2_000;
const firstWait = 100;

/** After its start an API server refuses what RBAC and its policies allow later (seen: for a second). */
const warmUp = 10_000;
/** An answer of this age still tells the time; brokers ask twice a minute. */
const timeAge = 120_000;
/** Two clocks that count the same seconds differ by less. */
const jitter = 1_000;

/** What an answer told of the server's clock, and our two when it came. */
interface Told {
  readonly date: number;
  readonly skew: number;
  readonly wall: number;
  readonly steady: number;
}

interface Live extends Target {
  readonly connection: KubeConnection;
}

/** Nothing is read or connected before the first request. */
export function openCluster(options: KubeOptions): KubeClient {
  const { now } = options;
  let live: Live | undefined;
  let checkedAt = 0;
  let checking: Promise<Live> | undefined;
  let renewing: Promise<Live> | undefined;
  let fault: Error | undefined;
  let candidate: KubeConnection | undefined;
  let told: Told | undefined;
  let connectedAt: number | undefined;

  async function check(anew: boolean): Promise<Live> {
    try {
      const connection = await readConnection(options);
      fault = undefined;
      if (!anew && live !== undefined && !isDeepStrictEqual(parts(live.connection), parts(connection))) {
        // Written in place, a file is a shorter one for a moment: what is new counts when it was seen twice.
        const seen = candidate;
        candidate = connection;
        if (seen === undefined || !isDeepStrictEqual(parts(seen), parts(connection))) return live;
      }
      candidate = undefined;
      live = sameServer(live?.connection, connection)
        ? withToken(live!, connection)
        : replace(
            live,
            connect(connection, options, () => (connectedAt = performance.now())),
          );
    } catch (error) {
      if (live === undefined) throw error;
      fault = error as Error;
      candidate = undefined;
    } finally {
      checkedAt = now() - (candidate === undefined ? 0 : filesAge - settle);
    }
    return live;
  }

  function current(anew = false): Live | Promise<Live> {
    const age = now() - checkedAt;
    if (!anew && live !== undefined && age >= 0 && age < filesAge) return live;
    // What is under way may keep the old one, which was just refused.
    if (anew) return (renewing ??= check(true).finally(() => (renewing = undefined)));
    return (checking ??= check(false).finally(() => (checking = undefined)));
  }

  async function request<T>(method: Method, path: string, wanted: KubeRequest = {}): Promise<KubeAnswer<T>> {
    const deadline = performance.now() + (wanted.timeout ?? options.timeout ?? usualTimeout);
    const text = wanted.body === undefined ? undefined : JSON.stringify(wanted.body);
    const repeatable = method === 'GET' || wanted.repeatable === true;
    const found = current();
    let use = found instanceof Promise ? await found : found;
    for (let attempt = 1; ; attempt += 1) {
      const sentAt = now();
      try {
        const answer = await exchange<T>(use, method, path, text, wanted, deadline);
        told = tell(answer.date, sentAt, now()) ?? told;
        return answer;
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
        told = tell(error.date, sentAt, now()) ?? told;
        const failure = withDoubt(error.failure);
        if (failure.status === 401 && attempt === 1) {
          const renewed = await current(true);
          if (renewed.connection.token !== use.connection.token) {
            use = renewed;
            continue;
          }
        }
        const wait = attempt < attempts ? waitBeforeNext(error, attempt, repeatable) : undefined;
        if (wait === undefined || performance.now() + wait >= deadline) throw failure;
        await sleep(wait, undefined, wanted.signal ? { signal: wanted.signal } : {}).catch(() => {
          throw failure;
        });
      }
    }
  }

  /** An API server that just started may allow it in a moment. */
  function withDoubt(failure: KubeError): KubeError {
    const fresh = connectedAt !== undefined && performance.now() - connectedAt < warmUp;
    if (failure.status !== 403 || !fresh) return failure;
    const { message, status, reason, about, retryAfter, ambiguous, cause } = failure;
    return new KubeError(message, { status, reason, about, retryAfter, ambiguous, retryable: true, cause });
  }

  /** With the milliseconds since then; undefined when it holds no more. */
  function valid(): (Told & { readonly age: number }) | undefined {
    if (told === undefined) return undefined;
    const age = performance.now() - told.steady;
    const wasSet = Math.abs(now() - told.wall - age) > jitter;
    return wasSet || age > timeAge ? undefined : { ...told, age };
  }

  return {
    request,
    time() {
      const last = valid();
      return last && Math.floor(last.date + last.age);
    },
    skew: () => valid()?.skew,
    connectedAt: () => connectedAt,
    token: async () => (await current()).connection.token,
    lifetime: () => (live === undefined ? undefined : credentialLifetime(live.connection)),
    fault: () => fault,
    close: () => live?.connections.close(),
  };
}

/** `/api/v1/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE`, each part encoded. */
export function apiPath(
  groupVersion: string,
  namespace: string | undefined,
  resource: string,
  ...rest: readonly string[]
): string {
  const root = groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
  const folder = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${folder}/${[resource, ...rest].map(encodeURIComponent).join('/')}`;
}

const parts = ({ server, ...rest }: KubeConnection) => ({ ...rest, server: server.href });
const comparable = (connection: KubeConnection) => ({ ...parts(connection), token: undefined });

function sameServer(old: KubeConnection | undefined, connection: KubeConnection): boolean {
  return old !== undefined && isDeepStrictEqual(comparable(old), comparable(connection));
}

function withToken(live: Live, connection: KubeConnection): Live {
  return { ...live, connection, headers: headersOf(connection) };
}

function headersOf({ token }: KubeConnection): Target['headers'] {
  const bare = ['accept', 'application/json', 'user-agent', 'kleis'];
  if (token !== undefined) bare.push('authorization', `Bearer ${token}`);
  return { bare, body: [...bare, 'content-type', 'application/json'] };
}

function replace(old: Live | undefined, next: Live): Live {
  // Not destroyed: what is under way on it ends by itself, and then it idles out.
  if (old !== undefined) setTimeout(() => old.connections.close(), 60_000).unref();
  return next;
}

function connect(connection: KubeConnection, { env, now }: KubeOptions, connected: () => void): Live {
  const { server, ca, cert, key, tlsServerName } = connection;
  // Made once, not for each connection: parsing the certificates takes a millisecond.
  const trust = createTrust({ ca, cert, key }, env);
  // As client-go: the proxy of a kubeconfig is for all that goes to its cluster, whatever NO_PROXY says.
  const proxy = connection.proxy === undefined ? proxyChooser(undefined, env)(server) : proxyOf(connection.proxy);
  return {
    connection,
    connections: openConnections({ server, tlsServerName, proxy, trust, connected }),
    server,
    prefix: server.pathname.replace(/\/$/, ''),
    headers: headersOf(connection),
    now,
  };
}

/** Milliseconds, or undefined if it must not be sent again. */
function waitBeforeNext({ kind, failure }: CallError, attempt: number, repeatable: boolean): number | undefined {
  const pause = backoff(attempt, firstWait);
  switch (kind) {
    case 'unsent':
      return failure.retryable ? pause : undefined;
    case 'cut':
      // The API server closes idle connections, and all of them when it restarts.
      return repeatable ? pause : undefined;
    case 'answer': {
      const wait = failure.retryAfter === undefined ? pause : failure.retryAfter * 1000;
      // 429 is API Priority and Fairness: it was not carried out.
      const harmless = failure.status === 429 || (repeatable && (failure.status ?? 0) >= 500);
      return harmless && wait <= longestWait ? wait : undefined;
    }
    case 'late':
      return undefined;
  }
}

function tell(date: number | undefined, sentAt: number, receivedAt: number): Told | undefined {
  if (date === undefined) return undefined;
  return { date, skew: skewOf(date, sentAt, receivedAt), wall: receivedAt, steady: performance.now() };
}

/** `Date` is a whole second, and somewhere between question and answer: only what lies outside of that is a difference. */
function skewOf(date: number, sentAt: number, receivedAt: number): number {
  if (date > receivedAt) return date - receivedAt;
  return date + 1000 < sentAt ? date + 1000 - sentAt : 0;
}

import type { Dispatcher } from 'undici';
import { type Headers, type KubeAnswer, networkFailure, readAnswer, Stopped } from './answer.ts';
import type { Connections, Sending } from './connections.ts';

// Not through createFetch, nor by undici's own promises: a mint is up to three calls and has one millisecond of processor
// time for all of them; and nothing but the connection can tell whether a write that failed may have been carried out.

export interface KubeRequest {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the call with its repetitions; 10 s if not given. */
  readonly timeout?: number;
  /** Bytes; 1 MiB if not given. */
  readonly maxBody?: number;
  /** To do it twice is harmless, so it is sent again when the connection was cut. GET always is. */
  readonly repeatable?: boolean;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Where and how to send. */
export interface Target {
  readonly connections: Connections;
  /** For messages. */
  readonly server: URL;
  /** Of every path. */
  readonly prefix: string;
  /** Names and values in turn, of a request without a body and of one with. */
  readonly headers: { readonly bare: string[]; readonly body: string[] };
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** One request and its answer, sent once. Throws `CallError`. */
export function exchange<T>(
  target: Target,
  method: Method,
  path: string,
  text: string | undefined,
  request: KubeRequest,
  deadline: number,
): Promise<KubeAnswer<T>> {
  return new Promise((resolve, reject) => {
    const call = new Call(target, method, path, text, request, resolve, reject);
    call.start(Math.max(1, deadline - performance.now()), request.signal);
  });
}

/** What undici tells of one request. */
class Call implements Sending {
  readonly options: Dispatcher.DispatchOptions;
  on: Sending['on'];
  readonly #target: Target;
  readonly #path: string;
  readonly #maxBody: number;
  readonly #resolve: (answer: KubeAnswer<never>) => void;
  readonly #reject: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #unlisten: (() => void) | undefined;
  #settled = false;
  /** Undefined until the first byte of the request leaves. */
  #sent: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: Headers = {};
  readonly #chunks: Buffer[] = [];
  #size = 0;

  constructor(
    target: Target,
    method: Method,
    path: string,
    text: string | undefined,
    { query, headers: more, maxBody = 1024 * 1024 }: KubeRequest,
    resolve: (answer: KubeAnswer<never>) => void,
    reject: (error: unknown) => void,
  ) {
    const own = text === undefined ? target.headers.bare : target.headers.body;
    this.options = {
      method,
      path: `${target.prefix}${path}${toQuery(query)}`,
      headers: more === undefined ? own : withMore(own, more),
      body: text ?? null,
      // undici would close a connection that carried a DELETE with a body; API servers read it.
      reset: false,
    };
    this.#target = target;
    this.#path = path;
    this.#maxBody = maxBody;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Milliseconds until nobody waits any more. */
  start(patience: number, signal: AbortSignal | undefined): void {
    this.#timer = setTimeout(giveUp, patience, this, 'it did not answer in time');
    if (signal !== undefined) {
      const onAbort = () => giveUp(this, 'it was given up');
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#unlisten = () => signal.removeEventListener('abort', onAbort);
    }
    this.#target.connections.send(this);
  }

  stop(error: Stopped): void {
    if (this.#sent !== undefined) return this.#sent.abort(error);
    // If its connection is being made, it ends when that is there.
    this.#target.connections.withdraw(this);
    this.#fail(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // To throw means not to send. To abort would end the connection, which was just made and serves the next.
    if (this.#settled) throw new Stopped('nobody waits for it');
    this.#sent = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size <= this.#maxBody) this.#chunks.push(chunk);
    else controller.abort(new Stopped(`it answers with more than ${this.#maxBody} bytes`, { tooLarge: true }));
  }

  onResponseEnd(): void {
    this.#target.connections.ended(this);
    if (!this.#settle()) return;
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 ? first! : Buffer.concat(this.#chunks);
    try {
      const asked = { what: this.#what, changes: this.#changes, now: this.#target.now };
      this.#resolve(readAnswer(this.#status, this.#headers, body, asked));
    } catch (error) {
      this.#reject(error);
    }
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#target.connections.ended(this);
    this.#fail(error);
  }

  #fail(error: unknown): void {
    if (!this.#settle()) return;
    const sent = this.#sent !== undefined;
    const asked = { what: this.#what, changes: this.#changes, server: this.#target.server };
    this.#reject(networkFailure(error, sent, asked));
  }

  /** False if it was before. */
  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#unlisten?.();
    return true;
  }

  get #what(): string {
    return `${this.options.method} ${this.#path}`;
  }

  get #changes(): boolean {
    return this.options.method !== 'GET';
  }
}

function giveUp(call: Call, why: string): void {
  call.stop(new Stopped(why));
}

/** What the call says stands in the place of what all calls say: two `accept` are one list. */
function withMore(own: readonly string[], more: Readonly<Record<string, string>>): string[] {
  const all = [...own];
  for (const [name, value] of Object.entries(more)) {
    const at = all.findIndex((each, index) => index % 2 === 0 && each === name.toLowerCase());
    if (at === -1) all.push(name, value);
    else all[at + 1] = value;
  }
  return all;
}

function toQuery(query: KubeRequest['query']): string {
  if (query === undefined) return '';
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

// At the first sight of `Headers` or `Response` Node loads the whole of its fetch: 30 ms, as long as it takes to start.
// Requests leave through shared/net/http.ts, without that fetch. What openid-client and we need of the two classes is here.

const isToken = /^[!#$%&'*+.^`|~\w-]+$/;
const noValue = /[\n\r\u0100-\uffff]/;

function checked(name: string, value: string): string {
  // HTTP's white space; `trim` knows more of it.
  const text = value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
  if (!isToken.test(name) || noValue.test(text) || text.includes('\0'))
    throw new TypeError(`${name} is not a valid header`);
  return text;
}

class Headers {
  readonly #values = new Map<string, string>();

  constructor(init: Iterable<readonly [string, string]> | Readonly<Record<string, string>> = {}) {
    const entries = Symbol.iterator in init ? init : Object.entries(init);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name: string, value: string): void {
    const text = checked(name, value);
    const before = this.get(name);
    this.#values.set(name.toLowerCase(), before === null ? text : `${before}, ${text}`);
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), checked(name, value));
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  entries(): IterableIterator<[string, string]> {
    return [...this.#values].toSorted(([one], [other]) => (one < other ? -1 : 1)).values();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  get [Symbol.toStringTag](): string {
    return 'Headers';
  }
}

class Response {
  readonly status: number;
  readonly headers: Headers;
  /** It has no stream to read or cancel: the text is there. */
  readonly body = null;
  readonly #bytes: Uint8Array;
  #used = false;

  constructor(
    body: string | Uint8Array | null = null,
    init: { readonly status?: number; readonly headers?: ConstructorParameters<typeof Headers>[0] } = {},
  ) {
    this.status = init.status ?? 200;
    this.headers = new Headers(init.headers);
    this.#bytes = typeof body === 'string' ? new TextEncoder().encode(body) : (body ?? new Uint8Array());
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  async text(): Promise<string> {
    if (this.#used) throw new TypeError('the body has been read');
    this.#used = true;
    return new TextDecoder().decode(this.#bytes);
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text()) as unknown;
  }

  clone(): Response {
    if (this.#used) throw new TypeError('the body has been read');
    return new Response(this.#bytes, this);
  }

  get [Symbol.toStringTag](): string {
    return 'Response';
  }
}

/** To take the place of the global classes, before anything has looked at those. */
export const lightFetch = { Headers, Response };

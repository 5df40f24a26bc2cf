import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { Request, Response } from 'express';
import { readBody } from './body.ts';
import { type Form, parseForm } from './form.ts';
import { readTrace } from './trace-context.ts';
import { type Attributes, inSpan, type Span, type Spans, type Step, type Trace } from '../service/spans.ts';

/** One request as a route sees it: nothing of it is proved. */
export interface Call {
  /** Made here: what a caller sends could be somebody else's. */
  readonly requestId: string;
  /** With a parent id of our own; undefined if the caller sent none that can be used, and nobody collects spans. */
  readonly trace: Trace | undefined;
  /** Whom the request is from, by what trusted proxies say. */
  readonly address: string;
  /** The caller went away before the answer was sent. */
  readonly gone: boolean;
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** In capitals; a HEAD is a GET here. */
  readonly method: string;
  /** The path as it was sent. */
  readonly pathname: string;
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** By its name in small letters. */
  header(name: string): string | undefined;
  /** Read when it is asked for, so that what is wrong with it is an outcome like any other. Throws what `translate` knows. */
  form(): Promise<Form>;
  /**
   * Whatever the answer is, it goes out some whole steps of 50 ms after that moment (by `performance.now()`): how long the
   * work took tells the caller nothing. The moment must be one that the caller has no hand in.
   */
  evenOut(since: number): void;
  /** Does a part of the work; in a span of its own where spans are collected. The calls that it makes are of that trace. */
  step<T>(step: Step, work: (trace: Trace | undefined) => T, attributes?: Attributes): T;
  /** What this request is about, for who looks at its span. Never what a caller chose. */
  describe(attributes: Attributes): void;
  /** What to do in the background unless the answer is handed to the network as a whole. */
  unlessDelivered(what: string, work: () => Promise<void>): void;
}

/** As those see it who serve it. */
export interface OpenCall extends Call {
  /** From here on it is a span, under the name of its route, until its answer is on its way. */
  collect(spans: Spans, route: string): void;
  /** Milliseconds until the answer may go out. */
  wait(): number;
  /** What `unlessDelivered` was told; each of it once. */
  takeUndelivered(): readonly Undelivered[];
}

/** The id of its trace, if somebody keeps that. */
export function sampledTrace({ trace }: Pick<Call, 'trace'>): string | undefined {
  return trace?.sampled === true ? trace.id : undefined;
}

export interface Undelivered {
  readonly what: string;
  readonly work: () => Promise<void>;
}

/** A subject token has up to 16 kB; the rest of the form is small. */
export const maxBody = 48 * 1024;

/** Milliseconds; several times what any condition of a grant takes. */
const evenStep = 50;

const none: readonly Undelivered[] = [];

/** A class, since one is made for each request: its methods cost nothing. */
class ServedCall implements OpenCall {
  readonly requestId = randomUUID();
  readonly startedAt = performance.now();
  trace: Trace | undefined;
  readonly address: string;
  readonly #request: Request;
  readonly #response: Response;
  #undelivered = none;
  #evenSince: number | undefined;
  #span: Span | undefined;

  constructor(request: Request, response: Response) {
    this.#request = request;
    this.#response = response;
    this.trace = readTrace(this.header('traceparent'), this.header('tracestate'));
    this.address = addressOf(request);
  }

  get method(): string {
    // RFC 9110 section 9.3.2: as GET, without the body.
    return this.#request.method === 'HEAD' ? 'GET' : this.#request.method;
  }

  get pathname(): string {
    return this.#request.path;
  }

  // Known only once the route is.
  get path() {
    return this.#request.params;
  }

  get query() {
    return this.#request.query;
  }

  get gone(): boolean {
    return this.#response.destroyed && !this.#response.writableFinished;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : undefined;
  }

  async form(): Promise<Form> {
    return parseForm(await readBody(this.#request, maxBody));
  }

  evenOut(since: number): void {
    this.#evenSince ??= since;
  }

  wait(): number {
    if (this.#evenSince === undefined) return 0;
    const taken = performance.now() - this.#evenSince;
    return Math.ceil(taken / evenStep) * evenStep - taken;
  }

  step<T>(step: Step, work: (trace: Trace | undefined) => T, attributes?: Attributes): T {
    return this.#span === undefined ? work(this.trace) : inSpan(this.#span, step, work, attributes);
  }

  describe(attributes: Attributes): void {
    this.#span?.describe(attributes);
  }

  collect(spans: Spans, route: string): void {
    const { method, secure } = this.#request;
    const span = spans.begin({
      method,
      route,
      startedAt: this.startedAt,
      caller: this.trace,
      // https://opentelemetry.io/docs/specs/semconv/http/http-spans/; of the path only what is in our table.
      attributes: {
        'http.request.method': method,
        'http.route': route,
        'url.scheme': secure ? 'https' : 'http',
        ...(!/[:{]/.test(route) && { 'url.path': route }),
        'client.address': this.address,
        'kleis.request_id': this.requestId,
      },
    });
    this.#span = span;
    this.trace = span.trace;
    const response = this.#response;
    response.once('close', () => {
      const { statusCode, headersSent, writableFinished } = response;
      if (headersSent) span.describe({ 'http.response.status_code': statusCode });
      span.end(!writableFinished ? 'caller_gone' : statusCode >= 500 ? String(statusCode) : undefined);
    });
  }

  unlessDelivered(what: string, work: () => Promise<void>): void {
    this.#undelivered = [...this.#undelivered, { what, work }];
  }

  takeUndelivered(): readonly Undelivered[] {
    const taken = this.#undelivered;
    this.#undelivered = none;
    return taken;
  }
}

export function openCall(request: Request, response: Response): OpenCall {
  return new ServedCall(request, response);
}

/** What express found by the trusted proxies, where there can be one; a header can hold anything, so it must be an address. */
function addressOf(request: Request): string {
  const { remoteAddress = '' } = request.socket;
  const forwarded = request.headers['x-forwarded-for'] === undefined ? '' : withoutPort(request.ip ?? '');
  const found = isIP(forwarded) === 0 ? remoteAddress : forwarded;
  return isIP(found) === 0 ? 'unknown' : found.replace(/^::ffff:(?=\d+\.)/, '');
}

/** Some proxies write `203.0.113.9:4711` or `[2001:db8::1]:4711` into X-Forwarded-For. */
export function withoutPort(address: string): string {
  const match = /^(?:([\d.]+):\d{1,5}|\[([\da-fA-F:.]+)\](?::\d{1,5})?)$/.exec(address);
  return match?.[1] ?? match?.[2] ?? address;
}

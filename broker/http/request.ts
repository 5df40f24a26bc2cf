import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import type { Request, Response } from 'express';
import { readBody } from './body.ts';
import { type Form, parseForm } from './form.ts';

/** One request as a route sees it: nothing of it is proved. */
export interface Call {
  /** Made here: what a caller sends could be somebody else's. */
  readonly requestId: string;
  /** W3C Trace Context, with a parent id of our own; undefined if the caller sent none that can be used. */
  readonly trace: Trace | undefined;
  /** Whom the request is from, by what trusted proxies say. */
  readonly address: string;
  /** The caller went away before the answer was sent. */
  readonly gone: boolean;
  /** By `performance.now()`. */
  readonly startedAt: number;
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
  /** What to do in the background unless the answer is handed to the network as a whole. */
  unlessDelivered(what: string, work: () => Promise<void>): void;
}

/** As those see it who serve it. */
export interface OpenCall extends Call {
  /** Milliseconds until the answer may go out. */
  wait(): number;
  /** What `unlessDelivered` was told; each of it once. */
  takeUndelivered(): readonly Undelivered[];
}

export interface Undelivered {
  readonly what: string;
  readonly work: () => Promise<void>;
}

export interface Trace {
  readonly id: string;
  /** For the calls that are made for this request. */
  readonly headers: Readonly<Record<string, string>>;
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
  readonly trace: Trace | undefined;
  readonly address: string;
  readonly #request: Request;
  readonly #response: Response;
  #undelivered = none;
  #evenSince: number | undefined;

  constructor(request: Request, response: Response) {
    this.#request = request;
    this.#response = response;
    this.trace = readTrace(this.header('traceparent'), this.header('tracestate'));
    this.address = addressOf(request);
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

const allZero = /^0+$/;

/** W3C Trace Context, section 3.2; of later versions the part that this one knows. */
function readTrace(traceparent: string | undefined, tracestate: string | undefined): Trace | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceparent ?? '');
  if (match === null) return undefined;
  const [, version = '', id = '', parent = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (allZero.test(id) || allZero.test(parent)) return undefined;
  const span = randomUUID().replaceAll('-', '').slice(0, 16);
  const headers: Record<string, string> = {
    traceparent: `00-${id}-${allZero.test(span) ? parent : span}-${flags}`,
  };
  // Opaque to us; passed on as it came if it is short and clean enough to stand in a header.
  if (tracestate !== undefined && /^[\x20-\x7e]{1,512}$/.test(tracestate)) headers['tracestate'] = tracestate;
  return { id, headers };
}

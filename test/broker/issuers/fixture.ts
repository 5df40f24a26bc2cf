import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { IssuerDeps } from '../../../broker/issuers/issuers.ts';
import type { TrustedIssuer } from '../../../broker/issuers/trusted-issuer.ts';
import { KleisError } from '../../../shared/errors.ts';
import { createFetch } from '../../../shared/net/http.ts';

export const audience = 'https://kleis.example.com';
/** 2026-11-22, when nothing special happens. */
export const noon = Date.UTC(2026, 10, 22, 12);

export interface ManualClock {
  now(): number;
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  advance(milliseconds: number): void;
}

/** A clock that stands still until it is told to go on; sleepers wake when their time has come. */
export function manualClock(start = noon): ManualClock {
  let time = start;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    now: () => time,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: time + milliseconds, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
        });
      }),
    advance(milliseconds) {
      time += milliseconds;
      for (const sleeper of sleepers) {
        if (sleeper.at > time) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}

export interface SigningKey {
  readonly kid: string | undefined;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function makeKey(kid: string | undefined, alg = 'ES256'): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), use: 'sig', alg, ...(kid === undefined ? {} : { kid }) };
  return { kid, alg, privateKey, jwk };
}

export interface TestIssuer {
  readonly url: string;
  /** What is published now. */
  keys: SigningKey[];
  /** Replaces the whole key set. */
  keySet: unknown;
  /** Alters the discovery document. */
  discovery: (document: Record<string, unknown>) => unknown;
  /** Answers in place of the issuer when it returns true. */
  before: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  cacheControl: string | undefined;
  /** Paths asked for, in order. */
  readonly seen: string[];
  readonly count: (part: string) => number;
  readonly stop: () => Promise<void>;
}

/** An issuer on loopback whose every answer can be another. */
export async function startIssuer(
  keys: SigningKey[],
  { tls, path = '', host }: { tls?: { cert: string; key: string }; path?: string; host?: string } = {},
): Promise<TestIssuer> {
  const seen: string[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    seen.push(request.url ?? '');
    if (issuer.before?.(request, response)) return;
    const send = (body: unknown) => {
      if (issuer.cacheControl !== undefined) response.setHeader('cache-control', issuer.cacheControl);
      response.setHeader('content-type', 'application/json');
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (request.url === `${path}/.well-known/openid-configuration`) {
      send(issuer.discovery({ issuer: issuer.url, jwks_uri: `${origin}${path}/keys` }));
    } else if (request.url === `${path}/keys`) send(issuer.keySet ?? { keys: issuer.keys.map(({ jwk }) => jwk) });
    else response.writeHead(404).end();
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const origin = `${tls ? 'https' : 'http'}://${host ?? '127.0.0.1'}:${isAddressInfo(address) ? address.port : 0}`;
  const issuer: TestIssuer = {
    url: `${origin}${path}`,
    keys,
    keySet: undefined,
    discovery: (document) => document,
    before: undefined,
    cacheControl: undefined,
    seen,
    count: (part) => seen.filter((url) => url.includes(part)).length,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return issuer;
}

function isAddressInfo(address: ReturnType<ReturnType<typeof createServer>['address']>): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

export interface SignOptions {
  readonly key: SigningKey;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly now?: number;
}

/** A token as GitHub would make it: five minutes long, valid five minutes before; `undefined` leaves a claim out. */
export async function sign(
  issuer: { readonly url: string },
  claims: Readonly<Record<string, unknown>>,
  { key, header = {}, now = noon }: SignOptions,
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  const payload = {
    iss: issuer.url,
    aud: audience,
    sub: 'repo:acme/web:ref:refs/heads/main',
    iat: seconds,
    nbf: seconds - 300,
    exp: seconds + 300,
    jti: 'a-jti',
    ...claims,
  };
  const kid = key.kid === undefined ? {} : { kid: key.kid };
  return new SignJWT(payload).setProtectedHeader({ typ: 'JWT', alg: key.alg, ...kid, ...header }).sign(key.privateKey);
}

export function trusted(issuer: { readonly url: string }, more: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return { name: 'ci', url: issuer.url, audience, singleUse: false, leeway: 30_000, ...more };
}

export function issuerDeps(clock: IssuerDeps['clock'] = manualClock(), timeout = 2_000): IssuerDeps {
  return { clock, fetchFor: (options) => createFetch({ ...options, timeout, env: {}, now: Date.now }) };
}

/** The error that a promise must end with; never a token in it. */
export async function refusal(promise: Promise<unknown>): Promise<KleisError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`accepted: ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof KleisError)) throw outcome.error;
  return outcome.error;
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await refusal(promise)).code;
}

function encode(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url');
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** A compact JWS of any parts: texts and bytes as they are, the rest as JSON. */
export function assemble(header: unknown, payload: unknown, signature: Uint8Array | string = 'sig'): string {
  return [header, payload, signature].map(encode).join('.');
}

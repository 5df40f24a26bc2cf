import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KleisError } from '../../../shared/errors.ts';
import { createFetch } from '../../../shared/net/http.ts';
import type { Surroundings } from '../../../cli/identity/platform.ts';

// What the tests of identities and of the broker's client share: servers that speak, or fail to speak, a protocol.

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface TestServer {
  readonly url: string;
  readonly received: Received[];
  /** How the next requests are answered, in turn; the last one stays. */
  answer(...answers: Answer[]): void;
  stop(): Promise<void>;
}

type Answer = (request: Received, response: ServerResponse) => void;

export const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

export const page =
  (status = 200): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'text/html' }).end('<!doctype html><h1>Sign in to the proxy</h1>');
  };

export const redirect =
  (location: string): Answer =>
  (_, response) => {
    response.writeHead(302, { location }).end();
  };

/** The request has arrived, the answer is lost. */
export const cut: Answer = (_, response) => {
  response.socket?.destroy();
};

export const silence: Answer = () => undefined;

export async function startTestServer(): Promise<TestServer> {
  const received: Received[] = [];
  let answers: Answer[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const got = { method, url, headers, body: Buffer.concat(chunks).toString() };
      received.push(got);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      (answer ?? json({}, 404))(got, response);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer(...next) {
      answers = next;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

export const now = Date.UTC(2026, 10, 22, 12);

/** A token in the right form; the signature is nobody's. */
export function makeToken(claims: Readonly<Record<string, unknown>> = {}): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const whole = { iss: 'https://issuer.test', aud: 'kleis', iat: now / 1000 - 5, exp: now / 1000 + 295, ...claims };
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(whole)}.${Buffer.from('signature').toString('base64url')}`;
}

export function surroundings(env: Readonly<Record<string, string>>, options: { timeout?: number } = {}): Surroundings {
  const { signal } = new AbortController();
  return {
    env,
    platform: process.platform,
    signal,
    now: () => now,
    fetch: createFetch({ env: {}, now: Date.now, maxBody: 64 * 1024, ...options }),
  };
}

export async function failureOf(promise: Promise<unknown>): Promise<KleisError> {
  const error: unknown = await promise.then(
    () => new Error('it went well'),
    (reason: unknown) => reason,
  );
  if (error instanceof KleisError) return error;
  throw error;
}

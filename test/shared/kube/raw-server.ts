import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { type KubeClient, type KubeOptions, openCluster } from '../../../shared/kube/client.ts';
import { KubeError } from '../../../shared/kube/error.ts';
import { type Authority, createAuthority, type KeyPair } from '../../support/certificates.ts';

// An API server that does what none should: it writes bytes, not answers of an HTTP library.

export interface Raw {
  readonly folder: string;
  readonly authority: Authority;
  /** For localhost, its addresses and api.example.com. */
  readonly pair: KeyPair;
}

const ends: (() => void)[] = [];

/** What is done when the test is over. */
export function atEnd(work: () => void): void {
  ends.push(work);
}

/** Makes what all tests of a file use; filled in before the first of them. */
export function prepare(): Raw {
  const raw = {} as { -readonly [Key in keyof Raw]: Raw[Key] };
  beforeAll(async () => {
    raw.folder = await mkdtemp(join(tmpdir(), 'kleis-connections-'));
    raw.authority = await createAuthority();
    raw.pair = await raw.authority.issueServer(['localhost', 'api.example.com', '127.0.0.1', '::1']);
    await writeFile(join(raw.folder, 'ca.pem'), raw.authority.cert);
    await writeFile(join(raw.folder, 'token'), 'a-token');
  });
  afterEach(() => {
    for (const end of ends.splice(0)) end();
  });
  afterAll(() => rm(raw.folder, { recursive: true }));
  return raw;
}

export const json = (body: string, headers = '') =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
export const ok = json('{"kind":"Ok"}');

export interface Listening {
  readonly port: number;
  /** All connections that there were. */
  readonly sockets: readonly Socket[];
}

export async function listen(server: Server, host = '127.0.0.1'): Promise<Listening> {
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  atEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

export interface Serving extends Listening {
  /** First lines of all requests, in the order of their arrival. */
  readonly seen: readonly string[];
  /** Connections past their handshake that nobody closed yet. */
  readonly live: ReadonlySet<TLSSocket>;
}

/** Told of each whole request, its first line and all before its body; it writes what it likes. */
type Answer = (socket: TLSSocket, line: string, head: string) => void;

export async function serve(options: tls.TlsOptions, answer: Answer, host?: string): Promise<Serving> {
  const seen: string[] = [];
  const live = new Set<TLSSocket>();
  const server = tls.createServer(options, (socket) => {
    live.add(socket);
    socket.on('close', () => live.delete(socket));
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (;;) {
        const head = text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
        if (head === -1 || text.length < head + 4 + length) return;
        const whole = text.slice(0, head);
        const line = whole.slice(0, whole.indexOf('\r\n'));
        text = text.slice(head + 4 + length);
        seen.push(line);
        answer(socket, line, whole);
      }
    });
  });
  return { ...(await listen(server, host)), seen, live };
}

export function open({ folder }: Raw, port: number, more: Partial<KubeOptions> = {}): KubeClient {
  const client = openCluster({
    credentials: { tokenFile: join(folder, 'token') },
    server: `https://localhost:${port}`,
    certificateAuthority: join(folder, 'ca.pem'),
    env: {},
    now: Date.now,
    ...more,
  });
  atEnd(() => client.close());
  return client;
}

export async function refusal(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
}

import dns from 'node:dns';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import tls, { type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createAuthority, type KeyPair } from '../../support/certificates.ts';
import { startSocks } from '../../support/socks-server.ts';
import { until } from '../../support/wait.ts';
import { atEnd, json, listen, ok, open, prepare, refusal, serve } from './raw-server.ts';

const most = 128;

const raw = prepare();
afterEach(() => vi.useRealTimers());

describe('connections', () => {
  it('carry one request at a time, writes among them, and are no more than there may be', async () => {
    const held: TLSSocket[] = [];
    let together = 0;
    const server = await serve(raw.pair, (socket) => {
      if (held.includes(socket)) together += 1;
      held.push(socket);
    });
    const client = open(raw, server.port);
    const calls = Array.from({ length: 300 }, async (_, index) =>
      client.request(index % 2 === 0 ? 'POST' : 'GET', `/calls/${index}`, { body: index % 2 === 0 ? {} : undefined }),
    );
    await until('all connections are busy', () => held.length === most);
    while (server.seen.length < 300 || held.length > 0) {
      for (const socket of held.splice(0)) socket.write(ok);
      await until('the next ones come', () => held.length > 0 || server.seen.length === 300);
    }
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(calls.map(() => 200));
    expect(server.sockets.length).toBe(most);
    expect(together).toBe(0);
    expect(new Set(server.seen).size).toBe(300);
  });

  it('are used again, the last one first, so that a burst leaves none behind that is needed', async () => {
    const server = await serve(raw.pair, (socket) => socket.write(ok));
    const client = open(raw, server.port);
    await Promise.all(Array.from({ length: 8 }, async () => client.request('GET', '/a')));
    const before = server.sockets.length;
    expect(before).toBeLessThanOrEqual(8);
    for (let index = 0; index < 20; index += 1) {
      await Promise.all([client.request('POST', '/b', { body: {} }), client.request('GET', '/c')]);
    }
    expect(server.sockets.length).toBe(before);
  });

  it('that are being made count as well: a server that never finishes its handshake is no flood', async () => {
    const server = await listen(net.createServer());
    const client = open(raw, server.port);
    const calls = () =>
      Promise.allSettled(
        Array.from({ length: 200 }, async () => client.request('POST', '/x', { body: {}, timeout: 300 })),
      );
    for (const result of [...(await calls()), ...(await calls())]) {
      expect(result).toMatchObject({ status: 'rejected', reason: { ambiguous: false, retryable: true } });
    }
    expect(server.sockets.length).toBe(most);
  });

  it('that the server refuses leave room for others', async () => {
    let refuse = true;
    const server = await serve(raw.pair, (socket) => socket.write(ok));
    const gate = net.createServer((socket) => {
      socket.on('error', () => undefined);
      if (refuse) socket.destroy();
      else socket.pipe(net.connect(server.port, '127.0.0.1').on('error', () => socket.destroy())).pipe(socket);
    });
    const { sockets, port } = await listen(gate);
    const client = open(raw, port);
    await Promise.all(
      Array.from({ length: 300 }, async () => {
        expect(await refusal(client.request('POST', '/x', { body: {} }))).toMatchObject({ ambiguous: false });
      }),
    );
    refuse = false;
    const before = sockets.length;
    const again = await Promise.all(Array.from({ length: 300 }, async () => client.request('GET', '/x')));
    expect(again.every(({ status }) => status === 200)).toBe(true);
    expect(sockets.length - before).toBeLessThanOrEqual(most);
  });

  it.each(['', 'keep-alive: timeout=600\r\n'])(
    'that nobody uses are closed before the API server closes them, whatever it allows (%j)',
    async (header) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const server = await serve(raw.pair, (socket) => socket.write(json('{}', header)));
      const client = open(raw, server.port);
      await client.request('GET', '/a');
      await turns();
      vi.advanceTimersByTime(40_000);
      await client.request('GET', '/b');
      await turns();
      expect(server.sockets.length).toBe(1);
      vi.advanceTimersByTime(60_000);
      vi.useRealTimers();
      await until('they are closed', () => server.live.size === 0);
    },
  );

  it('of a configuration that was replaced are closed after a minute, whatever is under way on them', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const server = await serve(raw.pair, (socket, line) => void (line.includes('/slow') || socket.write(ok)));
    const kubeconfig = join(raw.folder, 'replaced.yaml');
    await writeFile(kubeconfig, config(server.port, { token: 'a' }));
    let now = Date.now();
    const client = open(raw, server.port, { credentials: { kubeconfig }, now: () => now });
    const slow = refusal(client.request('POST', '/slow', { body: {}, timeout: 100_000 }));
    await turnsUntil(() => server.seen.length === 1);
    const user = certificate(await raw.authority.issueClient('new'));
    await writeFile(kubeconfig, config(server.port, user));
    now += 11_000;
    await client.request('GET', '/seen');
    now += 300;
    await client.request('GET', '/new');
    await turns();
    vi.advanceTimersByTime(59_000);
    await turns();
    expect(server.sockets.length).toBe(3);
    expect(await settled(slow)).toBe(false);
    vi.advanceTimersByTime(2_000);
    vi.useRealTimers();
    expect(await slow).toMatchObject({ ambiguous: true });
    await until('all are closed', () => server.live.size === 0);
  });

  it('are closed with the client, and calls on it fail without a doubt', async () => {
    const server = await serve(raw.pair, (socket) => socket.write(ok));
    const client = open(raw, server.port);
    await client.request('GET', '/a');
    client.close();
    await until('they are closed', () => server.live.size === 0);
    const error = await refusal(client.request('POST', '/b', { body: {}, timeout: 500 }));
    expect(error).toMatchObject({ ambiguous: false });
    expect(server.sockets.length).toBe(1);
  });
});

describe('a call that was given up', () => {
  it('while it waited for a connection is never sent', async () => {
    const held: TLSSocket[] = [];
    const server = await serve(raw.pair, (socket) => held.push(socket));
    const client = open(raw, server.port);
    const calls = Array.from({ length: most }, async () => client.request('GET', '/first'));
    await until('all connections are busy', () => held.length === most);
    const late = await refusal(client.request('POST', '/late', { body: {}, timeout: 50 }));
    expect(late).toMatchObject({ ambiguous: false, retryable: true });
    const aborted = await refusal(client.request('POST', '/late', { body: {}, signal: AbortSignal.timeout(50) }));
    expect(aborted).toMatchObject({ ambiguous: false });
    for (const socket of held.splice(0)) socket.write(ok);
    await Promise.all(calls);
    const last = client.request('GET', '/last');
    await until('it came', () => held.length === 1);
    held[0]!.write(ok);
    await last;
    expect(server.seen.filter((line) => line.includes('/late'))).toEqual([]);
  });

  it('while its connection was made is never sent, and the connection serves the next', async () => {
    const server = await serve(raw.pair, (socket) => socket.write(ok));
    const ready: (() => void)[] = [];
    const gate = net.createServer((socket) => {
      socket.on('error', () => undefined);
      ready.push(() => socket.pipe(net.connect(server.port, '127.0.0.1')).pipe(socket));
    });
    const { sockets, port } = await listen(gate);
    const client = open(raw, port);
    const giveUp = new AbortController();
    const late = refusal(client.request('POST', '/late', { body: {}, signal: giveUp.signal }));
    await until('its connection is being made', () => ready.length === 1);
    giveUp.abort();
    expect(await late).toMatchObject({ ambiguous: false, retryable: true });
    for (const go of ready) go();
    await until('it is connected', () => client.connectedAt() !== undefined);
    expect((await client.request('GET', '/next')).status).toBe(200);
    expect(server.seen).toEqual(['GET /next HTTP/1.1']);
    expect(sockets.length).toBe(1);
  });

  it('after it was sent takes its connection with it: a late answer is nobody else’s', async () => {
    const held: TLSSocket[] = [];
    const server = await serve(raw.pair, (socket, line) =>
      line.includes('/late') ? held.push(socket) : socket.write(ok),
    );
    const client = open(raw, server.port);
    const giveUp = new AbortController();
    const late = refusal(client.request('POST', '/late', { body: {}, signal: giveUp.signal }));
    await until('it came', () => held.length === 1);
    giveUp.abort();
    expect(await late).toMatchObject({ ambiguous: true });
    held[0]!.write(json('{"kind":"Late"}'));
    expect((await client.request<{ kind: string }>('GET', '/next')).body.kind).toBe('Ok');
  });
});

describe('the way to the server', () => {
  it('may be IPv6', async (context) => {
    const server = await serve(raw.pair, (socket) => socket.write(ok), '::1').catch(() => undefined);
    if (server === undefined) return context.skip('this machine has no IPv6');
    expect((await open(raw, server.port, { server: `https://[::1]:${server.port}` }).request('GET', '/x')).status).toBe(
      200,
    );
  });

  it.each(['http', 'https', 'socks5'])('leads through a proxy: %s', async (kind) => {
    const names: (string | undefined)[] = [];
    const server = await serve(raw.pair, (socket) => {
      names.push((socket as unknown as { servername?: string }).servername);
      socket.write(ok);
    });
    const proxy = kind === 'socks5' ? await socks(server.port) : await tunnel(server.port, kind === 'https');
    const env = {
      HTTPS_PROXY: `${kind}://ann:hush@localhost:${proxy.port}`,
      SSL_CERT_FILE: join(raw.folder, 'ca.pem'),
    };
    const options = { env, server: 'https://api.example.com:6443' };
    const client = open(raw, server.port, options);
    const lookup = vi.spyOn(dns, 'lookup');
    atEnd(() => lookup.mockRestore());
    expect((await client.request('GET', '/x')).status).toBe(200);
    expect((await client.request('POST', '/x', { body: {} })).status).toBe(200);
    expect(lookup).not.toHaveBeenCalled();
    expect(proxy.asked).toEqual([expect.stringContaining('api.example.com:6443')]);
    expect(names[0]).toBe('api.example.com');
    const direct = open(raw, server.port, { ...options, env: { ...env, NO_PROXY: '.example.com' } });
    expect(await refusal(direct.request('POST', '/x', { body: {}, timeout: 2_000 }))).toMatchObject({
      ambiguous: false,
    });
    expect(proxy.asked.length).toBe(1);
  });

  it('through a proxy that says no ends with its words, and without its password', async () => {
    const proxy = http.createServer().on('connect', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
    const { port } = await listen(proxy);
    const env = { HTTPS_PROXY: `http://ann:hush@localhost:${port}` };
    const client = open(raw, 1, { env, server: 'https://api.example.com' });
    const error = await refusal(client.request('POST', '/x', { body: {}, timeout: 1_000 }));
    expect(error).toMatchObject({ ambiguous: false, retryable: true });
    expect(error.message).toContain('does not let us through (HTTP 403) to api.example.com:443');
    expect(error.message).not.toContain('hush');
  });

  it('is shown to nobody else: the certificate of the client is the one that its file has now', async () => {
    const users: unknown[] = [];
    const server = await serve({ ...raw.pair, requestCert: true, ca: raw.authority.cert }, (socket) => {
      users.push(socket.getPeerCertificate().subject.CN);
      socket.write(ok);
    });
    const kubeconfig = join(raw.folder, 'certificate.yaml');
    const write = async (user: string) =>
      writeFile(kubeconfig, config(server.port, certificate(await raw.authority.issueClient(user))));
    await write('old');
    let now = Date.now();
    const client = open(raw, server.port, { credentials: { kubeconfig }, now: () => now });
    await client.request('GET', '/x');
    await write('new');
    await client.request('GET', '/x');
    now += 11_000;
    await client.request('GET', '/x');
    now += 300;
    await client.request('GET', '/x');
    expect(users).toEqual(['old', 'old', 'old', 'new']);
  });

  it('is not asked again about a certificate that nobody vouches for', async () => {
    const other = await createAuthority();
    const server = await serve(await other.issueServer(['localhost']), (socket) => socket.write(ok));
    const error = await refusal(open(raw, server.port).request('GET', '/x'));
    expect(error).toMatchObject({ ambiguous: false, retryable: false });
    expect(server.sockets.length).toBe(1);
    expect(server.seen).toEqual([]);
  });

  it('takes up a TLS session again, and never one of another authority', async () => {
    const reused: boolean[] = [];
    const server = await serve(raw.pair, (socket) => {
      reused.push(socket.isSessionReused());
      socket.write(json('{}', 'connection: close\r\n'));
    });
    const client = open(raw, server.port);
    for (let index = 0; index < 3; index += 1) {
      await client.request('GET', '/x');
      await until('they are closed', () => server.live.size === 0);
    }
    expect(reused).toEqual([false, true, true]);
    const other = await createAuthority();
    await writeFile(join(raw.folder, 'other.pem'), other.cert);
    const stranger = open(raw, server.port, { certificateAuthority: join(raw.folder, 'other.pem') });
    await refusal(stranger.request('GET', '/x'));
    expect(reused.length).toBe(3);
  });
});

function config(port: number, user: object): string {
  return JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: { server: `https://localhost:${port}`, 'certificate-authority': 'ca.pem' } }],
    users: [{ name: 'u', user }],
  });
}

function certificate({ cert, key }: KeyPair): object {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  return { 'client-certificate-data': encoded(cert), 'client-key-data': encoded(key) };
}

async function tunnel(port: number, secure: boolean): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const proxy = http.createServer().on('connect', ({ url, headers }, socket) => {
    asked.push(`${url} ${headers['proxy-authorization']}`);
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    socket.on('error', () => undefined);
    socket.pipe(net.connect(port, '127.0.0.1').on('error', () => socket.destroy())).pipe(socket);
  });
  const front = secure ? tls.createServer(raw.pair, (socket) => proxy.emit('connection', socket)) : proxy;
  return { port: (await listen(front)).port, asked };
}

async function socks(target: number): Promise<{ port: number; asked: readonly string[] }> {
  const proxy = await startSocks({ target, user: 'ann', password: 'hush' });
  atEnd(() => proxy.stop());
  return proxy;
}

/** Some rounds of the event loop, where timers do not move. */
async function turns(count = 20): Promise<void> {
  for (let index = 0; index < count; index += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function turnsUntil(done: () => boolean): Promise<void> {
  while (!done()) await turns(1);
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  const nothing = Symbol('nothing');
  return (await Promise.race([promise, Promise.resolve(nothing)])) !== nothing;
}

import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { KubeClient } from '../../../shared/kube/client.ts';
import { until } from '../../support/wait.ts';
import { json, ok, open, prepare, refusal, serve } from './raw-server.ts';

const raw = prepare();

describe('a request', () => {
  it('says once what it accepts and who asks: what the call gives stands in the place of what all calls say', async () => {
    const heads: string[] = [];
    const server = await serve(raw.pair, (socket, _line, head) => {
      heads.push(head);
      socket.write(ok);
    });
    const client = open(raw, server.port);
    const headers = { Accept: 'application/jwk-set+json', traceparent: '00-a-b-01' };
    await client.request('GET', '/keys', { headers });
    await client.request('DELETE', '/object', { body: { kind: 'DeleteOptions' } });
    const fields = heads.map((head) => head.split('\r\n').slice(1).toSorted());
    const host = `host: localhost:${server.port}`;
    const always = ['authorization: Bearer a-token', 'connection: keep-alive', host, 'user-agent: kleis'];
    expect(fields).toEqual([
      [...always, 'accept: application/jwk-set+json', 'traceparent: 00-a-b-01'].toSorted(),
      [...always, 'accept: application/json', 'content-length: 24', 'content-type: application/json'].toSorted(),
    ]);
  });

  it('of any kind leaves its connection to the next one', async () => {
    const server = await serve(raw.pair, (socket) => socket.write(ok));
    const client = open(raw, server.port);
    for (const method of ['POST', 'PUT', 'DELETE', 'DELETE', 'GET'] as const) {
      await client.request(method, '/object', { body: method === 'GET' ? undefined : {} });
    }
    expect(server.sockets.length).toBe(1);
  });
});

describe('an answer that lies', () => {
  const large = 'x'.repeat(1000);

  it.each<[string, string, string]>([
    ['with more headers than may be', `HTTP/1.1 200 OK\r\n${`a: ${large}\r\n`.repeat(40)}`, 'headers'],
    ['with another protocol', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', 'cut'],
    ['with no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n', 'does not speak HTTP'],
    ['with two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x', 'longer or shorter'],
    [
      'with a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
      'longer or shorter',
    ],
  ])('%s is none', async (_, bytes, words) => {
    const server = await serve(raw.pair, (socket) => socket.write(bytes));
    const client = open(raw, server.port);
    const error = await refusal(client.request('POST', '/x', { body: {}, timeout: 2_000 }));
    expect(error).toMatchObject({ status: undefined, ambiguous: true });
    expect(error.message).toContain(words);
    expect(server.seen.length).toBe(1);
  });

  it('that is cut in its middle is none, whatever it says of its length', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
    for (const bytes of [`${head}content-length: 90\r\n\r\n{}`, `${head}transfer-encoding: chunked\r\n\r\n2\r\n{}`]) {
      const server = await serve(raw.pair, (socket) => socket.end(bytes));
      const error = await refusal(open(raw, server.port).request('POST', '/x', { body: {}, timeout: 2_000 }));
      expect(error).toMatchObject({ status: undefined, ambiguous: true });
      expect(server.seen.length).toBe(1);
    }
  });

  it.each<[string, string]>([
    ['begins and stops', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{'],
    ['stops within its headers', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['says that it is about to come', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ])('that %s is waited for no longer than the call may take', async (_, bytes) => {
    const server = await serve(raw.pair, (socket) => socket.write(bytes));
    const began = performance.now();
    const error = await refusal(open(raw, server.port).request('POST', '/x', { body: {}, timeout: 200 }));
    expect(error).toMatchObject({ status: undefined, ambiguous: true });
    expect(error.message).toContain('it did not answer in time');
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('that comes drop by drop for ever does not outlive the deadline', async () => {
    const server = await serve(raw.pair, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      const timer = setInterval(() => socket.write('1\r\n \r\n'), 10);
      socket.on('close', () => clearInterval(timer));
    });
    const error = await refusal(open(raw, server.port).request('GET', '/x', { timeout: 300 }));
    expect(error.message).toContain('it did not answer in time');
  });

  it('that is too long ends its connection, also without a length', async () => {
    let used: TLSSocket | undefined;
    const server = await serve(raw.pair, (socket) => {
      used = socket;
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      for (let index = 0; index < 50; index += 1) socket.write(`3e8\r\n${large}\r\n`);
    });
    const error = await refusal(open(raw, server.port).request('GET', '/x', { maxBody: 20_000 }));
    expect(error).toMatchObject({ tooLarge: true, ambiguous: false });
    expect(server.seen.length).toBe(1);
    await until('it is closed', () => used?.destroyed === true);
  });

  it('is never the answer to the next question: a second one that comes with it', async () => {
    const server = await serve(raw.pair, (socket, line) =>
      socket.write(line.includes('/first') ? `${ok}${planted}` : ok),
    );
    const client = open(raw, server.port);
    // One waits for the connection already, one comes later.
    const kinds = await Promise.all([kindOf(client, '/first'), kindOf(client, '/second')]);
    expect([...kinds, await kindOf(client, '/third')]).toEqual(['Ok', 'Ok', 'Ok']);
  });

  it('is never the answer to the next question: one that comes while nobody asks', async () => {
    const held: TLSSocket[] = [];
    const server = await serve(raw.pair, (socket) => {
      held.push(socket);
      socket.write(ok);
    });
    const client = open(raw, server.port);
    await kindOf(client, '/first');
    held[0]!.write(planted);
    await until('the connection is closed', () => server.live.size === 0);
    expect(await kindOf(client, '/second')).toBe('Ok');
  });
});

const planted = json('{"kind":"Planted"}');

async function kindOf(client: KubeClient, path: string): Promise<string> {
  return (await client.request<{ kind: string }>('GET', path)).body.kind;
}

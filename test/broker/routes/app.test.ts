import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import express from 'express';
import helmet from 'helmet';
import { describe, expect, it } from 'vitest';
import { startSuite } from './world.ts';

const { broker } = await startSuite();

describe('what is not there', () => {
  it.each([
    ['GET', '/nowhere', 404],
    ['GET', '/ui', 404],
    ['POST', '/ui/sign-out', 404],
    ['POST', '/', 405],
    ['GET', '/TOKEN', 404],
    ['POST', '/token/x/%00', 404],
    ['GET', '/%zz', 404],
    ['DELETE', '/leases/%zz', 400],
    ['GET', '/token', 405],
    ['OPTIONS', '/token', 405],
    ['PUT', '/leases', 405],
    ['GET', '/leases/x', 405],
    ['POST', '/healthz', 405],
  ])('%s %s answers %d in the same form', async (method, path, status) => {
    const { status: seen, body, headers } = await broker.call(path, { method });
    expect(seen).toBe(status);
    expect(body).toMatchObject({ error: 'invalid_request', request_id: headers['x-request-id'] });
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    // What it says to do is of the form of /token.
    expect(body.hint).not.toContain('8693');
    if (status === 405) expect(headers['allow']).toMatch(/^[A-Z, ]+$/);
  });

  it('and what is no HTTP is answered in JSON as well', async () => {
    const { port } = new URL(broker.url);
    const say = async (text: string): Promise<string> => {
      const socket = net.connect(Number(port), '127.0.0.1');
      let heard = '';
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      socket.write(text);
      await once(socket, 'close');
      return heard;
    };
    expect(await say('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400[^]*"code":"request_malformed"/);
    const long = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`;
    expect(await say(long)).toMatch(/^HTTP\/1\.1 431[^]*"code":"request_too_large"/);
  });
});

describe('every answer', () => {
  it('has the headers that helmet gives to each, and is kept by nobody', async () => {
    const app = express().disable('x-powered-by');
    const directives = { defaultSrc: ["'none'"], frameAncestors: ["'none'"] };
    const contentSecurityPolicy = { useDefaults: false, directives };
    app.use(helmet({ contentSecurityPolicy, referrerPolicy: { policy: 'no-referrer' } }));
    app.use((_, response) => void response.end('{}'));
    const server = http.createServer(app).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { headers: given } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    server.close();
    const ofHttp = ['connection', 'content-length', 'date', 'keep-alive'];
    const wanted = Object.fromEntries([...given].filter(([name]) => !ofHttp.includes(name)));
    expect(Object.keys(wanted).length).toBeGreaterThan(10);
    for (const [method, path] of [
      ['GET', '/healthz'],
      ['HEAD', '/healthz'],
      ['GET', '/.well-known/kleis'],
      ['GET', '/not-there'],
      ['GET', '/token'],
      ['POST', '/token'],
      ['DELETE', '/leases/%zz'],
    ] as const) {
      const { headers } = await broker.call(path, { method });
      expect(headers, `${method} ${path}`).toMatchObject({
        ...wanted,
        'cache-control': 'no-store',
        pragma: 'no-cache',
      });
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers['content-type']).toBe('application/json; charset=utf-8');
    }
  });

  it('is one and the same at a path with a slash at its end', async () => {
    expect((await broker.call('/healthz/')).body).toEqual({ alive: true });
    expect((await broker.call('/healthz?x=1')).body).toEqual({ alive: true });
  });
});

import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { startSuite } from './world.ts';

const { broker } = await startSuite();

describe('what is not there', () => {
  it.each([
    ['GET', '/', 404],
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

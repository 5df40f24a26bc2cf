import { createServer } from 'node:https';
import { connect, type AddressInfo, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createFetch } from '../../../shared/net/http.ts';
import { negotiateSocks } from '../../../shared/net/socks.ts';
import { createAuthority, type Authority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';
import { type SocksServer, type SocksServerOptions, startSocks } from '../../support/socks-server.ts';

let authority: Authority;
let target: number;
const server = await (async () => {
  authority = await createAuthority();
  const pair = await authority.issueServer(['login.example.com']);
  return createServer(pair, (_request, response) => response.end('hello'));
})();
const proxies: SocksServer[] = [];
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  target = (server.address() as AddressInfo).port;
});
afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.stop();
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

async function start(options: Partial<SocksServerOptions> = {}): Promise<SocksServer> {
  const proxy = await startSocks({ target, ...options });
  proxies.push(proxy);
  return proxy;
}

function open(env: Record<string, string>) {
  return createFetch({ env, now: Date.now, certificateAuthority: authority.cert });
}

describe('a SOCKS proxy', () => {
  test.each(['socks5', 'socks5h'])('of %s:// looks the name up itself, as for kubectl', async (scheme) => {
    const proxy = await start();
    const answer = await open({ HTTPS_PROXY: `${scheme}://127.0.0.1:${proxy.port}` })(
      'https://login.example.com:8443/',
    );
    expect(await answer.text()).toBe('hello');
    expect(proxy.asked).toEqual(['name login.example.com:8443']);
  });

  test('is taken from ALL_PROXY where HTTPS_PROXY names none', async () => {
    const [all, https] = [await start(), await start()];
    const url = (proxy: SocksServer) => `socks5://127.0.0.1:${proxy.port}`;
    await open({ all_proxy: url(all) })('https://login.example.com/');
    await open({ ALL_PROXY: url(all), HTTPS_PROXY: url(https) })('https://login.example.com/');
    expect([all.asked.length, https.asked.length]).toEqual([1, 1]);
  });

  test('gets the user and password of its URL, which may hold any character', async () => {
    const proxy = await start({ user: 'ann@home', password: 'p%/:ü' });
    const env = { HTTPS_PROXY: `socks5://ann%40home:p%25%2F%3A%C3%BC@127.0.0.1:${proxy.port}` };
    expect((await open(env)('https://login.example.com/')).status).toBe(200);
  });

  test('may answer byte by byte', async () => {
    const proxy = await start({ slowly: true, user: 'ann', password: 'x' });
    const env = { HTTPS_PROXY: `socks5://ann:x@127.0.0.1:${proxy.port}` };
    expect((await open(env)('https://login.example.com/')).status).toBe(200);
  });

  test.each([
    ['without a user where it wants one', { user: 'ann', password: 'x' }, '', /wants a user name and password/],
    ['with the wrong password', { user: 'ann', password: 'x' }, 'ann:hush@', /wants another user name or password/],
    [
      'that refuses',
      { reply: 2 },
      'ann:hush@',
      /does not let us through to login\.example\.com:443: its rules forbid it/,
    ],
    ['that cannot reach the host', { reply: 4 }, '', /the host cannot be reached/],
    ['that answers what no RFC names', { reply: 77 }, '', /it answers 77/],
    ['that speaks HTTP', { greeting: 'HTTP/1.1 400 Bad Request\r\n\r\n' }, 'ann:hush@', /does not speak SOCKS 5/],
    ['that hangs up', { greeting: '' }, '', /does not speak SOCKS 5/],
  ])('%s is named, and its password is not', async (_name, options: Partial<SocksServerOptions>, user, message) => {
    const proxy = await start(options);
    const env = { HTTPS_PROXY: `socks5://${user}127.0.0.1:${proxy.port}` };
    const error = await failure(open(env)('https://login.example.com/', { method: 'POST' }));
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`The proxy 127.0.0.1:${proxy.port} `);
    expect(JSON.stringify([error.message, error.hint, error.detail, String(error.cause)])).not.toContain('hush');
  });

  test('that nobody runs is named', async () => {
    const error = await failure(open({ HTTPS_PROXY: 'socks5://ann:hush@127.0.0.1:1' })('https://login.example.com/'));
    expect(error.message).toBe('The proxy 127.0.0.1:1 cannot be used: the connection was refused.');
  });

  test('gets addresses in their own form', async () => {
    const proxy = await start();
    const ask = async (host: string) => {
      const socket = connect(proxy.port, '127.0.0.1');
      await negotiateSocks(socket, { host, port: 443, user: '', password: '' });
      socket.destroy();
      return proxy.asked.at(-1);
    };
    expect(await ask('192.0.2.7')).toBe('c0000207');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 16, maxLength: 16 }), async (bytes) => {
        const hex = Buffer.from(bytes).toString('hex');
        const written = hex.match(/.{4}/g)!.join(':');
        expect(await ask(new SocketAddress({ address: written, family: 'ipv6' }).address)).toBe(hex);
      }),
      {
        numRuns: 60,
        examples: [
          [new Uint8Array(16)],
          [Uint8Array.of(...Array(15).fill(0), 1)],
          [Uint8Array.of(...Array(10).fill(0), 255, 255, 192, 0, 2, 7)],
        ],
      },
    );
  });
});

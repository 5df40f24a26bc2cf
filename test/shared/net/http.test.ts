import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFetch, type FetchOptions } from '../../../shared/net/http.ts';
import { proxyChooser } from '../../../shared/net/proxy.ts';
import { createAuthority, type Authority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';

let authority: Authority;
let folder: string;
beforeAll(async () => {
  authority = await createAuthority();
  folder = await mkdtemp(join(tmpdir(), 'kleis-http-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function during<T>(server: Server, work: (port: number) => Promise<T>): Promise<T> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work((server.address() as AddressInfo).port);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

function plain<T>(listener: RequestListener, work: (origin: string) => Promise<T>): Promise<T> {
  return during(createServer(listener), (port) => work(`http://127.0.0.1:${port}`));
}

async function secure<T>(
  names: string[],
  listener: RequestListener,
  work: (port: number) => Promise<T>,
  validity = {},
): Promise<T> {
  const { cert, key } = await authority.issueServer(names, validity);
  return during(createTlsServer({ cert, key }, listener), work);
}

const hello: RequestListener = (_request, response) => response.end('hello');
const open = (options: Partial<FetchOptions> = {}) => createFetch({ env: {}, now: Date.now, ...options });

const inTwoPieces: RequestListener = (_request, response) => {
  response.write('x'.repeat(600));
  response.end('x'.repeat(600));
};
const cutShort: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-length': 100 }).write('x');
  setTimeout(() => response.destroy(), 20);
};

describe('what comes back', () => {
  test('is the whole answer: status, headers, body; and a POST sends its form', async () => {
    const answer = await plain(
      (request, response) => {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => response.writeHead(201, { 'x-got': `${request.method ?? ''} ${body}` }).end('done'));
      },
      (origin) => open()(origin, { method: 'POST', body: new URLSearchParams({ a: 'b c' }) }),
    );
    expect([answer.status, answer.headers.get('x-got'), await answer.text()]).toEqual([201, 'POST a=b+c', 'done']);
  });

  test('a body above the limit is refused, also without Content-Length', async () => {
    const error = await plain(inTwoPieces, (origin) => failure(open({ maxBody: 1000 })(origin)));
    expect(error).toMatchObject({ code: 'provider_invalid' });
  });

  test('a body that stops in the middle is a network error', async () => {
    const error = await plain(cutShort, (origin) => failure(open()(origin, { method: 'POST' })));
    expect(error.message).toContain('the connection was cut');
  });
});

describe('redirects', () => {
  test('within one origin are followed, to another they are given back as they are', async () => {
    const visited: string[] = [];
    await plain(
      (request, response) => {
        visited.push(request.url ?? '');
        if (request.url === '/') response.writeHead(302, { location: '/next' }).end();
        else response.writeHead(302, { location: 'http://127.0.0.1:1/stolen' }).end();
      },
      async (origin) => {
        const answer = await open()(origin, { headers: { authorization: 'secret' } });
        expect(answer.status).toBe(302);
        expect(answer.headers.get('location')).toBe('http://127.0.0.1:1/stolen');
      },
    );
    expect(visited).toEqual(['/', '/next']);
  });

  test('of a POST are never followed, and a circle ends', async () => {
    let asked = 0;
    const circle: RequestListener = (_request, response) => {
      asked += 1;
      response.writeHead(307, { location: '/' }).end();
    };
    expect((await plain(circle, (origin) => open()(origin, { method: 'POST' }))).status).toBe(307);
    expect(asked).toBe(1);
    expect((await plain(circle, (origin) => open()(origin))).status).toBe(307);
    expect(asked).toBeLessThan(8);
  });
});

async function timesAsked(
  answers: { status: number; after?: string }[],
  method: string,
): Promise<{ times: number; status: number }> {
  let times = 0;
  const { status } = await plain(
    (_request, response) => {
      const answer = answers[Math.min(times, answers.length - 1)] ?? { status: 200 };
      times += 1;
      response.writeHead(answer.status, answer.after === undefined ? {} : { 'retry-after': answer.after }).end();
    },
    (origin) => open()(origin, { method }),
  );
  return { times, status };
}

describe('another attempt', () => {
  test('a GET is tried again on 503 and 429, a POST is not', async () => {
    expect(await timesAsked([{ status: 503 }, { status: 429, after: '0' }, { status: 200 }], 'GET')).toEqual({
      times: 3,
      status: 200,
    });
    expect(await timesAsked([{ status: 503 }], 'POST')).toEqual({ times: 1, status: 503 });
  });

  test('not three times over, not on 404, and not when the server asks for an hour', async () => {
    expect(await timesAsked([{ status: 500 }], 'GET')).toEqual({ times: 3, status: 500 });
    expect(await timesAsked([{ status: 404 }], 'GET')).toEqual({ times: 1, status: 404 });
    expect(await timesAsked([{ status: 503, after: '3600' }], 'GET')).toEqual({ times: 1, status: 503 });
  });

  test('waits for a date by the clock that it is given, whatever the time is elsewhere', async () => {
    const clock = Date.parse('2001-01-01T00:00:00Z');
    const dated = async (seconds: number) => {
      const after = new Date(clock + seconds * 1000).toUTCString();
      let times = 0;
      const answer = await plain(
        (_request, response) => {
          times += 1;
          if (times === 1) response.writeHead(503, { 'retry-after': after }).end();
          else response.end();
        },
        (origin) => open({ now: () => clock })(origin),
      );
      return { times, status: answer.status };
    };
    expect(await dated(1)).toEqual({ times: 2, status: 200 });
    expect(await dated(-60)).toEqual({ times: 2, status: 200 });
    expect(await dated(60)).toEqual({ times: 1, status: 503 });
  });

  test('a GET is tried again when the connection is cut', async () => {
    let times = 0;
    const answer = await plain(
      (request, response) => {
        times += 1;
        if (times === 1) request.socket.destroy();
        else response.end('there');
      },
      (origin) => open()(origin),
    );
    expect([times, await answer.text()]).toEqual([2, 'there']);
  });
});

describe('what went wrong is said', () => {
  test('nobody listens', async () => {
    const port = await during(createServer(hello), async (free) => free);
    const error = await failure(open()(`http://127.0.0.1:${port}`, { method: 'POST' }));
    expect(error).toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
    expect(error.message).toBe(`Cannot reach 127.0.0.1:${port}: the connection was refused.`);
  });

  test('a name that does not exist', async () => {
    const error = await failure(open({ timeout: 8000 })('https://no-such-host.invalid/'));
    expect(error.message).toMatch(
      /^Cannot reach no-such-host\.invalid: its name (is not known|cannot be looked up now)/,
    );
  });

  test('a server that accepts and stays silent: the time is bounded', async () => {
    const started = Date.now();
    const error = await plain(
      () => undefined,
      (origin) => failure(open({ timeout: 200 })(origin)),
    );
    expect(error.message).toContain('did not answer in time');
    expect(Date.now() - started).toBeLessThan(2000);
  });

  test("the caller's signal ends it with the caller's reason", async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const fetching = plain(
      () => controller.abort(reason),
      (origin) => open({ signal: controller.signal })(origin),
    );
    await expect(fetching).rejects.toBe(reason);
  });

  test('plain HTTP where TLS is expected', async () => {
    const error = await plain(hello, (origin) => failure(open()(origin.replace('http:', 'https:'))));
    expect(error.message).toContain('it does not speak TLS there');
  });

  const day = 86_400_000;
  test.each([
    [
      'an authority that is not trusted',
      ['localhost'],
      {},
      undefined,
      /authority that is not trusted here/,
      /--certificate-authority/,
    ],
    ['another host', ['elsewhere.example'], {}, 'ours', /its certificate is for another host/, /URL/],
    [
      'the past',
      ['localhost'],
      { notBefore: new Date(Date.now() - 2 * day), notAfter: new Date(Date.now() - day) },
      'ours',
      /has expired/,
      /clock/,
    ],
    [
      'the future',
      ['localhost'],
      { notBefore: new Date(Date.now() + day), notAfter: new Date(Date.now() + 2 * day) },
      'ours',
      /not valid yet/,
      /clock/,
    ],
  ])('a certificate of %s', async (_what, names, validity, trusted, text, hint) => {
    const options = trusted === undefined ? {} : { certificateAuthority: authority.cert };
    const error = await secure(names, hello, (port) => failure(open(options)(`https://localhost:${port}`)), validity);
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect(error.message).toMatch(text);
    expect(error.hint).toMatch(hint);
  });
});

describe('whom it trusts', () => {
  test('the given authority, and then no other', async () => {
    const other = await createAuthority('another');
    await secure(['localhost'], hello, async (port) => {
      const url = `https://localhost:${port}`;
      expect(await (await open({ certificateAuthority: authority.cert })(url)).text()).toBe('hello');
      expect((await failure(open({ certificateAuthority: other.cert })(url))).message).toContain('not trusted');
    });
  });

  test("KLEIS_EXTRA_CA_CERTS on top of Node's own list", async () => {
    const file = join(folder, 'extra.pem');
    await writeFile(file, authority.cert);
    await secure(['localhost'], hello, async (port) => {
      const answer = await open({ env: { KLEIS_EXTRA_CA_CERTS: file } })(`https://localhost:${port}`);
      expect(await answer.text()).toBe('hello');
    });
  });

  test('a missing KLEIS_EXTRA_CA_CERTS is no error until it matters, and is named then', async () => {
    const env = { KLEIS_EXTRA_CA_CERTS: join(folder, 'none.pem') };
    expect(await plain(hello, async (origin) => (await open({ env })(origin)).text())).toBe('hello');
    const error = await secure(['localhost'], hello, (port) => failure(open({ env })(`https://localhost:${port}`)));
    expect(error.hint).toContain('none.pem, cannot be read');
  });

  test.each(['', 'nonsense', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'])(
    'an authority that is none (%j) is refused',
    async (pem) => {
      expect(await failure(open({ certificateAuthority: pem })('https://localhost:1'))).toMatchObject({
        code: 'config_invalid',
      });
    },
  );
});

/** A proxy that lets CONNECT through to `port` whatever host is named, as if it knew more names than we do. */
async function proxied<T>(
  port: number,
  work: (proxy: string, seen: IncomingMessage[]) => Promise<T>,
  refuse?: number,
): Promise<T> {
  const seen: IncomingMessage[] = [];
  const server = createServer((_request, response) => response.writeHead(500).end());
  server.on('connect', (request, client, head) => {
    seen.push(request);
    if (refuse !== undefined) {
      client.end(`HTTP/1.1 ${refuse} No\r\n\r\n`);
      return;
    }
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  return during(server, (proxyPort) => work(`http://127.0.0.1:${proxyPort}`, seen));
}

function through(url: string, env: Record<string, string>, proxy?: string): string | undefined {
  return proxyChooser(proxy, env)(new URL(url))?.host;
}

describe('proxies', () => {
  test('carry https to the named host, whose certificate is still checked, with the user of the proxy URL', async () => {
    await secure(['login.example.com'], hello, (port) =>
      proxied(port, async (proxy, seen) => {
        const fetch = open({ certificateAuthority: authority.cert, proxy: proxy.replace('//', '//me:p%40ss@') });
        expect(await (await fetch('https://login.example.com/')).text()).toBe('hello');
        expect(seen[0]?.url).toBe('login.example.com:443');
        expect(seen[0]?.headers['proxy-authorization']).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
        const error = await failure(fetch('https://other.example.com/'));
        expect(error.message).toContain('its certificate is for another host');
      }),
    );
  });

  test.each([
    [407, /wants another user name or password/],
    [403, /does not let us through \(HTTP 403\)/],
  ])('that answer %d are named, and their password is not', async (status, text) => {
    const error = await proxied(
      1,
      (proxy) => failure(open({ proxy: proxy.replace('//', '//me:hunter2@') })('https://login.example.com/')),
      status,
    );
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect(error.message).toMatch(text);
    expect(`${error.message}${error.hint}`).not.toContain('hunter2');
  });

  test('that cannot be reached are named', async () => {
    const port = await during(createServer(hello), async (free) => free);
    const error = await failure(open({ proxy: `http://127.0.0.1:${port}` })('https://login.example.com/'));
    expect(error.message).toContain(`The proxy 127.0.0.1:${port} cannot be used: the connection was refused`);
  });

  test.each([
    ['https://a.example', { HTTPS_PROXY: 'http://p:1' }, 'p:1'],
    ['https://a.example', { https_proxy: 'http://small:1', HTTPS_PROXY: 'http://p:1' }, 'small:1'],
    ['https://a.example', { HTTPS_PROXY: 'p:3128' }, 'p:3128'],
    ['https://a.example', { HTTP_PROXY: 'http://p:1' }, undefined],
    ['https://localhost:5', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://127.0.0.1', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://[::1]:5', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://a.example', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'b.example, a.example' }, undefined],
    ['https://sub.a.example', { HTTPS_PROXY: 'http://p:1', no_proxy: '.a.example' }, undefined],
    ['https://sub.a.example', { HTTPS_PROXY: 'http://p:1', no_proxy: '*.a.example' }, undefined],
    ['https://nota.example', { HTTPS_PROXY: 'http://p:1', no_proxy: 'a.example' }, 'p:1'],
    ['https://a.example:8443', { HTTPS_PROXY: 'http://p:1', no_proxy: 'a.example:443' }, 'p:1'],
    ['https://a.example', { HTTPS_PROXY: 'http://p:1', no_proxy: 'a.example:443' }, undefined],
    ['https://10.1.2.3', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.0.0.0/8' }, undefined],
    ['https://11.1.2.3', { HTTPS_PROXY: 'http://p:1', no_proxy: '10.0.0.0/8' }, 'p:1'],
    ['https://a.example', { HTTPS_PROXY: 'http://p:1', no_proxy: '*' }, undefined],
  ])('%s with %j goes through %s', (url, env, host) => {
    expect(through(url, env)).toBe(host);
  });

  test('the configured proxy wins over the variable, and NO_PROXY over both', () => {
    expect(through('https://a.example', { HTTPS_PROXY: 'http://p:1' }, 'http://mine:1')).toBe('mine:1');
    expect(through('https://a.example', { NO_PROXY: 'a.example' }, 'http://mine:1')).toBeUndefined();
  });

  test('a proxy of another kind is refused', () => {
    expect(() => through('https://a.example', {}, 'socks4://p:1')).toThrow(/not an http/);
  });
});

test('whoever waits is told once for whom, with the retries, and not where the answer comes soon', async () => {
  const told: string[] = [];
  const options = { env: {}, now: Date.now, waiting: (host: string) => told.push(host) };
  let calls = 0;
  const slow: RequestListener = (request, response) => {
    if (request.url === '/soon') return void response.end('ok');
    calls += 1;
    setTimeout(() => response.writeHead(calls === 1 ? 503 : 200).end('ok'), calls === 1 ? 1100 : 0);
  };
  await plain(slow, async (origin) => {
    const fetch = createFetch(options);
    await fetch(`${origin}/soon`);
    expect(told).toEqual([]);
    expect((await fetch(`${origin}/slow`)).status).toBe(200);
    expect(told).toEqual([new URL(origin).host]);
  });
});

import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listenForCallback } from '../../../cli/sign-in/listener.ts';
import type { Settings } from '../../../cli/settings/sign-in.ts';
import { failure } from '../../support/failure.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { beginAt, send, type UnderWay } from './browser-world.ts';
import { connectTo, createTestDeps, settingsFor } from './world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

function begin(changes: Partial<Settings> = {}): Promise<UnderWay> {
  return beginAt(provider, changes);
}

const address = { host: '127.0.0.1', port: 0, redirectUri: (port: number) => `http://127.0.0.1:${port}/callback` };

async function idle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => undefined).resume();
  });
}

test.each([64, 200])('%i idle connections of this machine do not keep the callback out', async (number) => {
  const listener = await listenForCallback([address], 's', 'login.example.com', () => undefined);
  const sockets: Socket[] = [];
  try {
    const { port } = new URL(listener.redirectUri);
    for (let made = 0; made < number; made += 1) sockets.push(await idle(Number(port)));
    const page = fetch(`${listener.redirectUri}?code=c&state=s`);
    const arrived = await listener.next(AbortSignal.timeout(5000));
    // Nor do those that come while its answer is awaited.
    for (let made = 0; made < 100; made += 1) sockets.push(await idle(Number(port)));
    await arrived.finish({ kind: 'signed-in', name: undefined });
    expect(await (await page).text()).toContain('You are signed in');
  } finally {
    for (const socket of sockets) socket.destroy();
    await listener.close();
  }
});

test('an error that names no sign-in is told once, ends nothing, and its text is on no page', async () => {
  const told: string[] = [];
  const listener = await listenForCallback([address], 's', 'login.example.com', (parameters) =>
    told.push(String(parameters)),
  );
  try {
    for (const error of ['invalid_scope', 'access_denied']) {
      const answer = await fetch(`${listener.redirectUri}?error=${error}&error_description=forged`);
      expect(answer.status).toBe(400);
      expect(await answer.text()).not.toContain('forged');
    }
    expect(told).toEqual(['error=invalid_scope&error_description=forged']);
    const page = fetch(`${listener.redirectUri}?code=c&state=s`);
    const arrived = await listener.next(AbortSignal.timeout(5000));
    await arrived.finish({ kind: 'signed-in', name: undefined });
    expect((await page).status).toBe(200);
  } finally {
    await listener.close();
  }
});

/** The sign-in ends as if nothing had been. */
async function stillSignsIn({ url, tokens }: UnderWay): Promise<void> {
  const page = await provider.browser().open(url);
  expect(page.body).toContain('You are signed in');
  expect((await tokens).idToken).toBeDefined();
}

describe('what is not the callback changes nothing', () => {
  test('a callback with a wrong state is refused', async () => {
    const underWay = await begin();
    const answer = await send(new URL('?code=forged&state=forged', underWay.callback));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('changed nothing');
    await stillSignsIn(underWay);
  });

  test('a callback without a state, or with two, is refused', async () => {
    const underWay = await begin();
    expect((await send(new URL('?code=forged', underWay.callback))).status).toBe(400);
    expect(
      (await send(new URL(`?error=access_denied&state=x&state=${underWay.state}`, underWay.callback))).status,
    ).toBe(400);
    await stillSignsIn(underWay);
  });

  test('an error with a wrong state ends nothing', async () => {
    const underWay = await begin();
    expect((await send(new URL('?error=access_denied&state=forged', underWay.callback))).status).toBe(400);
    await stillSignsIn(underWay);
  });

  test('another Host is refused even with the right state (DNS rebinding)', async () => {
    const underWay = await begin();
    const url = new URL(`?code=forged&state=${underWay.state}`, underWay.callback);
    for (const host of [`evil.example:${url.port}`, 'localhost', `localhost:${Number(url.port) + 1}`]) {
      expect((await send(url, { headers: { host } })).status).toBe(400);
    }
    await stillSignsIn(underWay);
  });

  test('another path, method or content type is refused', async () => {
    const underWay = await begin();
    const state = `state=${underWay.state}&code=forged`;
    expect((await send(new URL(`/favicon.ico?${state}`, underWay.callback))).status).toBe(404);
    expect((await send(new URL(`?${state}`, underWay.callback), { method: 'PUT' })).status).toBe(405);
    const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
    expect((await send(underWay.callback, json)).status).toBe(415);
    const text = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: state };
    expect((await send(underWay.callback, text)).status).toBe(415);
    await stillSignsIn(underWay);
  });

  test('a body without end is cut off', async () => {
    const underWay = await begin();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await send(underWay.callback, {
      method: 'POST',
      headers,
      body: `state=${underWay.state}&code=${'x'.repeat(1_000_000)}`,
    }).then(
      ({ status }) => status,
      () => 413,
    );
    expect(answer).toBe(413);
    const chunked = await send(underWay.callback, {
      method: 'POST',
      headers: { ...headers, 'transfer-encoding': 'chunked' },
      body: `state=${underWay.state}&code=${'x'.repeat(1_000_000)}`,
    }).then(
      ({ status }) => status,
      () => 413,
    );
    expect(chunked).toBe(413);
    await stillSignsIn(underWay);
  });

  test('what is not HTTP is hung up on', async () => {
    const underWay = await begin();
    await new Promise<void>((resolve) => {
      const socket = connect(Number(underWay.callback.port), '127.0.0.1', () =>
        socket.end('\u0016\u0003\u0001 garbage\r\n\r\n'),
      );
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
      socket.resume();
    });
    await stillSignsIn(underWay);
  });
});

async function occupied(work: (port: number) => Promise<void>, host = '127.0.0.1'): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

describe('where it listens', () => {
  test('the next address is tried when one is in use', async () => {
    await occupied(async (port) => {
      const { callback, deps, tokens } = await begin({ listenAddress: [`localhost:${port}`, 'localhost:0'] });
      expect(callback.port).not.toBe(String(port));
      deps.abort();
      await failure(tokens);
    });
  });

  test('port_in_use names all addresses when all are in use', async () => {
    await occupied(async (port) => {
      const kleis = await connectTo(
        settingsFor(provider.issuer, { listenAddress: [`localhost:${port}`, `127.0.0.1:${port}`] }),
        createTestDeps(),
      );
      const error = await failure(kleis.signIn());
      expect(error).toMatchObject({ code: 'port_in_use', exitCode: 6 });
      expect(error.message).toContain(`localhost:${port} is in use, 127.0.0.1:${port} is in use`);
    });
  });

  test('a port that only ::1 has in use is in use: a browser may ask there first', async () => {
    const hasIpv6 = await occupied(async () => undefined, '::1').then(
      () => true,
      () => false,
    );
    if (!hasIpv6) return;
    await occupied(async (port) => {
      const kleis = await connectTo(
        settingsFor(provider.issuer, { listenAddress: [`localhost:${port}`] }),
        createTestDeps(),
      );
      expect(await failure(kleis.signIn())).toMatchObject({ code: 'port_in_use' });
    }, '::1');
  });

  test('a redirect URI with a path and port 0: told with the port that was got, heard at that path only', async () => {
    const { callback, url, tokens } = await begin({ listenAddress: [], redirectUri: 'http://127.0.0.1:0/callback' });
    expect(url.searchParams.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/callback$/);
    expect((await send(new URL('/', callback))).status).toBe(404);
    await provider.browser().open(url);
    expect((await tokens).idToken).toBeDefined();
  });

  test('another listen address than the redirect URI (a port that a container forwards): what is told stays as it is', async () => {
    const { url, deps, tokens } = await begin({
      listenAddress: ['127.0.0.1:0'],
      redirectUri: 'http://localhost:18000',
    });
    expect(url.searchParams.get('redirect_uri')).toBe('http://localhost:18000');
    deps.abort();
    await failure(tokens);
  });
});

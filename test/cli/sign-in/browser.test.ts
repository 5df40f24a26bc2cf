import { createServer, request as httpRequest } from 'node:http';
import { connect as connectSocket, type AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenSet } from '../../../cli/provider/tokens.ts';
import type { Provider } from '../../../cli/provider/provider.ts';
import { failure } from '../../support/failure.ts';
import { startProvider, type Quirks, type TestProvider } from '../../support/provider.ts';
import {
  addressShown,
  createTestDeps,
  readUntil,
  settingsFor,
  type TestDeps,
  withProvider,
  connectTo,
} from './world.ts';

let provider: TestProvider;
let folder: string;

beforeAll(async () => {
  provider = await startProvider();
  folder = await mkdtemp(join(tmpdir(), 'kleis-browser-'));
});
afterAll(async () => {
  await provider.stop();
  await rm(folder, { recursive: true });
});

interface UnderWay {
  readonly deps: TestDeps;
  readonly kleis: Provider;
  readonly url: URL;
  readonly callback: URL;
  readonly state: string;
  readonly tokens: Promise<TokenSet>;
}

/** A sign-in that has come to where the person acts in the browser. */
async function begin(
  changes: Parameters<typeof settingsFor>[1] = {},
  { at = provider, deps = createTestDeps({ terminal: true }) }: { at?: TestProvider; deps?: TestDeps } = {},
): Promise<UnderWay> {
  const kleis = await connectTo(settingsFor(at.issuer, changes), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  const url = new URL(await addressShown(deps));
  const callback = new URL(url.searchParams.get('redirect_uri') ?? 'http://none.invalid');
  return { deps, kleis, url, callback, state: url.searchParams.get('state') ?? '', tokens };
}

interface Sent {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Sends exactly what is said, as fetch would not: another Host, another method, a body of any size. */
async function send(
  url: URL | string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const outgoing = httpRequest(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let finish: (() => void) | undefined;
  const promise = new Promise<void>((done) => {
    finish = done;
  });
  return { promise, resolve: () => finish?.() };
}

describe('signing in', () => {
  test('gives tokens for the person, with a refresh token, and a page that says who it is', async () => {
    const { url, tokens } = await begin({ scopes: ['openid', 'email', 'groups'] });
    const page = await provider.browser({ login: 'dora' }).open(url);
    const got = await tokens;
    expect(page.status).toBe(200);
    expect(page.body).toContain('You are signed in');
    expect(page.body).toContain('As dora@example.com.');
    expect(got.subject).toEqual({ sub: 'dora', name: 'dora@example.com' });
    expect(got.refreshToken).toBeDefined();
    expect(got.idTokenExpiresAt).toBeGreaterThan(Date.now() + 3_500_000);
    expect(got.accessTokenExpiresAt).toBeGreaterThan(Date.now() + 3_500_000);
  });

  test('asks with PKCE S256, state and nonce, each time others', async () => {
    const first = await begin();
    const second = await begin();
    for (const { url } of [first, second]) {
      expect(url.searchParams.get('code_challenge_method')).toBe('S256');
      expect(url.searchParams.get('response_type')).toBe('code');
    }
    for (const name of ['state', 'nonce', 'code_challenge']) {
      const [one, other] = [first.url.searchParams.get(name), second.url.searchParams.get(name)];
      expect(one).toMatch(/^[\w-]{43}$/);
      expect(one).not.toBe(other);
    }
    first.deps.abort();
    second.deps.abort();
    await Promise.allSettled([first.tokens, second.tokens]);
  });

  test('the redirect URI has no slash at the end, and the browser ends at an address without the code', async () => {
    const { url, tokens } = await begin();
    expect(url.searchParams.get('redirect_uri')).toMatch(/^http:\/\/localhost:\d+$/);
    const page = await provider.browser().open(url);
    await tokens;
    expect(new URL(page.url).search).toBe('');
  });

  test('the page holds no code and no token, and lets nothing in from elsewhere', async () => {
    const { url, tokens, callback } = await begin();
    const visited = await provider.browser().visit(url);
    const redirect = send(visited.location ?? '');
    const { headers } = await redirect;
    const page = await send(new URL(String(headers.location), callback));
    const got = await tokens;
    for (const secret of [
      visited.location?.searchParams.get('code'),
      got.idToken?.reveal(),
      got.accessToken?.reveal(),
    ]) {
      expect(page.body).not.toContain(secret);
    }
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+'/);
    expect(page.headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(page.body).not.toMatch(/<script|https?:\/\//);
  });

  test('takes the callback as a form (form_post)', async () => {
    const { url, tokens } = await begin({ authParams: { response_mode: 'form_post' } });
    const page = await provider.browser().open(url);
    expect(page.body).toContain('You are signed in');
    expect((await tokens).idToken).toBeDefined();
  });

  test('is heard on 127.0.0.1 and on ::1', async () => {
    const { callback, deps, tokens } = await begin();
    expect((await send(`http://127.0.0.1:${callback.port}/nothing`)).status).toBe(404);
    const ipv6 = await send(`http://[::1]:${callback.port}/nothing`).catch(
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(ipv6).toSatisfy((value: Sent | string) => typeof value === 'string' || value.status === 404);
    deps.abort();
    await failure(tokens);
  });

  test('keeps nothing listening once it is over', async () => {
    const { url, callback, tokens } = await begin();
    await provider.browser().open(url);
    await tokens;
    await expect(send(callback)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('sends scopes, parameters, audience, resource and the expected person, and the targets again for the token', async () => {
    const { url, tokens } = await begin({
      scopes: ['openid', 'groups', 'api'],
      resource: 'https://cluster.example.com',
      audience: 'prod',
      authParams: { login_hint: 'eva', ui_locales: 'de' },
    });
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      scope: 'openid groups api offline_access',
      resource: 'https://cluster.example.com',
      audience: 'prod',
      login_hint: 'eva',
      ui_locales: 'de',
    });
    await provider.browser().open(url);
    await tokens;
    expect(provider.seen.findLast(({ route }) => route === 'token')?.params).toMatchObject({
      resource: 'https://cluster.example.com',
    });
  });

  test('a JWT access token for a resource is given when it is asked for', async () => {
    const { url, tokens } = await begin({
      scopes: ['openid', 'api'],
      resource: 'https://cluster.example.com',
      token: 'access',
    });
    await provider.browser().open(url);
    const [, payload = ''] = (await tokens).accessToken?.reveal().split('.') ?? [];
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      aud: 'https://cluster.example.com',
    });
  });

  test('an opaque access token is fine, also without an ID token', async () => {
    const { url, tokens } = await begin({ scopes: ['api'], token: 'access' });
    await provider.browser().open(url);
    const got = await tokens;
    expect(got.accessToken?.reveal()).not.toContain('.');
    expect(got.idToken).toBeUndefined();
  });
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
      const socket = connectSocket(Number(underWay.callback.port), '127.0.0.1', () =>
        socket.end('\u0016\u0003\u0001 garbage\r\n\r\n'),
      );
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
      socket.resume();
    });
    await stillSignsIn(underWay);
  });
});

describe('how it can end without tokens', () => {
  test('a second callback is told that the first was used, and does not disturb it', async () => {
    await withProvider({ quirks: {} }, async (at) => {
      const { promise: held, resolve: letGo } = deferred();
      const { promise: asked, resolve: ask } = deferred();
      at.quirks.before = async (_request, _response, path) => {
        if (path !== '/token') return false;
        ask();
        await held;
        return false;
      };
      const { url, tokens } = await begin({}, { at });
      const { location } = await at.browser().visit(url);
      const first = fetch(location ?? '');
      await asked;
      const second = await send(location ?? '');
      expect(second.status).toBe(409);
      expect(second.body).toContain('used already');
      letGo();
      expect(await (await first).text()).toContain('You are signed in');
      expect((await tokens).idToken).toBeDefined();
    });
  });

  test('a refusal by the person is told with its reason, in the terminal and on the page', async () => {
    const { url, tokens } = await begin();
    const page = await provider.browser({ refuse: true }).open(url);
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused', exitCode: 3 });
    expect((await failure(tokens)).message).toContain('End-User aborted interaction (access_denied)');
    expect(page.status).toBe(400);
    expect(page.body).toContain('You are not signed in');
    expect(page.body).toContain('End-User aborted interaction');
  });

  test('an error_description cannot forge lines, colours or markup', async () => {
    const { callback, state, tokens } = await begin();
    const answer = new URL(callback);
    answer.search = new URLSearchParams({
      state,
      iss: provider.issuer,
      error: 'access_denied',
      error_description: 'a\u001b[2Jb\nc\u202e<script>alert(1)</script>',
    }).toString();
    const redirect = await send(answer);
    const page = await send(new URL(String(redirect.headers.location), callback));
    const { message } = await failure(tokens);
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(message).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(page.body).not.toContain('<script>');
  });

  test.each([
    ['server_error', 'provider_unavailable'],
    ['temporarily_unavailable', 'provider_unavailable'],
    ['unauthorized_client', 'client_refused'],
    ['invalid_scope', 'token_unusable'],
    ['login_required', 'sign_in_refused'],
  ])('the error %s is %s', async (error, code) => {
    const { callback, state, tokens } = await begin();
    const answer = new URL(callback);
    answer.search = new URLSearchParams({ state, iss: provider.issuer, error }).toString();
    await fetch(answer);
    expect(await failure(tokens)).toMatchObject({ code });
  });

  test('an answer of another issuer is refused, and one that names none where the provider promises to (RFC 9207)', async () => {
    const other = await begin();
    await fetch(new URL(`?code=stolen&state=${other.state}&iss=https://evil.example`, other.callback));
    const refused = await failure(other.tokens);
    expect(refused).toMatchObject({ code: 'sign_in_invalid' });
    expect(refused.message).toContain('https://evil.example');
    const none = await begin();
    await fetch(new URL(`?code=stolen&state=${none.state}`, none.callback));
    expect(await failure(none.tokens)).toMatchObject({ code: 'sign_in_invalid' });
    expect(provider.seen.some(({ params }) => params['code'] === 'stolen')).toBe(false);
  });

  test('a provider that does not promise iss need not send it', async () => {
    const quirks: Quirks = {
      discovery: ({ authorization_response_iss_parameter_supported: _iss, ...rest }) => rest,
    };
    await withProvider({ quirks }, async (at) => {
      const { url, tokens } = await begin({}, { at });
      const { location } = await at.browser().visit(url);
      location?.searchParams.delete('iss');
      await fetch(location ?? '');
      expect((await tokens).idToken).toBeDefined();
    });
  });

  test('a code that the provider does not know is a refusal, and the page says so after it was tried', async () => {
    const { callback, state, tokens } = await begin();
    const answer = new URL(callback);
    answer.search = new URLSearchParams({ state, iss: provider.issuer, code: 'unknown' }).toString();
    const redirect = await send(answer);
    const page = await send(new URL(String(redirect.headers.location), callback));
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused' });
    expect(page.body).toContain('You are not signed in');
  });

  test('it ends with sign_in_timeout when nobody comes', async () => {
    const { tokens } = await begin({ loginTimeout: 300 });
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_timeout', exitCode: 3 });
  });

  test('Ctrl-C cancels it and frees the port', async () => {
    const { deps, callback, tokens } = await begin();
    deps.abort();
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_cancelled' });
    await expect(send(callback)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('after 20 seconds of nothing the redirect URI to register is named', async () => {
    const sleeps: number[] = [];
    const clock = {
      now: () => Date.now(),
      sleep: async (milliseconds: number) => void sleeps.push(milliseconds),
    };
    const { deps, callback, tokens } = await begin({}, { deps: createTestDeps({ terminal: true, clock }) });
    await readUntil(deps, new RegExp(`register\\n {2}${callback.origin}\\n`));
    expect(sleeps).toEqual([20_000]);
    deps.abort();
    await failure(tokens);
  });
});

describe('opening the browser', () => {
  test('the configured command gets the address in the place of {url}, without a shell, and its output goes nowhere', async () => {
    const log = join(folder, 'opened');
    const script = join(folder, 'browser.mjs');
    await writeFile(
      script,
      `import { writeFileSync } from 'node:fs'; console.log('Opening in existing browser session.'); console.error('noise');
       writeFileSync(${JSON.stringify(log)}, JSON.stringify(process.argv.slice(2)));`,
    );
    const browserCommand = [process.execPath, script, '--profile', 'a b; echo $HOME', '--app={url}'];
    const deps = createTestDeps({ terminal: true });
    const { url, tokens } = await begin({ browserCommand }, { deps });
    await provider.browser().open(url);
    await tokens;
    const opened = JSON.parse(await readFile(log, 'utf8')) as string[];
    expect(opened).toEqual(['--profile', 'a b; echo $HOME', `--app=${url.href}`]);
    expect(deps.written()).not.toContain('noise');
    expect(deps.stdout.read()).toBeNull();
  });

  test.each([
    ['does not exist', ['/nonexistent/browser']],
    ['fails at once', [process.execPath, '-e', 'process.exit(3)']],
  ])(
    'a command that %s: the address is printed also where there is no terminal, and the sign-in goes on',
    async (_what, browserCommand) => {
      const { deps, url, tokens } = await begin({ browserCommand }, { deps: createTestDeps() });
      expect(deps.written()).toContain('Open this address yourself');
      await provider.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    },
  );

  test('where a browser opens and stderr is no terminal, the address is not printed (k9s draws there)', async () => {
    const deps = createTestDeps();
    const kleis = await connectTo(settingsFor(provider.issuer, { loginTimeout: 1200 }), deps);
    await failure(kleis.signIn());
    expect(deps.written()).toContain('Opening a browser');
    expect(deps.written()).not.toContain('/auth?');
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

describe('what some providers want', () => {
  test('a pushed authorization request is used where there is one; the address holds nothing but its name', async () => {
    await withProvider({ par: 'required' }, async (at) => {
      const deps = createTestDeps({ terminal: true });
      const kleis = await connectTo(settingsFor(at.issuer), deps);
      const tokens = kleis.signIn();
      const url = new URL(await addressShown(deps));
      expect([...url.searchParams.keys()].toSorted()).toEqual(['client_id', 'request_uri']);
      await at.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    });
  });

  test('where pushing is refused to this client and not required, it goes without', async () => {
    await withProvider({ par: true }, async (at) => {
      at.quirks.before = (_request, response, path) => {
        if (path !== '/request') return false;
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"invalid_client"}');
        return true;
      };
      const { url, tokens } = await begin({}, { at });
      await at.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    });
  });

  test.each([false, true])(
    'DPoP binds the tokens to a key that is kept, and a refresh proves it (nonce asked for: %s)',
    async (dpopNonce) => {
      await withProvider({ dpop: true, dpopNonce }, async (at) => {
        const { kleis, url, tokens } = await begin({ dpop: true }, { at });
        expect(url.searchParams.get('dpop_jkt')).toMatch(/^[\w-]{43}$/);
        await at.browser().open(url);
        const got = await tokens;
        expect(got.dpopKey).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256' });
        const { refreshToken, dpopKey } = got;
        if (!refreshToken) throw new Error('no refresh token');
        const kept = JSON.parse(JSON.stringify(dpopKey)) as NonNullable<typeof dpopKey>;
        const renewed = await kleis.refresh({ refreshToken, dpopKey: kept, idTokenSub: 'alice' });
        expect(renewed.idToken).toBeDefined();
        expect(renewed.dpopKey).toEqual(dpopKey);
      });
    },
  );

  test('DPoP where the provider has none is said, before a browser opens', async () => {
    const kleis = await connectTo(settingsFor(provider.issuer, { dpop: true }), createTestDeps());
    const error = await failure(kleis.signIn());
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(error.message).toContain('DPoP');
  });

  test('an access token that is bound to a key is of no use to an API server', async () => {
    await withProvider({ dpop: true }, async (at) => {
      const { url, tokens } = await begin({ dpop: true, token: 'access' }, { at });
      await at.browser().open(url);
      expect(await failure(tokens)).toMatchObject({ code: 'token_unusable' });
    });
  });

  test('a provider below a path (/realms/x) works', async () => {
    await withProvider({ path: '/realms/x' }, async (at) => {
      const { url, tokens } = await begin({}, { at });
      await at.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    });
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Settings } from '../../../cli/settings/sign-in.ts';
import { failure } from '../../support/failure.ts';
import { type Quirks, startProvider, type TestProvider } from '../../support/provider.ts';
import { beginAt, send, type Sent, type UnderWay } from './browser-world.ts';
import {
  addressShown,
  connectTo,
  createTestDeps,
  readUntil,
  settingsFor,
  type TestDeps,
  withProvider,
} from './world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

function begin(
  changes: Partial<Settings> = {},
  { at = provider, deps = createTestDeps({ terminal: true }) }: { at?: TestProvider; deps?: TestDeps } = {},
): Promise<UnderWay> {
  return beginAt(at, changes, deps);
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

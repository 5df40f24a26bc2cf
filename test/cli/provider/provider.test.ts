import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UnusableAnswer, type TokenSet } from '../../../cli/provider/tokens.ts';
import { Secret } from '../../../shared/secret.ts';
import type { Provider } from '../../../cli/provider/provider.ts';
import { failure } from '../../support/failure.ts';
import { clientSecret, startProvider, type Quirks, type TestProvider } from '../../support/provider.ts';
import { addressShown, createTestDeps, settingsFor, type TestDeps, withProvider, connectTo } from '../sign-in/world.ts';

let provider: TestProvider;
let folder: string;
let privateKey: KeyObject;

beforeAll(async () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  ({ privateKey } = pair);
  provider = await startProvider({ clientJwk: { ...pair.publicKey.export({ format: 'jwk' }), kid: 'one' } });
  folder = await mkdtemp(join(tmpdir(), 'kleis-provider-'));
});
afterAll(async () => {
  await provider.stop();
  await rm(folder, { recursive: true });
});

type Changes = Parameters<typeof settingsFor>[1];

async function signIn(at: TestProvider, changes: Changes = {}, deps: TestDeps = createTestDeps({ terminal: true })) {
  const kleis = await connectTo(settingsFor(at.issuer, changes), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  await at.browser().open(await addressShown(deps));
  return { kleis, tokens: await tokens };
}

function refreshed({ kleis, tokens }: { kleis: Provider; tokens: TokenSet }): Promise<TokenSet> {
  if (tokens.refreshToken === undefined) throw new Error('no refresh token');
  return kleis.refresh({ refreshToken: tokens.refreshToken, idTokenSub: tokens.subject?.sub });
}

/** Anything that answers HTTP on loopback. */
async function serving(listener: RequestListener, work: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** What `connect` fails with where discovery is answered like this. */
async function discoveryFailure(
  answer: (origin: string) => { status?: number; headers?: Record<string, string>; body: string },
) {
  let error;
  await serving(
    (request, response) => {
      const { status = 200, headers = {}, body } = answer(`http://${request.headers.host ?? ''}`);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
    },
    async (origin) => {
      error = await failure(connectTo(settingsFor(origin), createTestDeps()));
    },
  );
  return error as unknown as Awaited<ReturnType<typeof failure>>;
}

describe('discovery', () => {
  test('another issuer than asked for: both are named, without control characters', async () => {
    const error = await discoveryFailure(() => ({
      body: JSON.stringify({ issuer: 'https://other.example\u001b[31m', token_endpoint: 'https://x' }),
    }));
    expect(error).toMatchObject({ code: 'issuer_mismatch' });
    expect(error.message).toMatch(
      /^The provider at http:\/\/127\.0\.0\.1:\d+ calls itself https:\/\/other\.example \[31m\.$/,
    );
  });

  test('an issuer that differs by the slash at its end: the hint is the right spelling', async () => {
    const error = await discoveryFailure((origin) => ({
      body: JSON.stringify({ issuer: `${origin}/`, token_endpoint: `${origin}/t` }),
    }));
    expect(error).toMatchObject({ code: 'issuer_mismatch' });
    expect(error.hint).toMatch(/--issuer-url http:\/\/127\.0\.0\.1:\d+\/$/);
  });

  test.each([
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>hello</html>' }, 'provider_invalid'],
    ['nothing there', { status: 404, body: '' }, 'provider_invalid'],
    ['an array', { body: '[]' }, 'provider_invalid'],
    ['a body of 2 MB', { body: JSON.stringify({ issuer: 'x'.repeat(2_000_000) }) }, 'provider_invalid'],
    [
      'a redirect to another origin',
      { status: 302, headers: { location: 'https://elsewhere.example/' }, body: '' },
      'provider_invalid',
    ],
    ['503, again and again', { status: 503, body: '' }, 'provider_unavailable'],
    ['no issuer', { body: '{"token_endpoint":"https://x"}' }, 'provider_invalid'],
  ])('%s is told apart', async (_what, answer, code) => {
    expect(await discoveryFailure(() => answer)).toMatchObject({ code, exitCode: 5 });
  });

  test.each(['http://login.example.com/token', 'javascript:alert(1)', 'file:///etc/passwd', 7])(
    'the endpoint %s is refused',
    async (endpoint) => {
      const error = await discoveryFailure((origin) => ({
        body: JSON.stringify({ issuer: origin, token_endpoint: endpoint }),
      }));
      expect(error).toMatchObject({ code: 'provider_invalid' });
      expect(error.message).toContain('token_endpoint');
    },
  );

  test('is left out when a cached description of this issuer is given, and done when it is of another', async () => {
    const before = provider.count('discovery');
    const { metadata } = await connectTo(settingsFor(provider.issuer), createTestDeps());
    await connectTo(
      settingsFor(provider.issuer),
      createTestDeps(),
      JSON.parse(JSON.stringify(metadata)) as typeof metadata,
    );
    expect(provider.count('discovery')).toBe(before + 1);
    await connectTo(settingsFor(provider.issuer), createTestDeps(), { ...metadata, issuer: 'https://other.example' });
    expect(provider.count('discovery')).toBe(before + 2);
    expect(JSON.stringify(metadata).length).toBeLessThan(2000);
  });
});

async function file(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe('the client', () => {
  test('a provider that does not list `none` still takes a public client', async () => {
    const quirks: Quirks = {
      discovery: (d) => ({ ...d, token_endpoint_auth_methods_supported: ['client_secret_basic'] }),
    };
    await withProvider({ quirks }, async (at) => {
      expect((await signIn(at)).tokens.idToken).toBeDefined();
    });
  });

  test.each([
    ['kleis-basic', undefined],
    ['kleis-post', undefined],
    ['kleis-post', ['client_secret_basic']],
    ['kleis-basic', ['client_secret_post']],
    ['kleis-post', 'absent'],
  ])('the secret of %s is accepted where the provider lists %s', async (clientId, listed) => {
    const quirks: Quirks = {
      discovery: ({ token_endpoint_auth_methods_supported: all, ...rest }) =>
        listed === 'absent' ? rest : { ...rest, token_endpoint_auth_methods_supported: listed ?? all },
    };
    await withProvider({ quirks }, async (at) => {
      const session = await signIn(at, { clientId, clientSecretFile: await file('secret', `${clientSecret}\n`) });
      expect((await refreshed(session)).idToken).toBeDefined();
    });
  });

  test('a wrong secret is client_refused, and stands in no message', async () => {
    const clientSecretFile = await file('wrong', 'wrong-secret');
    const kleis = await connectTo(
      settingsFor(provider.issuer, { clientId: 'kleis-basic', clientSecretFile }),
      createTestDeps(),
    );
    const error = await failure(kleis.clientCredentials());
    expect(error).toMatchObject({ code: 'client_refused', exitCode: 6 });
    expect(`${error.message}${error.hint}`).not.toContain('wrong-secret');
  });

  test.each([
    ['everybody may read', 'secret', 0o644, 'storage_unsafe'],
    ['is empty', '\n', 0o600, 'config_invalid'],
    ['has two lines', 'a\nb\n', 0o600, 'config_invalid'],
    ['is too large', 'x'.repeat(5000), 0o600, 'config_invalid'],
  ])('a secret file that %s is refused', async (_what, text, mode, code) => {
    const clientSecretFile = await file('refused', text, mode);
    expect(
      await failure(connectTo(settingsFor(provider.issuer, { clientSecretFile }), createTestDeps())),
    ).toMatchObject({
      code,
    });
  });

  test('a secret file that is not there is named', async () => {
    const error = await failure(
      connectTo(settingsFor(provider.issuer, { clientSecretFile: join(folder, 'none') }), createTestDeps()),
    );
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(error.message).toContain('does not exist');
  });

  test.each(['pem', 'jwk'])('private_key_jwt signs with the key of a %s file', async (form) => {
    const text =
      form === 'pem'
        ? privateKey.export({ format: 'pem', type: 'pkcs8' })
        : JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' });
    const clientKeyFile = await file(`key.${form}`, String(text));
    const session = await signIn(provider, { clientId: 'kleis-jwt', clientKeyFile });
    expect((await refreshed(session)).idToken).toBeDefined();
  });

  test('a key file without a private key is refused', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const text of [
      'nonsense',
      String(publicKey.export({ format: 'pem', type: 'spki' })),
      JSON.stringify(publicKey.export({ format: 'jwk' })),
    ]) {
      const clientKeyFile = await file('not-a-key', text);
      expect(await failure(connectTo(settingsFor(provider.issuer, { clientKeyFile }), createTestDeps()))).toMatchObject(
        {
          code: 'config_invalid',
        },
      );
    }
  });

  test('client credentials give an access token for the resource, without a person', async () => {
    const settings = settingsFor(provider.issuer, {
      clientId: 'kleis-basic',
      clientSecretFile: await file('machine', clientSecret),
      scopes: ['api'],
      resource: 'https://cluster.example.com',
      token: 'access',
      identity: 'client-credentials',
    });
    const tokens = await (await connectTo(settings, createTestDeps())).clientCredentials();
    expect(tokens.accessToken?.reveal().split('.')).toHaveLength(3);
    expect(tokens.refreshToken).toBeUndefined();
  });
});

describe('the answer with the tokens', () => {
  type Json = Record<string, unknown>;
  const asCode = (alter: (json: Json) => Json): Quirks => ({
    token: (json, _form, status) => ({ json: status === 200 ? alter(json) : json }),
  });
  const claimsOf = (json: Json) =>
    JSON.parse(Buffer.from(String(json['id_token']).split('.')[1] ?? '', 'base64url').toString()) as Json;

  test.each([
    ['token_type in small letters', (json: Json) => ({ ...json, token_type: 'bearer' })],
    ['token_type in capitals', (json: Json) => ({ ...json, token_type: 'BEARER' })],
    ['no token_type', ({ token_type: _type, ...json }: Json) => json],
    ['null members', (json: Json) => ({ ...json, scope: null, foo: null })],
    ['no access token', ({ access_token: _token, ...json }: Json) => json],
  ])('%s is taken', async (_what, alter) => {
    await withProvider({ quirks: asCode(alter) }, async (at) => {
      expect((await signIn(at)).tokens.idToken).toBeDefined();
    });
  });

  test.each([
    ['3600', 3600],
    [60, 60],
    [undefined, undefined],
    ['soon', undefined],
    [-5, undefined],
    [1e18, 366 * 86_400],
  ])('expires_in %s counts as %s seconds', async (expiresIn, seconds) => {
    const alter = ({ expires_in: _given, ...json }: Json) =>
      expiresIn === undefined ? json : { ...json, expires_in: expiresIn };
    await withProvider({ quirks: asCode(alter) }, async (at) => {
      const { tokens } = await signIn(at, { token: 'access' });
      const lifetime =
        tokens.accessTokenExpiresAt === undefined ? undefined : (tokens.accessTokenExpiresAt - tokens.issuedAt) / 1000;
      expect(lifetime).toBe(seconds);
    });
  });

  test.each([
    ['a nonce of another sign-in', (claims: Json) => ({ ...claims, nonce: 'other' }), 'sign_in_invalid', /nonce/],
    ['no nonce', ({ nonce: _nonce, ...claims }: Json) => claims, 'sign_in_invalid', /nonce/],
    ['another audience', (claims: Json) => ({ ...claims, aud: 'other' }), 'sign_in_invalid', /another client/],
    [
      'another azp',
      (claims: Json) => ({ ...claims, aud: ['kleis', 'other'], azp: 'other' }),
      'sign_in_invalid',
      /another client/,
    ],
    [
      'another issuer',
      (claims: Json) => ({ ...claims, iss: 'https://other.example' }),
      'sign_in_invalid',
      /another issuer/,
    ],
    ['no sub', ({ sub: _sub, ...claims }: Json) => claims, 'sign_in_invalid', /sub/],
    [
      'an expiry that is past',
      (claims: Json) => ({ ...claims, exp: Math.floor(Date.now() / 1000) - 5 }),
      'token_unusable',
      /already expired/,
    ],
    [
      'an iat in ten minutes',
      (claims: Json) => ({ ...claims, iat: Math.floor(Date.now() / 1000) + 600 }),
      'clock_skewed',
      /10 minutes behind/,
    ],
  ])('an ID token with %s is refused', async (_what, alter, code, text) => {
    await withProvider({}, async (at) => {
      Object.assign(
        at.quirks,
        asCode((json) => ({ ...json, id_token: at.signed(alter(claimsOf(json))) })),
      );
      const error = await failure(signIn(at));
      expect(error).toMatchObject({ code });
      expect(error.message).toMatch(text);
    });
  });

  test.each([
    [
      'no signature (alg none)',
      (json: Json) =>
        [Buffer.from('{"alg":"none"}').toString('base64url'), String(json['id_token']).split('.')[1], ''].join('.'),
    ],
    ['another signature', (json: Json) => `${String(json['id_token']).slice(0, -8)}AAAAAAAA`],
    ['text that is no JWT', () => 'abc'],
    [
      'a key that is not published',
      (json: Json) =>
        `${Buffer.from('{"alg":"RS256","kid":"other"}').toString('base64url')}.${String(json['id_token']).split('.').slice(1).join('.')}`,
    ],
  ])('an ID token with %s is refused, and its text stands in no message', async (_what, alter) => {
    let sent = '';
    const quirks = asCode((json) => ({ ...json, id_token: (sent = alter(json)) }));
    await withProvider({ quirks }, async (at) => {
      const error = await failure(signIn(at));
      expect(error).toMatchObject({ code: 'sign_in_invalid' });
      if (sent.length > 20)
        expect(`${error.message}${error.hint}${error.detail ?? ''}`).not.toContain(sent.slice(0, 20));
    });
  });

  test('without an ID token where kubectl is to get one it is refused', async () => {
    await withProvider({ quirks: asCode(({ id_token: _token, ...json }) => json) }, async (at) => {
      expect(await failure(signIn(at))).toMatchObject({ code: 'token_unusable', exitCode: 6 });
    });
  });

  test('a clock that is off is told by how much (this machine is ten minutes ahead)', async () => {
    await withProvider({ lifetimes: { idToken: 60 } }, async (at) => {
      const clock = { ...createTestDeps().clock, now: () => Date.now() + 600_000 };
      const error = await failure(signIn(at, {}, createTestDeps({ terminal: true, clock })));
      expect(error).toMatchObject({ code: 'clock_skewed', exitCode: 6 });
      expect(error.message).toContain('10 minutes ahead');
    });
  });

  test('a clock that is behind is told as such', async () => {
    const clock = { ...createTestDeps().clock, now: () => Date.now() - 86_400_000 };
    const error = await failure(signIn(provider, {}, createTestDeps({ terminal: true, clock })));
    expect(error).toMatchObject({ code: 'clock_skewed' });
    expect(error.message).toContain('24 hours behind');
  });
});

describe('refresh', () => {
  test('rotates: the new refresh token works, and the old one is refused for good', async () => {
    const session = await signIn(provider);
    const next = await refreshed(session);
    expect(next.refreshToken?.reveal()).not.toBe(session.tokens.refreshToken?.reveal());
    expect(
      (await refreshed({ ...session, tokens: { ...next, subject: session.tokens.subject } })).idToken,
    ).toBeDefined();
    expect(await failure(refreshed(session))).toMatchObject({ code: 'sign_in_needed', exitCode: 3 });
  });

  test('keeps the old refresh token where none comes back, and no ID token where none is sent', async () => {
    const quirks: Quirks = {
      token: ({ id_token: idToken, refresh_token: refreshToken, ...json }, form) =>
        form.get('grant_type') === 'refresh_token'
          ? { json }
          : { json: { ...json, id_token: idToken, refresh_token: refreshToken } },
    };
    await withProvider({ rotate: false, quirks }, async (at) => {
      const session = await signIn(at);
      const next = await refreshed(session);
      expect(next.refreshToken?.reveal()).toBe(session.tokens.refreshToken?.reveal());
      expect(next.idToken).toBeUndefined();
      expect(next.accessToken).toBeDefined();
    });
  });

  test.each([
    ['invalid_grant', 400, '{"error":"invalid_grant"}', 'sign_in_needed'],
    ['invalid_request', 400, '{"error":"invalid_request"}', 'sign_in_needed'],
    ['an empty 400', 400, '', 'sign_in_needed'],
    ['an empty 401', 401, '', 'sign_in_needed'],
    ['400 with a web page', 400, '<html>Bad Request</html>', 'sign_in_needed'],
    [
      'interaction_required',
      400,
      '{"error":"interaction_required","error_description":"AADSTS50076"}',
      'sign_in_needed',
    ],
    ['403 with an OAuth error', 403, '{"error":"access_denied"}', 'sign_in_needed'],
    ['invalid_client', 401, '{"error":"invalid_client"}', 'client_refused'],
    ['unauthorized_client', 400, '{"error":"unauthorized_client"}', 'client_refused'],
    ['temporarily_unavailable', 400, '{"error":"temporarily_unavailable"}', 'provider_unavailable'],
    ['slow_down', 400, '{"error":"slow_down"}', 'provider_unavailable'],
    ['server_error', 400, '{"error":"server_error"}', 'provider_unavailable'],
    ['403 of a firewall', 403, '<html>Forbidden</html>', 'provider_unavailable'],
    ['404', 404, '', 'provider_unavailable'],
    ['408', 408, '', 'provider_unavailable'],
    ['429', 429, '{"error":"invalid_grant"}', 'provider_unavailable'],
    ['500', 500, '', 'provider_unavailable'],
    ['503', 503, '', 'provider_unavailable'],
    ['a web page with 200 (a portal that wants a password)', 200, '<html>Welcome</html>', 'provider_unavailable'],
    ['a redirect', 302, '', 'provider_unavailable'],
  ])('%s', async (_what, status, body, code) => {
    const { metadata } = await connectTo(settingsFor(provider.issuer), createTestDeps());
    const counted = { asked: 0 };
    await serving(
      (_request, response) => {
        counted.asked += 1;
        response
          .writeHead(status, { 'content-type': body.startsWith('{') ? 'application/json' : 'text/html' })
          .end(body);
      },
      async (origin) => {
        const kleis = await connectTo(settingsFor(provider.issuer), createTestDeps(), {
          ...metadata,
          token_endpoint: `${origin}/token`,
        });
        const error = await failure(kleis.refresh({ refreshToken: new Secret('the-refresh-token') }));
        expect(error).toMatchObject({ code });
        expect(`${error.message}${error.hint}`).not.toContain('the-refresh-token');
        // A refresh token that may have been used up is not sent twice.
        expect(counted.asked).toBe(1);
        expect(error.hint.includes('nothing was lost')).toBe(code === 'provider_unavailable');
      },
    );
  });

  test('a connection that is refused is tried again, and is no refusal', async () => {
    const { metadata } = await connectTo(settingsFor(provider.issuer), createTestDeps());
    let gone = '';
    await serving(
      (_request, response) => response.end(),
      async (origin) => {
        gone = origin;
      },
    );
    const kleis = await connectTo(settingsFor(provider.issuer), createTestDeps(), {
      ...metadata,
      token_endpoint: `${gone}/token`,
    });
    const error = await failure(kleis.refresh({ refreshToken: new Secret('x') }));
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect(error.message).toContain('the connection was refused');
    expect(error.hint).toContain('nothing was lost');
  });

  test('a connection that is cut after the request was sent is not tried again: the token may be spent', async () => {
    const { metadata } = await connectTo(settingsFor(provider.issuer), createTestDeps());
    const counted = { asked: 0 };
    await serving(
      (request) => {
        counted.asked += 1;
        request.socket.destroy();
      },
      async (origin) => {
        const kleis = await connectTo(settingsFor(provider.issuer), createTestDeps(), {
          ...metadata,
          token_endpoint: `${origin}/token`,
        });
        const error = await failure(kleis.refresh({ refreshToken: new Secret('x') }));
        expect(error).toMatchObject({ code: 'provider_unavailable' });
        expect(error.hint).not.toContain('lost');
        expect(counted.asked).toBe(1);
      },
    );
  });

  test("somebody else's ID token is refused", async () => {
    const session = await signIn(provider);
    if (session.tokens.refreshToken === undefined) throw new Error('no refresh token');
    const refreshing = session.kleis.refresh({ refreshToken: session.tokens.refreshToken, idTokenSub: 'bob' });
    expect(await failure(refreshing)).toMatchObject({ code: 'sign_in_invalid' });
  });

  test('an answer that cannot be used still hands over the refresh token that replaced the old one', async () => {
    const ahead = { by: 0 };
    const clock = { ...createTestDeps().clock, now: () => Date.now() + ahead.by };
    await withProvider({ lifetimes: { idToken: 60 } }, async (at) => {
      const session = await signIn(at, {}, createTestDeps({ terminal: true, clock }));
      ahead.by = 600_000;
      const error = await failure(refreshed(session));
      expect(error).toBeInstanceOf(UnusableAnswer);
      expect(error).toMatchObject({ code: 'clock_skewed' });
      ahead.by = 0;
      const { refreshToken } = error as UnusableAnswer;
      expect((await session.kleis.refresh({ refreshToken })).idToken).toBeDefined();
    });
  });

  test('an ID token that is as old as the session counts as none', async () => {
    await withProvider({}, async (at) => {
      const session = await signIn(at);
      at.quirks.token = (json) => ({
        json: { ...json, id_token: at.signed({ iss: at.issuer, aud: 'kleis', sub: 'alice', iat: 1, exp: 2 }) },
      });
      const next = await refreshed(session);
      expect(next.idToken).toBeUndefined();
      expect(next.refreshToken).toBeDefined();
    });
  });

  test('Ctrl-C ends it while the provider does not answer', async () => {
    await withProvider({}, async (at) => {
      const deps = createTestDeps({ terminal: true });
      const session = await signIn(at, {}, deps);
      at.quirks.before = (_request, _response, path) => path === '/token';
      const refreshing = refreshed(session);
      setTimeout(() => deps.abort(), 50);
      expect(await failure(refreshing)).toMatchObject({ code: 'interrupted' });
    });
  });
});

describe('the end of a session', () => {
  test('revoke makes the refresh token worthless', async () => {
    const session = await signIn(provider);
    const { refreshToken } = session.tokens;
    if (refreshToken === undefined) throw new Error('no refresh token');
    expect(await session.kleis.revoke(refreshToken, 'refresh_token')).toBe('revoked');
    expect(await failure(refreshed(session))).toMatchObject({ code: 'sign_in_needed' });
  });

  test('a provider without revocation and logout says so', async () => {
    const quirks: Quirks = {
      discovery: ({ revocation_endpoint: _revocation, end_session_endpoint: _end, ...rest }) => rest,
    };
    await withProvider({ quirks }, async (at) => {
      const kleis = await connectTo(settingsFor(at.issuer), createTestDeps());
      expect(await kleis.revoke(new Secret('x'), 'refresh_token')).toBe('unsupported');
      expect(kleis.endSessionUrl()).toBeUndefined();
    });
  });

  test('the logout URL names the client and holds no token', async () => {
    const kleis = await connectTo(settingsFor(provider.issuer), createTestDeps());
    expect(kleis.endSessionUrl()?.href).toBe(`${provider.issuer}/session/end?client_id=kleis`);
  });
});

test('no token reaches stderr, however much is logged', async () => {
  const deps = createTestDeps({ terminal: true });
  const session = await signIn(provider, {}, deps);
  const next = await refreshed(session);
  for (const { idToken, accessToken, refreshToken } of [session.tokens, next]) {
    for (const secret of [idToken, accessToken, refreshToken]) expect(deps.written()).not.toContain(secret?.reveal());
  }
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UnusableAnswer } from '../../../cli/provider/tokens.ts';
import { Secret } from '../../../shared/secret.ts';
import { failure } from '../../support/failure.ts';
import { type Quirks, startProvider, type TestProvider } from '../../support/provider.ts';
import {
  connectTo,
  createTestDeps,
  refreshed,
  serving,
  settingsFor,
  signInAt,
  withProvider,
} from '../sign-in/world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

describe('refresh', () => {
  test('rotates: the new refresh token works, and the old one is refused for good', async () => {
    const session = await signInAt(provider);
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
      const session = await signInAt(at);
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
    const session = await signInAt(provider);
    if (session.tokens.refreshToken === undefined) throw new Error('no refresh token');
    const refreshing = session.kleis.refresh({ refreshToken: session.tokens.refreshToken, idTokenSub: 'bob' });
    expect(await failure(refreshing)).toMatchObject({ code: 'sign_in_invalid' });
  });

  test('an answer that cannot be used still hands over the refresh token that replaced the old one', async () => {
    const ahead = { by: 0 };
    const clock = { ...createTestDeps().clock, now: () => Date.now() + ahead.by };
    await withProvider({ lifetimes: { idToken: 60 } }, async (at) => {
      const session = await signInAt(at, {}, createTestDeps({ terminal: true, clock }));
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
      const session = await signInAt(at);
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
      const session = await signInAt(at, {}, deps);
      at.quirks.before = (_request, _response, path) => path === '/token';
      const refreshing = refreshed(session);
      setTimeout(() => deps.abort(), 50);
      expect(await failure(refreshing)).toMatchObject({ code: 'interrupted' });
    });
  });
});

describe('the end of a session', () => {
  test('revoke makes the refresh token worthless', async () => {
    const session = await signInAt(provider);
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
      expect(await kleis.endSessionUrl()).toBeUndefined();
    });
  });

  test('the logout URL names the client and holds no token', async () => {
    const kleis = await connectTo(settingsFor(provider.issuer), createTestDeps());
    expect((await kleis.endSessionUrl())?.href).toBe(`${provider.issuer}/session/end?client_id=kleis`);
  });
});

test('no token reaches stderr, however much is logged', async () => {
  const deps = createTestDeps({ terminal: true });
  const session = await signInAt(provider, {}, deps);
  const next = await refreshed(session);
  for (const { idToken, accessToken, refreshToken } of [session.tokens, next]) {
    for (const secret of [idToken, accessToken, refreshToken]) expect(deps.written()).not.toContain(secret?.reveal());
  }
});

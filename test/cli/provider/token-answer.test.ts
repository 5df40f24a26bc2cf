import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UnusableAnswer } from '../../../cli/provider/tokens.ts';
import { failure } from '../../support/failure.ts';
import { type Quirks, startProvider, type TestProvider } from '../../support/provider.ts';
import { createTestDeps, signInAt, withProvider } from '../sign-in/world.ts';

type Json = Record<string, unknown>;

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

const claimsOf = (json: Json) =>
  JSON.parse(Buffer.from(String(json['id_token']).split('.')[1] ?? '', 'base64url').toString()) as Json;

/** As `alter` makes it, with another status. */
const answering = (status: number, alter: (json: Json) => Json = (json) => json): Quirks => ({
  token: (json, _form, before) => ({ answer: { status: before === 200 ? status : before, body: alter(json) } }),
});

describe('an answer that holds what is used is taken', () => {
  test.each([200, 201, 202, 203])('with HTTP %s, at the sign-in and at a refresh', async (status) => {
    await withProvider({ quirks: answering(status) }, async (at) => {
      const { kleis, tokens } = await signInAt(at);
      expect(tokens.idToken).toBeDefined();
      if (tokens.refreshToken === undefined) throw new Error('no refresh token');
      const next = await kleis.refresh({ refreshToken: tokens.refreshToken });
      expect(next.idToken).toBeDefined();
      expect(next.refreshToken?.reveal()).not.toBe(tokens.refreshToken.reveal());
    });
  });

  test.each<[string, (json: Json) => Json]>([
    ['a token_type that nobody knows', (json) => ({ ...json, token_type: 'N_A' })],
    ['a scope that is a list', (json) => ({ ...json, scope: ['openid'] })],
    ['an access token that is no text', (json) => ({ ...json, access_token: 7 })],
    ['an error that is none beside the tokens', (json) => ({ ...json, error: 'none', error_description: '' })],
  ])('with %s', async (_what, alter) => {
    await withProvider({ quirks: answering(200, alter) }, async (at) => {
      expect((await signInAt(at)).tokens.idToken).toBeDefined();
    });
  });

  test('with times in quotes, as the API server reads them, and without an iat', async () => {
    await withProvider({}, async (at) => {
      Object.assign(
        at.quirks,
        answering(200, (json) => {
          const { iat: _iat, exp, ...claims } = claimsOf(json);
          return { ...json, id_token: at.signed({ ...claims, exp: String(exp) }) };
        }),
      );
      expect((await signInAt(at)).tokens.idTokenExpiresAt).toBeGreaterThan(Date.now());
    });
  });

  test('an ID token that never ends is named as such', async () => {
    await withProvider({}, async (at) => {
      Object.assign(
        at.quirks,
        answering(200, (json) => ({ ...json, id_token: at.signed({ ...claimsOf(json), exp: undefined }) })),
      );
      const error = await failure(signInAt(at));
      expect(error).toMatchObject({ code: 'token_unusable' });
      expect(error.message).toContain('does not say when it ends');
    });
  });
});

describe('a refresh token that came is handed over, whatever else is wrong', () => {
  test.each<[string, number, (json: Json, at: TestProvider) => Json]>([
    [
      'an ID token for another client',
      200,
      (json, at) => ({ ...json, id_token: at.signed({ ...claimsOf(json), aud: 'x' }) }),
    ],
    [
      "an ID token of somebody else's",
      200,
      (json, at) => ({ ...json, id_token: at.signed({ ...claimsOf(json), sub: 'bob' }) }),
    ],
    ['an ID token that is none, with HTTP 201', 201, (json) => ({ ...json, id_token: 'none' })],
    ['an encrypted ID token', 200, (json) => ({ ...json, id_token: 'a.b.c.d.e' })],
    ['an error beside it', 200, ({ refresh_token: token }) => ({ error: 'invalid_request', refresh_token: token })],
    ['a token with a line break in it', 200, (json) => ({ ...json, access_token: 'a\nb' })],
  ])('%s', async (_what, status, alter) => {
    await withProvider({}, async (at) => {
      const { kleis, tokens } = await signInAt(at);
      let given: unknown;
      Object.assign(
        at.quirks,
        answering(status, (json) => {
          given = json['refresh_token'];
          return alter(json, at);
        }),
      );
      if (tokens.refreshToken === undefined) throw new Error('no refresh token');
      const error = await failure(kleis.refresh({ refreshToken: tokens.refreshToken, idTokenSub: 'alice' }));
      expect(error).toBeInstanceOf(UnusableAnswer);
      expect((error as UnusableAnswer).refreshToken.reveal()).toBe(given);
      expect(given).not.toBe(tokens.refreshToken.reveal());
      expect(`${error.message}${error.hint}`).not.toContain('nothing was lost');
    });
  });
});

describe('the answer with the tokens', () => {
  const asCode = (alter: (json: Json) => Json): Quirks => ({
    token: (json, _form, status) => ({ json: status === 200 ? alter(json) : json }),
  });

  test.each([
    ['token_type in small letters', (json: Json) => ({ ...json, token_type: 'bearer' })],
    ['token_type in capitals', (json: Json) => ({ ...json, token_type: 'BEARER' })],
    ['no token_type', ({ token_type: _type, ...json }: Json) => json],
    ['null members', (json: Json) => ({ ...json, scope: null, foo: null })],
    ['no access token', ({ access_token: _token, ...json }: Json) => json],
  ])('%s is taken', async (_what, alter) => {
    await withProvider({ quirks: asCode(alter) }, async (at) => {
      expect((await signInAt(at)).tokens.idToken).toBeDefined();
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
      const { tokens } = await signInAt(at, { token: 'access' });
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
      const error = await failure(signInAt(at));
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
      const error = await failure(signInAt(at));
      expect(error).toMatchObject({ code: 'sign_in_invalid' });
      if (sent.length > 20)
        expect(`${error.message}${error.hint}${error.detail ?? ''}`).not.toContain(sent.slice(0, 20));
    });
  });

  test('without an ID token where kubectl is to get one it is refused', async () => {
    await withProvider({ quirks: asCode(({ id_token: _token, ...json }) => json) }, async (at) => {
      expect(await failure(signInAt(at))).toMatchObject({ code: 'token_unusable', exitCode: 6 });
    });
  });

  test('a clock that is off is told by how much (this machine is ten minutes ahead)', async () => {
    await withProvider({ lifetimes: { idToken: 60 } }, async (at) => {
      const clock = { ...createTestDeps().clock, now: () => Date.now() + 600_000 };
      const error = await failure(signInAt(at, {}, createTestDeps({ terminal: true, clock })));
      expect(error).toMatchObject({ code: 'clock_skewed', exitCode: 6 });
      expect(error.message).toContain('10 minutes ahead');
    });
  });

  test('a clock that is behind is told as such', async () => {
    const clock = { ...createTestDeps().clock, now: () => Date.now() - 86_400_000 };
    const error = await failure(signInAt(provider, {}, createTestDeps({ terminal: true, clock })));
    expect(error).toMatchObject({ code: 'clock_skewed' });
    expect(error.message).toContain('24 hours behind');
  });
});

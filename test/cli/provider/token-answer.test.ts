import { describe, expect, test } from 'vitest';
import { UnusableAnswer, type TokenSet } from '../../../cli/provider/tokens.ts';
import { failure } from '../../support/failure.ts';
import type { Quirks, TestProvider } from '../../support/provider.ts';
import {
  addressShown,
  type Connected,
  connectTo,
  createTestDeps,
  settingsFor,
  withProvider,
} from '../sign-in/world.ts';

type Json = Record<string, unknown>;

async function signIn(at: TestProvider): Promise<{ kleis: Connected; tokens: TokenSet }> {
  const deps = createTestDeps({ terminal: true });
  const kleis = await connectTo(settingsFor(at.issuer), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  await at.browser().open(await addressShown(deps));
  return { kleis, tokens: await tokens };
}

const claimsOf = (json: Json) =>
  JSON.parse(Buffer.from(String(json['id_token']).split('.')[1] ?? '', 'base64url').toString()) as Json;

/** As `alter` makes it, with another status. */
const answering = (status: number, alter: (json: Json) => Json = (json) => json): Quirks => ({
  token: (json, _form, before) => ({ answer: { status: before === 200 ? status : before, body: alter(json) } }),
});

describe('an answer that holds what is used is taken', () => {
  test.each([200, 201, 202, 203])('with HTTP %s, at the sign-in and at a refresh', async (status) => {
    await withProvider({ quirks: answering(status) }, async (at) => {
      const { kleis, tokens } = await signIn(at);
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
      expect((await signIn(at)).tokens.idToken).toBeDefined();
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
      expect((await signIn(at)).tokens.idTokenExpiresAt).toBeGreaterThan(Date.now());
    });
  });

  test('an ID token that never ends is named as such', async () => {
    await withProvider({}, async (at) => {
      Object.assign(
        at.quirks,
        answering(200, (json) => ({ ...json, id_token: at.signed({ ...claimsOf(json), exp: undefined }) })),
      );
      const error = await failure(signIn(at));
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
      const { kleis, tokens } = await signIn(at);
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

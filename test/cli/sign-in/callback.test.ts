import { describe, expect, test } from 'vitest';
import { readCallback } from '../../../cli/sign-in/callback.ts';

const issuer = 'https://login.example.com';
const metadata = { issuer, token_endpoint: `${issuer}/token` };
const provider = { metadata, asker: { authenticates: false, unlistedScopes: ['groups'] } };
const promising = { ...provider, metadata: { ...metadata, authorization_response_iss_parameter_supported: true } };

const read =
  (query: string, at = provider) =>
  () =>
    readCallback(new URLSearchParams(query), at);

describe('the code', () => {
  test('is taken from this issuer, or from one that need not say which it is', () => {
    expect(read(`code=c&iss=${issuer}`)()).toBe('c');
    expect(read('code=c')()).toBe('c');
  });

  test.each([
    ['another issuer', 'code=c&iss=https://evil.example', promising],
    ['no issuer where one is promised', 'code=c', promising],
    ['two of them', 'code=c&code=d', provider],
    ['none', 'state=s', provider],
    ['an empty one', 'code=', provider],
  ])('%s: refused', (_what, query, at) => {
    expect(read(query, at)).toThrow(expect.objectContaining({ code: 'sign_in_invalid' }));
  });
});

describe('an error', () => {
  test('is told as what it is, also by a provider that forgets its name in it', () => {
    const refused = expect.objectContaining({
      code: 'sign_in_refused',
      message: 'The provider did not sign you in: No (access_denied).',
    });
    expect(read('error=access_denied&error_description=No.', promising)).toThrow(refused);
  });

  test('about a scope names the one that the provider does not list', () => {
    const query = 'error=invalid_scope&error_description=Invalid+scopes:+openid+email+groups';
    const refused = { code: 'token_unusable', hint: expect.stringContaining('does not list groups') };
    expect(read(query)).toThrow(expect.objectContaining(refused));
  });

  test('of another issuer is refused as that', () => {
    expect(read('error=access_denied&iss=https://evil.example')).toThrow(/from https:\/\/evil\.example/);
  });
});

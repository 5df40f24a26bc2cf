import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { authorizationParameters, makeSecrets, unlistedScopes } from '../../../cli/provider/authorization-request.ts';
import type { ProviderMetadata } from '../../../cli/provider/discovery.ts';
import { connect } from '../../../cli/provider/provider.ts';
import { createAuthority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';
import { startProvider } from '../../support/provider.ts';
import { createTestDeps, settingsFor } from '../sign-in/world.ts';

const listed: ProviderMetadata = {
  issuer: 'https://login.example.com',
  token_endpoint: 'https://login.example.com/token',
  scopes_supported: ['openid', 'offline_access'],
};

function asked(
  changes: Parameters<typeof settingsFor>[1] = {},
  metadata: Partial<ProviderMetadata> = {},
  withoutRefreshToken = false,
) {
  const settings = settingsFor(listed.issuer, changes);
  const request = {
    redirectUri: 'http://localhost:8000',
    secrets: makeSecrets(settings),
    loginHint: undefined,
    dpopThumbprint: undefined,
    withoutRefreshToken,
  };
  const parameters = authorizationParameters(settings, { ...listed, ...metadata }, request);
  const { scope, prompt, nonce, access_type: accessType } = parameters;
  return { scope, prompt, nonce: nonce !== undefined, accessType };
}

describe('offline_access', () => {
  test('is asked for, with consent, where the provider lists it', () => {
    expect(asked()).toMatchObject({ scope: 'openid offline_access', prompt: 'consent' });
  });

  test('is not asked for where it is not listed, nor where no refresh token is wanted', () => {
    expect(asked({}, { scopes_supported: ['openid'] })).toMatchObject({ scope: 'openid', prompt: undefined });
    expect(asked({ authParams: { access_type: 'online' } })).toMatchObject({ scope: 'openid', prompt: undefined });
  });

  test('is asked for where the person names it, listed or not', () => {
    const scopes = ['openid', 'offline_access'];
    expect(asked({ scopes }, { scopes_supported: [] })).toMatchObject({
      scope: 'openid offline_access',
      prompt: 'consent',
    });
  });

  test("leaves the person's own prompt alone", () => {
    expect(asked({ authParams: { prompt: 'select_account' } }).prompt).toBe('select_account');
  });

  test('does without consent where that does harm (Entra ID) or is not known', () => {
    const issuer = 'https://login.microsoftonline.com/0/v2.0';
    expect(asked({}, { issuer }).prompt).toBeUndefined();
    expect(asked({}, { issuer: 'https://notmicrosoftonline.com' }).prompt).toBe('consent');
    expect(asked({}, { prompt_values_supported: ['none', 'login'] }).prompt).toBeUndefined();
  });
});

describe('Google', () => {
  const google = { issuer: 'https://accounts.google.com', scopes_supported: ['openid', 'email', 'profile'] };

  test('is asked for a refresh token in its own way, never for offline_access', () => {
    for (const scopes of [['openid'], ['openid', 'offline_access']]) {
      expect(asked({ scopes }, google)).toMatchObject({ scope: 'openid', accessType: 'offline', prompt: undefined });
    }
    const lists = { ...google, scopes_supported: ['openid', 'offline_access'] };
    expect(asked({}, lists)).toMatchObject({ scope: 'openid', accessType: 'offline' });
  });

  test('is asked for another consent where the last one brought no refresh token', () => {
    expect(asked({}, google, true)).toMatchObject({ accessType: 'offline', prompt: 'consent' });
    expect(asked({ authParams: { prompt: 'select_account' } }, google, true).prompt).toBe('select_account');
  });

  test('is left alone where the person wants no refresh token; nobody else gets its parameters', () => {
    const online = asked({ authParams: { access_type: 'online' } }, google, true);
    expect(online).toMatchObject({ accessType: 'online', prompt: undefined });
    expect(asked({}, { issuer: 'https://accounts.google.com.evil.example' }, true).accessType).toBeUndefined();
  });
});

test('scopes that the provider does not list are known, where it lists any', () => {
  const settings = settingsFor(listed.issuer, { scopes: ['openid', 'groups'] });
  expect(unlistedScopes(settings, listed)).toEqual(['groups']);
  const { scopes_supported: _scopes, ...silent } = listed;
  expect(unlistedScopes(settings, silent)).toEqual([]);
});

test('a nonce is sent only where an ID token can come back with it', () => {
  expect(asked().nonce).toBe(true);
  expect(asked({ scopes: ['api'] }).nonce).toBe(false);
});

test('the certificate authority of the settings, and nothing else, vouches for the provider', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-ca-'));
  const authority = await createAuthority();
  const provider = await startProvider({ tls: await authority.issueServer(['localhost']) });
  try {
    const certificateAuthority = join(folder, 'ca.pem');
    await writeFile(certificateAuthority, authority.cert);
    const { metadata } = await connect(settingsFor(provider.issuer, { certificateAuthority }), createTestDeps());
    expect(metadata.issuer).toMatch(/^https:\/\/localhost:\d+$/);
    expect((await failure(connect(settingsFor(provider.issuer), createTestDeps()))).message).toContain(
      'not trusted here',
    );
    const missing = join(folder, 'none.pem');
    const unreadable = connect(settingsFor(provider.issuer, { certificateAuthority: missing }), createTestDeps());
    expect(await failure(unreadable)).toMatchObject({ code: 'config_invalid' });
  } finally {
    await provider.stop();
    await rm(folder, { recursive: true });
  }
});

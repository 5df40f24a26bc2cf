import { describe, expect, test } from 'vitest';
import { discover, endpoint, usableEndpoint } from '../../../cli/provider/discovery.ts';
import { createFetch } from '../../../shared/net/http.ts';
import { failure } from '../../support/failure.ts';
import { addressShown, connectTo, createTestDeps, settingsFor, withProvider } from '../sign-in/world.ts';

/** A provider that describes itself so. */
const describing = (document: object) => async () => new Response(JSON.stringify(document));

describe('an issuer that is not spelt as the provider spells it', () => {
  test.each(['common', 'organizations', 'consumers'])('Entra ID, %s: put the tenant there', async (tenant) => {
    const found = { issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0', token_endpoint: 'https://x' };
    const error = await failure(discover(describing(found), `https://login.microsoftonline.com/${tenant}/v2.0`));
    expect(error).toMatchObject({ code: 'issuer_mismatch', exitCode: 6 });
    expect(error.hint).toContain('--issuer-url https://login.microsoftonline.com/TENANT-ID/v2.0');
  });

  test.each([
    'https://login.example.com/realms/x/.well-known/openid-configuration',
    'https://login.example.com/realms/x/.well-known/openid-configuration/',
    'https://login.example.com/realms/x/.well-known/oauth-authorization-server',
  ])('%s: the address without its end, and nobody is asked', async (issuer) => {
    const error = await failure(discover(() => Promise.reject(new Error('asked')), issuer));
    expect(error).toMatchObject({ code: 'issuer_invalid', exitCode: 6 });
    expect(error.hint).toBe('Use --issuer-url https://login.example.com/realms/x');
  });

  test('a host that nobody knows: check the spelling, and no word of what was lost', async () => {
    const error = await failure(discover(createFetch({ env: {}, now: Date.now }), 'https://login.exmaple.invalid'));
    expect(error).toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
    expect(error.hint).toContain('--issuer-url');
    expect(error.hint).toContain('https://login.exmaple.invalid');
    expect(error.hint).not.toContain('lost');
  });
});

describe('an endpoint that nothing may be sent to', () => {
  const issuer = 'https://login.example.com';
  const odd = { issuer, token_endpoint: `${issuer}/token`, revocation_endpoint: 'http://login.example.com/revoke' };

  test('is named when it is needed, and only then', async () => {
    const metadata = await discover(describing({ ...odd, userinfo_endpoint: 7, end_session_endpoint: [] }), issuer);
    expect(usableEndpoint(metadata, 'revocation_endpoint')).toBeUndefined();
    expect(() => endpoint(metadata, 'revocation_endpoint')).toThrow(/revocation_endpoint is not an https URL: http:/);
    expect(endpoint(metadata, 'device_authorization_endpoint')).toBeUndefined();
    expect(endpoint(metadata, 'token_endpoint')).toBe(`${issuer}/token`);
  });

  test('does not keep anybody from signing in who does not need it', async () => {
    const quirks = {
      discovery: (document: Record<string, unknown>) => ({
        ...document,
        device_authorization_endpoint: 'http://login.example.com/device',
        revocation_endpoint: 'ftp://x',
        end_session_endpoint: 'javascript:alert(1)',
        pushed_authorization_request_endpoint: '/relative',
      }),
    };
    await withProvider({ quirks }, async (at) => {
      const deps = createTestDeps({ terminal: true });
      const kleis = await connectTo(settingsFor(at.issuer), deps);
      const tokens = kleis.signIn();
      await at.browser().open(await addressShown(deps));
      expect((await tokens).idToken).toBeDefined();
      expect(kleis.endSessionUrl()).toBeUndefined();
      expect(kleis.deviceEndpoint).toBeUndefined();
    });
  });

  test('of a provider that wants its requests pushed there is no other way', async () => {
    const quirks = {
      discovery: (document: Record<string, unknown>) => ({
        ...document,
        pushed_authorization_request_endpoint: 'http://login.example.com/par',
        require_pushed_authorization_requests: true,
      }),
    };
    await withProvider({ quirks }, async (at) => {
      const kleis = await connectTo(settingsFor(at.issuer), createTestDeps());
      expect((await failure(kleis.signIn())).message).toContain('pushed_authorization_request_endpoint');
    });
  });
});

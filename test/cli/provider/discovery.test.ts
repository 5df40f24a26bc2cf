import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { discover, endpoint, usableEndpoint } from '../../../cli/provider/discovery.ts';
import { createFetch } from '../../../shared/net/http.ts';
import { failure } from '../../support/failure.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { connectTo, createTestDeps, serving, settingsFor, signInAt, withProvider } from '../sign-in/world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.stop());

/** A provider that describes itself so. */
const describing = (document: object) => async () => new Response(JSON.stringify(document));

describe('an issuer that is not spelt as the provider spells it', () => {
  test.each(['common', 'organizations', 'consumers'])('Entra ID, %s: put the tenant there', async (tenant) => {
    const found = { issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0', token_endpoint: 'https://x' };
    const error = await failure(discover(describing(found), `https://login.microsoftonline.com/${tenant}/v2.0`));
    expect(error).toMatchObject({ code: 'issuer_mismatch', exitCode: 6 });
    expect(error.hint).toContain('--issuer-url https://login.microsoftonline.com/TENANT-ID/v2.0');
  });

  test('a host that nobody knows: check the spelling, and no word of what was lost', async () => {
    const error = await failure(discover(createFetch({ env: {}, now: Date.now }), 'https://login.exmaple.invalid'));
    expect(error).toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
    expect(error.hint).toContain('--issuer-url');
    expect(error.hint).toContain('https://login.exmaple.invalid');
    expect(error.hint).not.toContain('lost');
  });
});

test('a list without entries says as little as none', async () => {
  const document = { issuer: 'https://x', token_endpoint: 'https://x/t', id_token_signing_alg_values_supported: [] };
  const metadata = await discover(describing({ ...document, scopes_supported: [7] }), 'https://x');
  expect(metadata.id_token_signing_alg_values_supported).toBeUndefined();
  expect(metadata.scopes_supported).toBeUndefined();
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
      const { kleis, tokens } = await signInAt(at);
      expect(tokens.idToken).toBeDefined();
      expect(await kleis.endSessionUrl()).toBeUndefined();
      expect(kleis.deviceEndpoint).toBeUndefined();
      const device = await connectTo(settingsFor(at.issuer, { login: 'device' }), createTestDeps());
      const error = await failure(device.signIn());
      expect(error.message).toMatch(/device_authorization_endpoint is not an https URL: http:\/\/login/);
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
    async (address) => {
      const error = await discoveryFailure((origin) => ({
        body: JSON.stringify({ issuer: origin, token_endpoint: address }),
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

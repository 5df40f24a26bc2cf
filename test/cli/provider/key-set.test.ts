import { describe, expect, test } from 'vitest';
import { failure } from '../../support/failure.ts';
import { connectTo, createTestDeps, refreshed, settingsFor, signInAt, withProvider } from '../sign-in/world.ts';

const faults: [string, number, string, string][] = [
  ['404', 404, '', 'provider_invalid'],
  ['403', 403, '{"error":"forbidden"}', 'provider_invalid'],
  ['503, again and again', 503, '', 'provider_unavailable'],
  ['a web page', 200, '<html>', 'provider_invalid'],
  ['an object without keys', 200, '{"keys":null}', 'provider_invalid'],
  ['a set of no key', 200, '{"keys":[]}', 'provider_invalid'],
];

describe('keys of the provider that cannot be had', () => {
  test.each(faults)(
    '%s: exit 5 with address and status, and the code is not spent',
    async (_what, status, body, code) => {
      await withProvider({}, async (at) => {
        at.quirks.before = (_request, response, path) => {
          if (path !== '/jwks') return false;
          response.writeHead(status, { 'content-type': 'application/json' }).end(body);
          return true;
        };
        const error = await failure(signInAt(at));
        expect(error).toMatchObject({ code, exitCode: 5 });
        expect(error.message).toContain(`${at.issuer}/jwks`);
        expect(error.message).toContain(`HTTP ${status}`);
        expect(at.count('token')).toBe(0);
      });
    },
  );

  test('a connection that is cut: their address stands in it too', async () => {
    await withProvider({}, async (at) => {
      at.quirks.before = (_request, response, path) => path === '/jwks' && (response.destroy(), true);
      const error = await failure(signInAt(at));
      expect(error).toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
      expect(error.message).toContain(`${at.issuer}/jwks`);
      expect(at.count('token')).toBe(0);
    });
  });

  test('a device sign-in ends with them before anybody is asked', async () => {
    await withProvider({}, async (at) => {
      at.quirks.before = (_request, response, path) => {
        if (path !== '/jwks') return false;
        response.writeHead(404).end();
        return true;
      };
      const kleis = await connectTo(settingsFor(at.issuer, { login: 'device' }), createTestDeps());
      expect(await failure(kleis.signIn())).toMatchObject({ code: 'provider_invalid', exitCode: 5 });
      expect(at.count('device_authorization')).toBe(0);
    });
  });

  test('an address of them that is not https is refused, never passed over', async () => {
    const quirks = {
      discovery: (document: Record<string, unknown>) => ({ ...document, jwks_uri: 'http://keys.example/' }),
    };
    await withProvider({ quirks }, async (at) => {
      expect((await failure(signInAt(at))).message).toContain('jwks_uri is not an https URL');
      expect(at.count('token')).toBe(0);
    });
  });

  test('a refresh does not ask for them', async () => {
    await withProvider({}, async (at) => {
      const session = await signInAt(at);
      at.quirks.before = (_request, response, path) => path === '/jwks' && (response.destroy(), true);
      expect((await refreshed(session)).idToken).toBeDefined();
    });
  });
});

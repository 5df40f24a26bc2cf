import { describe, expect, it } from 'vitest';
import { faultsOf, loadDocument } from '../policy/fixture.ts';

const issuers = {
  sso: { url: 'https://login.example.com', audience: 'kleis' },
  pods: { cluster: 'prod', audience: 'https://kleis.example.com' },
};
const web = { issuer: 'sso', clientId: 'page', cookieKeyFile: '/keys' };
const load = (parts: Record<string, unknown>) => loadDocument({ issuers, web: { ...web, ...parts }, grants: {} });

describe('web', () => {
  it('is completed, and its files are named for `check`', () => {
    const { config, named } = load({ clientSecretFile: '/secret' });
    expect(config.web).toEqual({ ...web, clientSecretFile: '/secret', session: 3_600_000 });
    expect(named.map(({ file, kind, place }) => [file, kind, place.path])).toEqual([
      ['/secret', 'client secret', 'web.clientSecretFile'],
      ['/keys', 'cookie keys', 'web.cookieKeyFile'],
    ]);
  });

  it.each([
    [{ issuer: 'ssso' }, /web\.issuer is no entry of issuers: did you mean sso\?/],
    [{ issuer: 'pods' }, /web\.issuer is an API server/],
    [{ session: '13h' }, /web\.session is more than 12h/],
    [{ session: '1m' }, /web\.session is less than 5m/],
    [{ session: 'always' }, /web\.session write a number with its unit/],
    [{ contact: 'two\nlines' }, /web\.contact is no line/],
    [{ contact: ' ' }, /web\.contact is blank/],
    [{ cookieKeyFile: undefined }, /web\.cookieKeyFile is missing/],
    [{ cookieKey: 'x' }, /web\.cookieKey is not known to Kleis/],
  ])('with %j is refused', (parts, message) => {
    expect(faultsOf(() => load(parts)).join('\n')).toMatch(message);
  });
});

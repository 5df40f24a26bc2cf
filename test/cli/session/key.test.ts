import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SessionSettings, sessionKey } from '../../../cli/session/key.ts';

// Few and awkward, so that two settings are often equal, or nearly.
const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'a b', 'a,b', '"', 'null'),
  fc.string({ unit: 'binary', maxLength: 4 }),
);
const settings: fc.Arbitrary<SessionSettings> = fc.record({
  issuerUrl: text,
  clientId: text,
  scopes: fc.uniqueArray(text, { maxLength: 5 }),
  audience: fc.option(text, { nil: undefined }),
  resource: fc.option(text, { nil: undefined }),
  authParams: fc.dictionary(text, text, { maxKeys: 4 }),
  account: fc.option(text, { nil: undefined }),
  identity: fc.constantFrom('sso' as const, 'client-credentials' as const),
  dpop: fc.boolean(),
});

const some: SessionSettings = {
  issuerUrl: 'https://login.example.com',
  clientId: 'kleis',
  scopes: ['openid', 'email'],
  audience: undefined,
  resource: undefined,
  authParams: {},
  account: undefined,
  identity: 'sso',
  dpop: false,
};

const certificate = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;

describe('the key of a session', () => {
  test('does not depend on the order in which flags are given', () => {
    fc.assert(
      fc.property(settings, fc.infiniteStream(fc.nat()), (one, order) => {
        const shuffled = {
          ...one,
          scopes: shuffle(one.scopes, order),
          authParams: Object.fromEntries(shuffle(Object.entries(one.authParams), order)),
        };
        expect(sessionKey(shuffled, undefined)).toBe(sessionKey(one, undefined));
      }),
    );
  });

  test('is the same for two settings only if they ask for the same', () => {
    fc.assert(
      fc.property(settings, settings, (one, other) => {
        expect(sessionKey(one, undefined) === sessionKey(other, undefined)).toBe(meaning(one) === meaning(other));
      }),
    );
  });

  test('changes with each part', () => {
    const variants: SessionSettings[] = [
      some,
      { ...some, issuerUrl: 'https://login.example.com/' },
      { ...some, clientId: 'Kleis' },
      { ...some, scopes: ['openid'] },
      { ...some, audience: 'a' },
      { ...some, resource: 'a' },
      { ...some, authParams: { a: '' } },
      { ...some, account: 'a' },
      { ...some, identity: 'client-credentials' },
      { ...some, dpop: true },
    ];
    const keys = variants.map((each) => sessionKey(each, undefined));
    expect(new Set([...keys, sessionKey(some, certificate('AAAA'))]).size).toBe(variants.length + 1);
  });

  test('cannot be made equal by moving text from one part to the next', () => {
    const pairs: [Partial<SessionSettings>, Partial<SessionSettings>][] = [
      [
        { clientId: 'ab', audience: 'c' },
        { clientId: 'a', audience: 'bc' },
      ],
      [{ scopes: ['a b'] }, { scopes: ['a', 'b'] }],
      [{ scopes: ['a","b'] }, { scopes: ['a', 'b'] }],
      [{ authParams: { a: 'b=c' } }, { authParams: { 'a=b': 'c' } }],
      [{ authParams: { a: '1', b: '2' } }, { authParams: { a: '1,b:2' } }],
      [{ audience: 'x' }, { resource: 'x' }],
      [{ audience: '' }, { audience: undefined }],
      [{ audience: 'null' }, { audience: undefined }],
      [
        { account: 'x', resource: undefined },
        { account: undefined, resource: 'x' },
      ],
    ];
    for (const [one, other] of pairs) {
      expect(sessionKey({ ...some, ...one }, undefined)).not.toBe(sessionKey({ ...some, ...other }, undefined));
    }
  });

  test('does not depend on how a person signs in, how the client proves itself, or where the session is kept', () => {
    const more = {
      ...some,
      login: 'device',
      token: 'access',
      clientSecretFile: '/a',
      clientKeyFile: '/b',
      cache: 'file',
      listenAddress: ['127.0.0.1:1'],
      redirectUri: 'http://localhost:1/',
      proxy: 'http://proxy',
      minValidity: 1,
      loginTimeout: 1,
      force: true,
      confirmNewClusters: true,
    };
    expect(sessionKey(more, undefined)).toBe(sessionKey(some, undefined));
  });

  test('is the name of a file everywhere', () => {
    fc.assert(
      fc.property(settings, (one) => {
        expect(sessionKey(one, undefined)).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  test('stays the same from release to release: a new one would sign everybody out', () => {
    expect(sessionKey(some, undefined)).toMatchInlineSnapshot(
      `"b0719f0e6ae22efc749f4bec71fb3fde9073900b06d0293a34e8ceb0a7f37fd4"`,
    );
    expect(sessionKey(some, certificate('AAAA'))).toMatchInlineSnapshot(
      `"1fec73f9be6e4e8f184f99452c4d2be205be1a9bc82e712f42adfa894efcac33"`,
    );
  });
});

describe('the certificate authority in the key', () => {
  const both = certificate('QUFB') + certificate('QkJC');

  test('counts by its certificates: not by comments, line ends, line lengths or order', () => {
    expect(keyFor(`# made by hand\n${both.replaceAll('\n', '\r\n')}`)).toBe(keyFor(both));
    expect(keyFor(certificate('QkJC') + certificate('QUFB'))).toBe(keyFor(both));
    expect(keyFor(certificate('QU\nFB') + certificate('QkJC') + certificate('QkJC'))).toBe(keyFor(both));
  });

  test('another certificate, or one more, is another authority', () => {
    const keys = [certificate('QUFB'), certificate('QkJC'), both, 'not PEM', 'not PEM either', ''].map(keyFor);
    expect(new Set([...keys, sessionKey(some, undefined)]).size).toBe(7);
  });
});

function keyFor(pem: string): string {
  return sessionKey(some, pem);
}

/** What a provider can tell apart, written in another way than the key. */
function meaning(one: SessionSettings): string {
  const { scopes, authParams, ...rest } = one;
  return JSON.stringify([byName(rest), scopes.toSorted(), byName(authParams)], (_, value: unknown) =>
    value === undefined ? { none: true } : value,
  );
}

function byName(values: object): [string, unknown][] {
  return Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function shuffle<T>(values: readonly T[], order: fc.Stream<number>): T[] {
  const numbers = [...order.take(values.length)];
  return values
    .map((value, index) => ({ value, at: numbers[index] ?? 0 }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Command } from 'commander';
import { addSignInFlags, type SignInFlags, toArguments } from '../../../cli/settings/flags.ts';
import { resolveSettings } from '../../../cli/settings/sign-in.ts';
import { sessionKey } from '../../../cli/session/key.ts';

const issuerUrl = 'https://login.example.com';
const resolve = (flags: SignInFlags = {}, extension?: unknown) =>
  resolveSettings({ issuerUrl, ...flags }, extension, {});

describe('an issuer', () => {
  test.each([
    'https://login.example.com',
    'https://login.example.com/realms/x/',
    'http://localhost:9000',
    'http://127.0.0.1:9000/x',
    'http://[::1]:9000',
  ])('%s is taken exactly as it is written', (url) => {
    expect(resolve({ issuerUrl: url }).issuerUrl).toBe(url);
  });

  test.each([
    'login.example.com',
    'http://login.example.com',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'https://user:password@login.example.com',
    'https://login.example.com?x=1',
    'https://login.example.com?',
    'https://login.example.com#x',
    'file:///etc/passwd',
    'https://',
    'https://x.example/a b',
    'ftp://x.example',
    'x',
  ])('%s is refused', (url) => {
    expect(() => resolve({ issuerUrl: url })).toThrow(/cannot be used/);
    expect(() => resolve({ issuerUrl: url })).toThrow(expect.objectContaining({ code: 'issuer_invalid', exitCode: 6 }));
  });

  test('is needed', () => {
    expect(() => resolveSettings({}, undefined, {})).toThrow(/No issuer/);
  });
});

describe('an additional parameter', () => {
  test.each(['state', 'STATE', 'code_challenge', 'dpop_jkt', 'request_uri', 'client_secret', 'nonce', 'scope', 'iss'])(
    'cannot be %s, which Kleis itself says',
    (name) => {
      expect(() => resolve({ authParam: [`${name}=x`] })).toThrow(/reserved/);
    },
  );

  test('can ask for a response mode that the callback hears of, and no other', () => {
    expect(resolve({ authParam: ['response_mode=form_post'] }).authParams).toEqual({ response_mode: 'form_post' });
    expect(() => resolve({ authParam: ['response_mode=fragment'] })).toThrow(/query or form_post/);
  });

  test('keeps every = but the first', () => {
    expect(resolve({ authParam: ['a=b=c', 'd='.concat('e')] }).authParams).toEqual({ a: 'b=c', d: 'e' });
  });

  test.each(['x', '=x', 'a b=c', 'a=\u0007', 'a='])('%j is refused', (param) => {
    expect(() => resolve({ authParam: [param] })).toThrow(/--auth-param/);
  });

  test('given twice is refused', () => {
    expect(() => resolve({ authParam: ['a=1', 'a=2'] })).toThrow(/twice/);
  });
});

describe("the cluster's extension", () => {
  test('wins over the flags of the user, which may serve many clusters', () => {
    const settings = resolve(
      { audience: 'flag', scope: ['a'] },
      { audience: 'cluster', scope: 'b c', resource: 'urn:x' },
    );
    expect(settings).toMatchObject({ audience: 'cluster', scopes: ['openid', 'b', 'c'], resource: 'urn:x' });
  });

  test.each(['login', 'browserCommand', 'issuer_url', 'clientId', 'account', 'cache', '__proto__', 'command'])(
    'cannot say %s',
    (name) => {
      expect(() => resolve({}, JSON.parse(`{"${name}": "x"}`))).toThrow(/takes from flags alone/);
    },
  );

  test.each([['text'], [[]], [{ audience: 1 }], [{ scope: [{}] }], [{ audience: '' }]])(
    '%j is refused',
    (extension) => {
      expect(() => resolve({}, extension)).toThrow(/extension|audience/);
    },
  );
});

test.each(['127.0.0.1:0', 'localhost:8000', '[::1]:65535', '127.9.9.9:1'])('%s can be listened at', (address) => {
  expect(resolve({ listenAddress: [address] }).listenAddress).toEqual([address]);
});

test.each([
  '0.0.0.0:8000',
  '[::]:8000',
  '192.168.0.1:80',
  'example.com:80',
  'localhost',
  '127.0.0.1:65536',
  '127.0.0.256:1',
  'localhost:99999',
  ':8000',
])('%s, which others could reach or nobody, is never listened at', (address) => {
  expect(() => resolve({ listenAddress: [address] })).toThrow(/loopback/);
});

test.each([
  ...['https://localhost/x', 'http://example.com/callback', 'http://localhost/#x', 'http://me@localhost'],
  ...['http://localhost:1/?x=y', 'http://localhost/kleis-sign-in', 'nonsense'],
])('%s is no redirect URI of this machine', (uri) => {
  expect(() => resolve({ redirectUri: uri })).toThrow(/loopback/);
});

test.each(['a b', '../x', 'a\nb', 'x'.repeat(101), ''])('%j is no account name', (account) => {
  expect(() => resolve({ account })).toThrow(/--account/);
});

test.each([
  [{ clientSecretFile: 'a', clientKeyFile: 'b' }, /one of them/],
  [{ identity: 'client-credentials' }, /needs --client-secret-file/],
  [{ identity: 'client-credentials', clientSecretFile: 'a', token: 'id' }, /no ID token/],
  [{ minValidity: '-1s' }, /duration/],
  [{ loginTimeout: '2h' }, /from 1s to 1h/],
  [{ scope: ['a"b'] }, /scope/],
  [{ resource: 'x' }, /absolute URI/],
] as const)('%j is refused', (flags, why) => {
  expect(() => resolve(flags as SignInFlags)).toThrow(why);
});

test("a flag wins over the person's configuration, which wins over the default", () => {
  const person = { login: 'device', cache: 'file', minValidity: 5000 } as const;
  expect(resolveSettings({ issuerUrl, login: 'paste' }, undefined, person)).toMatchObject({
    login: 'paste',
    cache: 'file',
    minValidity: 5000,
    loginTimeout: 300_000,
  });
});

test('no flag and no extension names a command to run', () => {
  const options = addSignInFlags(new Command()).options.map(({ long }) => long);
  expect(options.filter((name) => /command|exec|program|run/.test(name ?? ''))).toEqual([]);
  expect(resolve({ browserCommand: 'x' } as SignInFlags, undefined).browserCommand).toBeUndefined();
});

test('what a kubeconfig entry is made of leads to the session of the flags it was made from', () => {
  const word = fc.stringMatching(/^[a-z]{1,8}$/);
  const flags = fc.record(
    {
      clientId: word,
      audience: word,
      resource: word.map((value) => `urn:${value}`),
      scope: fc.array(word, { minLength: 1, maxLength: 4 }),
      authParam: fc
        .uniqueArray(word, { minLength: 1, maxLength: 3 })
        .map((names) => names.map((name) => `x-${name}==1`)),
      account: word,
      dpop: fc.constant(true),
      login: fc.constantFrom('browser', 'paste'),
      minValidity: fc.constantFrom('90s', '1h30m'),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(flags, (given) => {
      const args = toArguments({ issuerUrl, ...given });
      const parsed = addSignInFlags(new Command()).parse(args, { from: 'user' }).opts<SignInFlags>();
      expect(resolveSettings(parsed, undefined, {})).toEqual(resolve(given as SignInFlags));
      expect(sessionKey(resolveSettings(parsed, undefined, {}), undefined)).toBe(
        sessionKey(resolve(given as SignInFlags), undefined),
      );
    }),
  );
});

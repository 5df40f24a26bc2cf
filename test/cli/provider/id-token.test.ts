import fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ProviderMetadata } from '../../../cli/provider/discovery.ts';
import { readIdToken } from '../../../cli/provider/id-token.ts';
import { createKeySet, type KeySet } from '../../../cli/provider/key-set.ts';
import { failure } from '../../support/failure.ts';

const metadata: ProviderMetadata = {
  issuer: 'https://login.example.com',
  token_endpoint: 'https://login.example.com/token',
};
const claims = { iss: metadata.issuer, aud: 'kleis', sub: 'alice', nonce: 'n' };
const check = { metadata, clientId: 'kleis', nonce: 'n', sub: undefined, keys: undefined };

let pair: Awaited<ReturnType<typeof generateKeyPair>>;
let published: JWK;
beforeAll(async () => {
  pair = await generateKeyPair('ES256');
  published = { ...(await exportJWK(pair.publicKey)), kid: 'one' };
});

function signed(payload: object, header: object = {}): Promise<string> {
  return new SignJWT({ ...payload }).setProtectedHeader({ alg: 'ES256', kid: 'one', ...header }).sign(pair.privateKey);
}

/** What a provider publishes, in turn: the last stays. */
function keySet(...sets: (readonly unknown[])[]): KeySet & { asked(): number } {
  let asked = 0;
  const set = createKeySet(async () => {
    const keys = sets[Math.min(asked, sets.length - 1)];
    asked += 1;
    return new Response(JSON.stringify({ keys }));
  }, 'https://login.example.com/keys');
  return { ...set, asked: () => asked };
}

describe('whom an ID token is for', () => {
  test.each([
    ['the client alone', { aud: 'kleis' }],
    ['a list of the client alone', { aud: ['kleis'] }],
    ['a list with others and no azp, as many providers send it', { aud: ['other', 'kleis'] }],
    ['a list with others and the client as azp', { aud: ['kleis', 'other'], azp: 'kleis' }],
    ['claims that nobody uses, in any form', { auth_time: 'yesterday', iat: 'soon', nbf: {}, acr: 7, azp: 'other' }],
  ])('%s is taken', async (_what, changes) => {
    expect(await readIdToken(await signed({ ...claims, ...changes }), check)).toMatchObject({ sub: 'alice' });
  });

  test.each([
    ['another client', { aud: 'other' }, /another client than kleis: other/],
    ['others only', { aud: ['other', 'third'] }, /another client/],
    ['nobody', { aud: undefined }, /another client/],
    ['a list, issued to another client', { aud: ['kleis', 'other'], azp: 'other' }, /azp other/],
    ['another issuer', { iss: 'https://evil.example' }, /another issuer, https:\/\/evil\.example/],
    ['no sub', { sub: undefined }, /no sub/],
    ['a sub that is no text', { sub: 7 }, /no sub/],
    ['another sign-in', { nonce: 'other' }, /nonce/],
  ])('%s is refused', async (_what, changes, text) => {
    const error = await failure(readIdToken(await signed({ ...claims, ...changes }), check));
    expect(error).toMatchObject({ code: 'sign_in_invalid' });
    expect(error.message).toMatch(text);
  });
});

describe('algorithms', () => {
  test('one that is not listed is named beside those that are', async () => {
    const listed = { ...metadata, id_token_signing_alg_values_supported: ['RS256', 'PS256', 'none', 'HS256'] };
    const error = await failure(readIdToken(await signed(claims), { ...check, metadata: listed }));
    expect(error.message).toBe('The ID token is signed with ES256, but the provider lists RS256, PS256.');
  });

  test.each(['none', 'HS256', 'es256', 'ES256K'])('%s is refused, listed or not', async (alg) => {
    const [, payload = ''] = (await signed(claims)).split('.');
    const header = Buffer.from(JSON.stringify({ alg })).toString('base64url');
    for (const listed of [undefined, [alg]]) {
      const at = { ...metadata, ...(listed && { id_token_signing_alg_values_supported: listed }) };
      const error = await failure(readIdToken(`${header}.${payload}.AAAA`, { ...check, metadata: at }));
      expect(error).toMatchObject({ code: 'sign_in_invalid' });
    }
  });
});

describe('the signature', () => {
  test('is found among keys of one name, without a name, and beside keys that nobody can use', async () => {
    const other = { ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid: 'one' };
    const odd = ['text', null, { kty: 'unknown' }, { kty: 'RSA', n: 'AQ', e: 'AQAB' }, { ...published, x: '!' }];
    for (const keys of [[other, published], [...odd, published], [{ ...published, kid: undefined }]]) {
      const set = keySet(keys);
      await set.ready();
      const header = keys.length === 1 ? { kid: undefined } : {};
      expect(await readIdToken(await signed(claims, header), { ...check, keys: set })).toMatchObject({ sub: 'alice' });
      expect(set.asked()).toBe(1);
    }
  });

  test('of a key that has been published since is found by asking once more', async () => {
    const set = keySet([{ kty: 'unknown' }], [published]);
    await set.ready();
    expect(await readIdToken(await signed(claims), { ...check, keys: set })).toMatchObject({ sub: 'alice' });
    expect(set.asked()).toBe(2);
  });

  test('of a key that is not published, and a wrong one, are told apart', async () => {
    const set = keySet([{ ...published, kid: 'two' }]);
    await set.ready();
    const unknown = await failure(readIdToken(await signed(claims), { ...check, keys: set }));
    expect(unknown.message).toContain('does not publish');
    const other = await exportJWK((await generateKeyPair('ES256')).publicKey);
    const wrong = keySet([{ ...other, kid: 'one' }]);
    await wrong.ready();
    expect((await failure(readIdToken(await signed(claims), { ...check, keys: wrong }))).message).toContain('is wrong');
  });

  test('no change of a token is accepted', async () => {
    const token = await signed(claims);
    const set = keySet([published]);
    await set.ready();
    const at = fc.nat(token.length - 1);
    const change = fc.constantFrom(...'ABCDEFGHabcdefgh0123-_.');
    await fc.assert(
      fc.asyncProperty(at, change, async (index, character) => {
        const changed = token.slice(0, index) + character + token.slice(index + 1);
        // The last character holds bits that are no part of the signature.
        fc.pre(changed !== token && index < token.length - 1);
        const result = await readIdToken(changed, { ...check, keys: set }).catch(() => undefined);
        expect(result).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});

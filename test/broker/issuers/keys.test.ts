import { signatureAlgorithms } from '../../../shared/jwt.ts';
import { constants, generateKeyPairSync, sign as nodeSign } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseKeySet, verifySignature, type VerificationKey } from '../../../broker/issuers/keys.ts';
import { makeKey, noon, sign } from './fixture.ts';

const issuer = { url: 'https://issuer.example.com' };

async function only(jwk: unknown): Promise<VerificationKey> {
  const [key] = await parseKeySet(JSON.stringify({ keys: [jwk] }));
  if (key === undefined) throw new Error('the key was passed over');
  return key;
}

function split(token: string): [string, Uint8Array] {
  const at = token.lastIndexOf('.');
  return [token.slice(0, at), Buffer.from(token.slice(at + 1), 'base64url')];
}

describe.each(signatureAlgorithms)('%s', (alg) => {
  it('verifies what jose signed, and nothing that differs from it by a bit', async () => {
    const made = await makeKey('k', alg);
    const key = await only(made.jwk);
    const [input, signature] = split(await sign(issuer, {}, { key: made }));
    expect(verifySignature(key, alg, input, signature)).toBe(true);
    expect(verifySignature(key, alg, `${input}x`, signature)).toBe(false);
    for (const at of [0, signature.length >> 1, signature.length - 1]) {
      const other = Buffer.from(signature);
      other[at] = (other[at] ?? 0) ^ 1;
      expect(verifySignature(key, alg, input, other)).toBe(false);
    }
    for (const wrong of [
      signature.subarray(1),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.alloc(0),
      Buffer.alloc(signature.length),
    ]) {
      expect(verifySignature(key, alg, input, wrong)).toBe(false);
    }
    expect(verifySignature(await only((await makeKey('k', alg)).jwk), alg, input, signature)).toBe(false);
  });
});

describe('a signature', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

  // OpenSSL takes such a one: of one token in 256 there would be two spellings.
  it.each(['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'])('%s has the length of its key', async (alg) => {
    const key = await only({ ...publicKey.export({ format: 'jwk' }), alg });
    const hash = `sha${alg.slice(2)}`;
    const options = alg.startsWith('PS')
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: Number(alg.slice(2)) / 8 }
      : { padding: constants.RSA_PKCS1_PADDING };
    for (let attempt = 0; ; attempt += 1) {
      const input = `a.${attempt}`;
      const signature = nodeSign(hash, Buffer.from(input), { key: privateKey, ...options });
      if (signature[0] !== 0) continue;
      expect(verifySignature(key, alg, input, signature)).toBe(true);
      expect(verifySignature(key, alg, input, signature.subarray(1))).toBe(false);
      expect(verifySignature(key, alg, input, Buffer.concat([Buffer.alloc(1), signature]))).toBe(false);
      return;
    }
  });
});

describe('a key', () => {
  it.each(['ES256', 'ES384', 'ES512'])(
    'of %s is the same with its numbers as Java writes them, with a sign byte or without leading zeros',
    async (alg) => {
      const size = { ES256: 32, ES384: 48, ES512: 66 }[alg] ?? 0;
      const java = (text = '') => {
        const bytes = Buffer.from(text, 'base64url');
        const digits = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
        return Buffer.concat([Buffer.alloc((digits[0] ?? 0) > 127 ? 1 : 0), digits]).toString('base64url');
      };
      const lengths = new Set<number>();
      // Until each length of a coordinate was seen.
      while (![size - 1, size, ...(size === 66 ? [] : [size + 1])].every((length) => lengths.has(length))) {
        const made = await makeKey('k', alg);
        const jwk = { ...made.jwk, x: java(made.jwk.x), y: java(made.jwk.y) };
        for (const text of [jwk.x, jwk.y]) lengths.add(Buffer.from(text, 'base64url').length);
        const [input, signature] = split(await sign(issuer, {}, { key: made }));
        const key = await only(jwk);
        expect(verifySignature(key, alg, input, signature)).toBe(true);
        expect(key.thumbprint).toBe(await calculateJwkThumbprint(made.jwk));
      }
    },
  );

  it('of RSA is the same with a sign byte', async () => {
    const made = await makeKey('k', 'RS256');
    const n = Buffer.concat([Buffer.alloc(1), Buffer.from(made.jwk.n ?? '', 'base64url')]).toString('base64url');
    const key = await only({ ...made.jwk, n, e: 'AAEAAQ' });
    expect(verifySignature(key, 'RS256', ...split(await sign(issuer, {}, { key: made })))).toBe(true);
    expect(key.thumbprint).toBe(await calculateJwkThumbprint(made.jwk));
  });

  it('of a type that we do not know leaves the others of its set alone', async () => {
    const { jwk } = await makeKey('k');
    const others = [
      { kty: 'EC', crv: 'secp256k1', kid: 'a', x: 'AA', y: 'AA' },
      { kty: 'OKP', crv: 'X25519', kid: 'b', x: 'AA' },
      { kty: 'AKP', alg: 'ML-DSA-44', kid: 'c', pub: 'AA' },
      { kty: 'oct', kid: 'd', k: 'AA' },
      { kty: 'later', kid: 'e' },
      { kid: 'f' },
    ];
    const keys = await parseKeySet(JSON.stringify({ keys: [...others, jwk] }));
    expect(keys.map(({ kid }) => kid)).toEqual(['k']);
  });

  it('verifies only for the algorithm that it names, or else for those of its type', async () => {
    const { jwk } = await makeKey('k', 'RS256');
    expect((await only(jwk)).algorithms).toEqual(['RS256']);
    expect((await only({ ...jwk, alg: undefined })).algorithms).toEqual([
      'RS256',
      'RS384',
      'RS512',
      'PS256',
      'PS384',
      'PS512',
    ]);
    expect((await only({ ...(await makeKey('k', 'ES384')).jwk, alg: undefined })).algorithms).toEqual(['ES384']);
    expect((await only({ ...(await makeKey('k', 'EdDSA')).jwk, alg: 'Ed25519' })).algorithms).toEqual([
      'EdDSA',
      'Ed25519',
    ]);
    const made = await makeKey('k', 'RS256');
    const [input, signature] = split(await sign(issuer, {}, { key: made }));
    for (const alg of ['PS256', 'RS384', 'HS256', 'none', 'rs256', 'toString', '']) {
      expect(verifySignature(await only(made.jwk), alg, input, signature)).toBe(false);
    }
  });

  it('for one algorithm does not verify a genuine signature in another', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    const signature = nodeSign('sha256', Buffer.from('a.b'), pss);
    const jwk = publicKey.export({ format: 'jwk' });
    expect(verifySignature(await only(jwk), 'PS256', 'a.b', signature)).toBe(true);
    expect(verifySignature(await only({ ...jwk, alg: 'RS256' }), 'PS256', 'a.b', signature)).toBe(false);
    const salted = nodeSign('sha256', Buffer.from('a.b'), { ...pss, saltLength: 20 });
    expect(verifySignature(await only(jwk), 'PS256', 'a.b', salted)).toBe(false);
  });

  it('of ECDSA does not accept a signature in DER', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = await only({ ...publicKey.export({ format: 'jwk' }), kid: 'k' });
    expect(verifySignature(key, 'ES256', 'a.b', nodeSign('sha256', Buffer.from('a.b'), privateKey))).toBe(false);
  });

  it.each([
    ['RSA of 1024 bits', () => generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })],
    [
      'RSA with exponent 1',
      () => ({ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }), e: 'AQ' }),
    ],
    ['a curve for other things', () => generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })],
    [
      'a curve of Bitcoin',
      () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' }),
    ],
    [
      'a point that is not on its curve',
      () => ({
        kty: 'EC',
        crv: 'P-256',
        x: Buffer.alloc(32, 1).toString('base64url'),
        y: Buffer.alloc(32, 1).toString('base64url'),
      }),
    ],
    ['a private key', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })],
    ['a symmetric key', () => ({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' })],
    ['a certificate alone', () => ({ kty: 'RSA', x5c: ['MIIB'] })],
    ['a key of a type that has a prototype', () => ({ kty: 'EC', crv: 'toString', x: 'AA', y: 'AA' })],
    ['a text', () => 'key'],
    ['null', () => null],
    ['a key whose coordinates are lists', () => ({ kty: 'EC', crv: 'P-256', x: ['AA'], y: ['AA'] })],
  ])('is passed over when it is %s', async (_what, make) => {
    expect(await parseKeySet(JSON.stringify({ keys: [make()] }))).toEqual([]);
  });

  it.each([
    { use: 'enc' },
    { key_ops: ['encrypt'] },
    { key_ops: 'verify' },
    { alg: 'RSA-OAEP' },
    { alg: 1 },
    { kid: 1 },
    { kid: 'x'.repeat(257) },
  ])('is passed over with %j', async (more) => {
    const { jwk } = await makeKey('k');
    expect(await parseKeySet(JSON.stringify({ keys: [{ ...jwk, ...more }, jwk] }))).toHaveLength(1);
  });
});

it.each([
  ['no JSON', '<html>'],
  ['no object', '[]'],
  ['no keys', '{}'],
  ['keys that are no list', '{"keys":{}}'],
  ['more than 100 keys', JSON.stringify({ keys: Array.from({ length: 101 }, () => ({})) })],
])('a key set with %s is a fault', async (_what, text) => {
  await expect(parseKeySet(text)).rejects.toThrow(/the key set/);
});

it('verification costs a small part of the millisecond that a mint may cost the broker', async () => {
  const made = await makeKey('k', 'RS256');
  const key = await only(made.jwk);
  const [input, signature] = split(await sign(issuer, { filler: 'x'.repeat(1500) }, { key: made, now: noon }));
  const times = Array.from({ length: 200 }, () => {
    const from = process.cpuUsage();
    verifySignature(key, 'RS256', input, signature);
    const { user, system } = process.cpuUsage(from);
    return user + system;
  });
  expect(times.toSorted((a, b) => a - b)[100]).toBeLessThan(500);
});

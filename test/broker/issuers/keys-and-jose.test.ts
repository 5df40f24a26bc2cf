import { signatureAlgorithms } from '../../../shared/jwt.ts';
import { constants, createPrivateKey, sign as nodeSign, type KeyObject } from 'node:crypto';
import { compactVerify, exportJWK, importJWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseKeySet, verifySignature, type VerificationKey } from '../../../broker/issuers/keys.ts';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { makeKey, sign } from './fixture.ts';

// Decision 20: one verification is not jose's. Here the two judge the same tokens.

const issuer = { url: 'https://issuer.example.com' };
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const orders: Readonly<Record<string, bigint>> = {
  ES256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ES384: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ES512:
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
};

const toInteger = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const toBytes = (value: bigint, length: number) => Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');

function ours(token: string, key: VerificationKey): boolean {
  try {
    const { header, signingInput, signature } = decodeUnverified(token);
    const { alg } = header;
    return typeof alg === 'string' && verifySignature(key, alg, signingInput, signature);
  } catch {
    return false;
  }
}

/** A verification on the large curves takes some milliseconds: of their tokens, not every place is changed. */
const steps: Readonly<Record<string, number>> = { ES384: 5, ES512: 17 };

/** Characters changed to their neighbours and to others, left out and doubled; the last one always. */
function* respelled(token: string, step: number): Generator<string> {
  for (let at = (token.length - 1) % step; at < token.length; at += step) {
    const [before, here = '', after] = [token.slice(0, at), token[at], token.slice(at + 1)];
    const place = alphabet.indexOf(here);
    const others = [alphabet[place ^ 1], alphabet[place ^ 2], alphabet[place ^ 32], '=', ''];
    for (const other of others) yield `${before}${other ?? '.'}${after}`;
    yield `${before}${here}${here}${after}`;
  }
}

/** What can be done to a signature without its key, and with it. */
function* signatures(alg: string, input: string, genuine: Buffer, key: KeyObject): Generator<Buffer> {
  const half = genuine.length / 2;
  yield genuine;
  for (let at = 0; at < genuine.length; at += steps[alg] ?? 1) {
    for (const bit of [1, 128]) {
      const changed = Buffer.from(genuine);
      changed[at] = (changed[at] ?? 0) ^ bit;
      yield changed;
    }
    yield genuine.subarray(at + 1);
    yield genuine.subarray(0, at);
  }
  yield Buffer.concat([Buffer.alloc(1), genuine]);
  yield Buffer.concat([genuine, Buffer.alloc(1)]);
  yield Buffer.alloc(genuine.length);
  yield Buffer.alloc(genuine.length, 255);
  const order = orders[alg];
  const data = Buffer.from(input);
  if (order !== undefined) {
    const [r, s] = [genuine.subarray(0, half), genuine.subarray(half)];
    yield Buffer.concat([r, toBytes(order - toInteger(s), half)]);
    yield Buffer.concat([s, r]);
    yield Buffer.concat([toBytes(order - toInteger(r), half), s]);
    yield Buffer.concat([Buffer.alloc(half), s]);
    yield Buffer.concat([r, Buffer.alloc(half)]);
    yield Buffer.concat([toBytes(order, half), s]);
    yield Buffer.concat([r, toBytes(order, half)]);
    for (const hash of ['sha256', 'sha384', 'sha512']) {
      yield nodeSign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
      yield nodeSign(hash, data, key);
    }
  } else if (key.asymmetricKeyType === 'rsa') {
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512']) {
      yield nodeSign(hash, data, { key, padding: constants.RSA_PKCS1_PADDING });
      for (const saltLength of [0, 20, 32, 48, 64]) {
        yield nodeSign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
      }
    }
    const n = toInteger(Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url'));
    yield Buffer.from((toInteger(genuine) + n).toString(16).padStart(2 * genuine.length + 2, '0'), 'hex');
    yield* cut(alg, input, key);
  } else {
    // The order of edwards25519 (RFC 8032 section 5.1), added to S, which stands there from its last byte on.
    const l = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = toInteger(genuine.subarray(32).toReversed());
    for (const other of [s + l, l, l - s])
      yield Buffer.concat([genuine.subarray(0, 32), toBytes(other, 32).toReversed()]);
  }
}

/** Of RSASSA-PSS one signature in 256 begins with a zero, which OpenSSL does not miss. */
function* cut(alg: string, input: string, key: KeyObject): Generator<Buffer> {
  if (!alg.startsWith('PS')) return;
  const bits = Number(alg.slice(2));
  const options = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 };
  for (;;) {
    const signature = nodeSign(`sha${bits}`, Buffer.from(input), options);
    if (signature[0] !== 0) continue;
    yield signature;
    yield signature.subarray(1);
    return;
  }
}

describe.each(signatureAlgorithms)('%s', (alg) => {
  it('is judged as jose judges it, except that each token has one spelling', async () => {
    const made = await makeKey('k', alg);
    const [key] = await parseKeySet(JSON.stringify({ keys: [made.jwk] }));
    if (key === undefined) throw new Error('the key was passed over');
    const theirs = await importJWK(made.jwk, alg);
    const algorithms = [...key.algorithms];
    const jose = async (token: string) =>
      compactVerify(token, theirs, { algorithms }).then(
        () => true,
        () => false,
      );
    const oneSpelling = (token: string) => {
      const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
      const rewritten = parts.map((part) => part.toString('base64url')).join('.');
      return rewritten === token && parts[2]?.length === key.signatureLength;
    };
    const token = await sign(issuer, {}, { key: made });
    const at = token.lastIndexOf('.');
    const input = token.slice(0, at);
    const privateKey = createPrivateKey({ key: { ...(await exportJWK(made.privateKey)) }, format: 'jwk' });

    const corpus = [...respelled(token, steps[alg] ?? 1)];
    for (const signature of signatures(alg, input, Buffer.from(token.slice(at + 1), 'base64url'), privateKey)) {
      corpus.push(`${input}.${signature.toString('base64url')}`);
    }
    for (const other of [...signatureAlgorithms, 'HS256', 'none', '']) {
      const header = Buffer.from(JSON.stringify({ alg: other })).toString('base64url');
      corpus.push(`${header}${token.slice(token.indexOf('.'))}`);
    }

    let accepted = 0;
    for (const text of corpus) {
      const verdict = ours(text, key);
      expect([text, verdict]).toEqual([text, (await jose(text)) && oneSpelling(text)]);
      if (verdict) accepted += 1;
    }
    expect(ours(token, key)).toBe(true);
    expect(accepted).toBeGreaterThan(0);
  }, 60_000);
});

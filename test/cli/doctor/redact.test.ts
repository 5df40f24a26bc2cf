import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact } from '../../../cli/doctor/redact.ts';

const secret = fc
  .stringMatching(/^[A-Za-z0-9_~+/=-]{12,80}$/)
  .filter((text) => !'[redacted]'.includes(text) && !text.includes('redacted'));

/** A value as a bundle holds it, with a secret in some texts and names. */
const holding = (canary: string) => {
  const text = fc.oneof(
    fc.string(),
    fc.string().map((around) => `${around}${canary}${around}`),
  );
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      text,
      fc.integer(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  })).value;
};

describe('what is written for a stranger', () => {
  it('never holds a secret that is known, wherever it stood', () => {
    const cases = secret.chain((canary) => fc.tuple(fc.constant(canary), holding(canary)));
    fc.assert(
      fc.property(cases, ([canary, value]) => {
        expect(JSON.stringify(redact({ value }, [canary]))).not.toContain(canary);
      }),
    );
  });

  it.each([
    ['a token', 'Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl', 'c2lnbmF0dXJl'],
    ['a token that is cut off', 'it says eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGlj', 'eyJzdWIiOiJhbGlj'],
    ['an opaque token in a header', 'authorization: Bearer canary-opaque', 'canary'],
    ['a password in a URL', 'http://user:canary@proxy.example.com:3128', 'canary'],
    ['a code in a redirect', 'http://localhost:8000/?code=canary&state=x', 'canary'],
    ['a client secret', 'client_secret=canary&grant_type=x', 'canary'],
    ['a cookie', 'Set-Cookie: session=canary; Path=/', 'canary'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----', 'canary'],
  ])('takes out what has the form of %s', (_, text, canary) => {
    expect(redact({ text }, []).text).not.toContain(canary);
  });

  it('leaves what helps', () => {
    const plain = {
      issuer: 'https://login.example.com',
      scopes: ['openid', 'groups'],
      at: '2026-11-26T14:00:00Z',
      n: 1,
    };
    expect(redact(plain, ['canary-canary'])).toEqual(plain);
  });
});

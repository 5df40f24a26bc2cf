import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareToken, whyRefused } from '../../../cli/doctor/claims.ts';
import type { ExpectedIssuer } from '../../../cli/doctor/expected.ts';
import type { Claims, UnverifiedJwt } from '../../../shared/jwt.ts';

const expected: ExpectedIssuer = {
  issuer: 'https://login.example.com',
  audiences: ['kubernetes', 'kleis'],
  algorithms: ['RS256', 'ES256'],
  username: { kind: 'claim', claim: 'email' },
  groups: { kind: 'claim', claim: 'groups' },
  required: [{ claim: 'hd', value: 'example.com' }],
  expressions: [],
};
const good: Claims = {
  iss: expected.issuer,
  aud: 'kleis',
  email: 'alice@example.com',
  email_verified: true,
  groups: ['dev'],
  hd: 'example.com',
  exp: 2_000_000_000,
};
const token = (claims: Claims, alg = 'RS256'): UnverifiedJwt => ({
  header: { alg },
  claims,
  signingInput: '',
  signature: new Uint8Array(),
});
const codes = (claims: Claims, alg?: string, more: Partial<ExpectedIssuer> = {}) =>
  compareToken(token(claims, alg), [{ ...expected, ...more }])
    .filter(({ severity }) => severity !== 'ok')
    .map(({ code }) => code);

describe('a token beside what an API server expects', () => {
  it('fits, and no fault is found', () => expect(codes(good)).toEqual([]));

  it.each<[string, Claims, string[]]>([
    ['the issuer by a slash', { ...good, iss: `${expected.issuer}/` }, ['token_issuer']],
    ['the audience', { ...good, aud: ['other', 'one'] }, ['token_audience']],
    ['a claim that must be', { ...good, hd: 'example.org' }, ['token_claim']],
    ['an address that is not verified', { ...good, email_verified: false }, ['token_username']],
    ['an address whose verification is text', { ...good, email_verified: 'true' }, ['token_username']],
    ['a name that is no text', { ...good, email: 5 }, ['token_username']],
  ])('differs in %s', (_, claims, found) => expect(codes(claims)).toEqual(found));

  it('an algorithm that is not taken', () => expect(codes(good, 'PS512')).toEqual(['token_algorithm']));

  it('one of several audiences is enough, and a claim of the prototype is none', () => {
    expect(codes({ ...good, aud: ['x', 'kubernetes'] })).toEqual([]);
    expect(codes(good, 'RS256', { username: { kind: 'claim', claim: 'toString' } })).toEqual(['token_username']);
  });

  it('names the claims that an expression reads and the token has not', () => {
    const username = { kind: 'expression', text: 'claims.upn + claims.hd' } as const;
    const [finding] = compareToken(token(good), [{ ...expected, username }]).filter(
      ({ code }) => code === 'token_username',
    );
    expect(finding).toMatchObject({ severity: 'warning', what: expect.stringContaining('has no upn') });
  });

  it('never throws, and what it says holds no control character, whatever a token claims', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (claims, alg) => {
        const jwt = token({ ...claims, iss: `${expected.issuer}\u001b[2J` }, alg);
        for (const list of [
          compareToken(jwt, [expected]),
          compareToken(token({ ...claims, iss: expected.issuer }, alg), [expected]),
        ]) {
          for (const { what } of list) expect(what).not.toMatch(/\p{Cc}/u);
        }
        expect(whyRefused(jwt, { now: 0, ahead: undefined }).possible.join(' ')).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});

describe('why an API server refuses a token, by the token alone', () => {
  const now = 1_999_999_000_000;
  it('the end, by the clock of the server and not by ours', () => {
    expect(whyRefused(token(good), { now, ahead: 0 }).certain).toBeUndefined();
    expect(whyRefused(token(good), { now, ahead: 2_000_000 }).certain).toMatch(/ended/);
  });
  it('the beginning, with five minutes of leeway', () => {
    const at = (nbf: number) => whyRefused(token({ ...good, nbf }), { now, ahead: 0 }).certain;
    expect(at(now / 1000 + 299)).toBeUndefined();
    expect(at(now / 1000 + 301)).toMatch(/not begun/);
  });
  it('a token that is opaque', () => {
    expect(whyRefused(undefined, { now, ahead: 0 }).possible.join()).toMatch(/opaque/);
  });
});

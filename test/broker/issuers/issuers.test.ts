import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createIssuers } from '../../../broker/issuers/issuers.ts';
import type { TrustedIssuer } from '../../../broker/issuers/trusted-issuer.ts';
import { tokenHash } from '../../../shared/jwt.ts';
import {
  audience,
  codeOf,
  issuerDeps,
  makeKey,
  manualClock,
  noon,
  refusal,
  sign,
  startIssuer,
  trusted,
  type SigningKey,
  type TestIssuer,
} from './fixture.ts';

let key: SigningKey;
let issuer: TestIssuer;

beforeAll(async () => {
  key = await makeKey('k');
  issuer = await startIssuer([key]);
});
afterAll(() => issuer.stop());

const verify = async (
  claims: Record<string, unknown>,
  config: Partial<TrustedIssuer> = {},
  header: Record<string, unknown> = {},
) =>
  createIssuers([trusted(issuer, config)], issuerDeps(manualClock(noon))).verify(
    await sign(issuer, claims, { key, header, now: noon }),
  );

const replayKey = async (claims: Record<string, unknown>) => (await verify(claims)).replayKey;
const make = (...configs: TrustedIssuer[]) => createIssuers(configs, issuerDeps());

const seconds = noon / 1000;

describe('a subject', () => {
  it('is what the issuer said, deep-frozen, with the names that the rest of the broker needs', async () => {
    const token = await sign(issuer, { repository_id: '1', nested: { list: ['a'] } }, { key });
    const issuers = createIssuers(
      [trusted(issuer, { name: 'github', singleUse: true, tenantClaim: 'repository_id' })],
      issuerDeps(),
    );
    const subject = await issuers.verify(token);
    expect(subject).toEqual({
      issuer: 'github',
      claims: JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()),
      tokenHash: tokenHash(token),
      replayKey: expect.stringMatching(/^r[0-9a-f]{62}$/),
      expiresAt: noon + 300_000,
      tenant: '1',
      singleUse: true,
    });
    expect(Object.isFrozen(subject.claims['nested'])).toBe(true);
  });

  it('has the tenant that a claim names, cleaned, and none where the claim is absent or no name', async () => {
    const tenantOf = async (value: unknown) => (await verify({ owner: value }, { tenantClaim: 'owner' })).tenant;
    expect(await tenantOf('acme\n\u202Eforged')).toBe('acme forged');
    expect(await tenantOf('x'.repeat(500))).toHaveLength(100);
    expect(await tenantOf(42)).toBe('42');
    for (const odd of [undefined, '', ' \n', null, ['a'], { toString: 'a' }, true]) {
      expect(await tenantOf(odd)).toBeUndefined();
    }
    expect((await verify({}, { tenantClaim: 'toString' })).tenant).toBeUndefined();
    expect((await verify({})).tenant).toBeUndefined();
  });

  it('has one replay key for one issuer and jti, and another for every other', async () => {
    const same = await replayKey({ jti: 'a' });
    expect(await replayKey({ jti: 'a', sub: 'other' })).toBe(same);
    expect(await replayKey({ jti: 'b' })).not.toBe(same);
    const without = await replayKey({ jti: undefined });
    expect(await replayKey({ jti: '' })).not.toBe(without);
    expect(await replayKey({ jti: undefined, sub: 'other' })).not.toBe(without);
    expect(await replayKey({ jti: undefined })).toBe(without);
    expect(without).toMatch(/^r[0-9a-f]{62}$/);
  });
});

describe('times', () => {
  it.each<[string, Record<string, unknown>, Partial<TrustedIssuer>, string]>([
    ['expired a moment ago, within the leeway', { exp: seconds - 29, iat: seconds - 300 }, {}, 'accepted'],
    ['expired for exactly the leeway', { exp: seconds - 30, iat: seconds - 300 }, {}, 'subject_expired'],
    ['expired, no leeway', { exp: seconds, iat: seconds - 300 }, { leeway: 0 }, 'subject_expired'],
    ['expired in the year 1970', { exp: 1, iat: 0 }, {}, 'subject_expired'],
    ['no expiry', { exp: undefined }, {}, 'subject_malformed'],
    ['an expiry in text', { exp: String(seconds + 300) }, {}, 'subject_malformed'],
    ['an expiry in milliseconds', { exp: (seconds + 300) * 1000 }, {}, 'subject_malformed'],
    ['a negative expiry', { exp: -1 }, {}, 'subject_malformed'],
    ['a fraction', { exp: seconds + 0.5, iat: seconds - 0.5 }, {}, 'accepted'],
    ['expiry before issue', { exp: seconds + 5, iat: seconds + 10 }, {}, 'subject_malformed'],
    ['no time of issue', { iat: undefined }, {}, 'subject_malformed'],
    ['issued in the future, within the leeway', { iat: seconds + 30 }, {}, 'accepted'],
    ['issued in the future, beyond it', { iat: seconds + 31 }, {}, 'subject_not_yet_valid'],
    ['issued in the future, no leeway', { iat: seconds + 1 }, { leeway: 0 }, 'subject_not_yet_valid'],
    ['not valid yet, within the leeway', { nbf: seconds + 30 }, {}, 'accepted'],
    ['not valid yet, beyond it', { nbf: seconds + 31 }, {}, 'subject_not_yet_valid'],
    ['no nbf', { nbf: undefined }, {}, 'accepted'],
    ['an nbf that is null', { nbf: null }, {}, 'subject_malformed'],
    ['as old as allowed', { iat: seconds - 90 }, { maxAge: 60_000 }, 'accepted'],
    ['older than allowed', { iat: seconds - 91 }, { maxAge: 60_000 }, 'subject_too_old'],
    ['a month long, as GitLab may make them', { iat: seconds - 1000, exp: seconds + 2_592_000 }, {}, 'accepted'],
  ])('%s', async (_what, claims, config, outcome) => {
    const code = await verify(claims, config).then(
      () => 'accepted',
      (error: { code: string }) => error.code,
    );
    expect(code).toBe(outcome);
  });

  it('are told in seconds', async () => {
    expect((await refusal(verify({ exp: seconds - 90, iat: seconds - 300 }))).message).toBe(
      'The token expired 90 s ago.',
    );
    expect((await refusal(verify({ iat: seconds + 90 }))).message).toContain('from 90 s on');
    expect((await refusal(verify({ iat: seconds - 120 }, { maxAge: 60_000 }))).message).toContain(
      '120 s ago; 60 s are',
    );
  });
});

describe('audience', () => {
  it('is one, as text or as a list of one', async () => {
    expect((await verify({ aud: audience })).issuer).toBe('ci');
    expect((await verify({ aud: [audience] })).issuer).toBe('ci');
  });

  it.each([
    ['another', 'https://other.example.com'],
    ['two', [audience, 'https://other.example.com']],
    ['the same twice', [audience, audience]],
    ['an empty list', []],
    ['none', undefined],
    ['an object', { [audience]: true }],
    ['a list in a list', [[audience]]],
    ['with a slash', `${audience}/`],
    ['in capitals', audience.toUpperCase()],
    ['a number', 1],
  ])('%s is refused', async (_what, aud) => {
    const error = await refusal(verify({ aud }));
    expect(error.code).toBe('subject_audience');
    expect(error.message).toContain(audience);
  });
});

describe('header', () => {
  it.each([{ typ: undefined }, { typ: 'jwt' }, { typ: 'at+jwt' }, { typ: 'application/at+jwt' }])(
    '%j is accepted',
    async (header) => {
      expect((await verify({}, {}, header)).issuer).toBe('ci');
    },
  );

  it.each([
    { typ: 'logout+jwt' },
    { typ: 'dpop+jwt' },
    { typ: 'JOSE' },
    { typ: 1 },
    { typ: null },
    { cty: 'JWT' },
    { cty: 'json' },
    { zip: 'DEF' },
    { kid: '' },
    { kid: 'x'.repeat(257) },
    { kid: ['k'] },
  ])('%j is refused', async (header) => {
    expect(await codeOf(verify({}, {}, header))).toBe('subject_malformed');
  });

  it('algorithms are those of the configuration', async () => {
    expect((await verify({}, { algorithms: ['RS256', 'ES256'] })).issuer).toBe('ci');
    expect(await codeOf(verify({}, { algorithms: ['RS256'] }))).toBe('subject_algorithm');
  });
});

describe('createIssuers', () => {
  it.each<[string, Partial<TrustedIssuer>]>([
    ['HS256', { algorithms: ['ES256', 'HS256'] }],
    ['none', { algorithms: ['none'] }],
    ['no algorithm', { algorithms: [] }],
    ['a leeway above a minute', { leeway: 60_001 }],
    ['a leeway that is no number', { leeway: Number.NaN }],
    ['a negative leeway', { leeway: -1 }],
  ])('does not begin with %s', (_what, config) => {
    expect(() => make(trusted(issuer, config))).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });

  it('does not begin with two issuers of one url', () => {
    expect(() => make(trusted(issuer), trusted(issuer, { name: 'again' }))).toThrow(/another has the same url/);
  });

  it('with none knows none', async () => {
    expect(await codeOf(make().verify(await sign(issuer, {}, { key })))).toBe('subject_issuer_unknown');
    expect(make().health()).toEqual({});
  });
});

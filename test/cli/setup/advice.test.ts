import { describe, expect, it } from 'vitest';
import {
  adviseGroups,
  adviseUsername,
  judgeGroups,
  judgePrefix,
  judgeUsername,
  type KnownClaims,
} from '../../../cli/setup/advice.ts';
import { describeClaims } from '../../../cli/setup/claims-table.ts';
import type { ProviderName } from '../../../cli/setup/flags.ts';
import type { Claims } from '../../../shared/jwt.ts';

const known = (claims: Claims | undefined, more: Partial<KnownClaims> = {}): KnownClaims => ({
  provider: 'other',
  claims,
  listed: undefined,
  subjectTypes: undefined,
  ...more,
});
const at = (provider: ProviderName, claims?: Claims) => known(claims, { provider });
const codes = (advice: readonly { readonly code: string }[]) => advice.map(({ code }) => code);

describe('the claim that names a person', () => {
  it('is one that never passes to another, where there is one', () => {
    expect(adviseUsername(known({ sub: 'x', email: 'a@b', email_verified: true }))).toBe('sub');
    expect(adviseUsername(at('entra', { sub: 'x', oid: 'y' }))).toBe('oid');
    expect(adviseUsername(at('entra', { sub: 'x' }))).toBe('sub');
    expect(adviseUsername(at('google', { sub: '1', email: 'a@b', email_verified: true }))).toBe('email');
    expect(adviseUsername(at('google', { sub: '1', email: 'a@b', email_verified: false }))).toBe('sub');
    expect(adviseUsername(at('entra'))).toBe('oid');
  });

  it.each<[string, KnownClaims, string[]]>([
    ['sub', known({ sub: 'x' }), ['claim_stable']],
    ['oid', at('entra', { oid: 'x' }), ['claim_stable']],
    ['sub', at('entra', { sub: 'x' }), ['sub_by_client']],
    ['sub', known({ sub: 'x' }, { subjectTypes: ['pairwise'] }), ['sub_by_client']],
    ['email', known({ email: 'a@b', email_verified: true }), ['email_moves']],
    ['email', known({ email: 'a@b' }), ['email_unverified']],
    ['preferred_username', known({ preferred_username: 'a' }), ['claim_changes']],
    ['upn', at('entra', { upn: 'a' }), ['claim_changes']],
    ['employee', known(undefined, { listed: ['sub'] }), ['claim_unlisted']],
    ['employee', known({ employee: '7' }), []],
  ])('%s is judged by what is known of it', (name, what, found) => {
    expect(codes(judgeUsername([name], what))).toEqual(found);
  });

  it('within another needs an expression', () => {
    expect(codes(judgeUsername(['a', 'b'], known({ a: { b: 'x' } })))).toEqual(['claim_nested']);
  });

  it.each<[string, Claims]>([
    ['email', { sub: 'x' }],
    ['email', { email: 'a@b', email_verified: false }],
    ['email', { email: 'a@b', email_verified: 'true' }],
    ['sub', { sub: '' }],
    ['sub', { sub: 7 }],
    ['sub', { sub: ['x'] }],
    ['constructor', { sub: 'x' }],
  ])('%s is refused where the API server would refuse this very token', (name, claims) => {
    expect(() => judgeUsername([name], known(claims))).toThrow(expect.objectContaining({ code: 'token_unusable' }));
  });
});

describe('the claim of groups', () => {
  it('is found by its name and its form', () => {
    expect(adviseGroups(known({ groups: ['a'] }))).toBe('groups');
    expect(adviseGroups(known({ 'cognito:groups': ['a'] }))).toBe('cognito:groups');
    expect(adviseGroups(known({ 'https://acme.example/groups': [] }))).toBe('https://acme.example/groups');
    expect(adviseGroups(at('gitlab', { groups_direct: ['a'] }))).toBe('groups_direct');
    // Keycloak's, which are no groups unless somebody says so.
    expect(adviseGroups(at('keycloak', { realm_access: { roles: ['a'] } }))).toBeUndefined();
    expect(adviseGroups(known({ groups: { a: 1 } }))).toBeUndefined();
    expect(adviseGroups(at('google'))).toBeUndefined();
    expect(adviseGroups(known(undefined, { listed: ['sub'] }))).toBeUndefined();
    expect(adviseGroups(at('auth0'))).toBe('https://kleis/groups');
  });

  it.each<[KnownClaims, string[]]>([
    [known({ groups: ['a'] }), []],
    [known({}), ['groups_missing']],
    [known({ groups: null }), ['groups_missing']],
    [known({ groups: [] }), ['groups_empty']],
    [known({ groups: 'a' }), ['groups_text']],
    [known({ groups: Array.from({ length: 101 }, String) }), ['groups_many']],
    [known(undefined, { listed: ['sub'] }), ['claim_unlisted']],
  ])('of %o is judged by what came', (what, found) => {
    expect(codes(judgeGroups(['groups'], what))).toEqual(found);
  });

  it('as one text says whether it looks like several', () => {
    expect(judgeGroups(['groups'], known({ groups: 'a,b' }))[0]?.next).toMatch(/list/);
    expect(judgeGroups(['groups'], known({ groups: 'a' }))[0]?.next).toBeUndefined();
  });

  it.each<Claims>([{ groups: { a: 1 } }, { groups: [1] }, { groups: 7 }, { groups: [['a']] }])(
    '%o is refused',
    (claims) => {
      expect(() => judgeGroups(['groups'], known(claims))).toThrow(expect.objectContaining({ code: 'token_unusable' }));
    },
  );

  it('that is not there names the step at this provider, and what Entra leaves out', () => {
    expect(judgeGroups(undefined, at('keycloak', {}))[0]?.next).toMatch(/Group Membership/);
    expect(codes(judgeGroups(undefined, at('entra', { _claim_names: { groups: 'src1' } })))).toEqual([
      'groups_left_out',
    ]);
    expect(judgeGroups(undefined, at('google', {}))[0]?.next).toMatch(/by name/);
  });
});

it('a prefix that lets names of Kubernetes in is warned of', () => {
  expect(codes(judgePrefix('', 'username'))).toEqual(['prefix_open']);
  expect(codes(judgePrefix('sys', 'groups'))).toEqual(['prefix_open']);
  expect(judgePrefix('oidc:', 'username')).toEqual([]);
});

it('claims are shown without what is about the token, bounded, and fit for a terminal', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`c${index}`, 'x'.repeat(100_000)]));
  const rows = describeClaims({
    ...many,
    exp: 1,
    nonce: 'n',
    'a\u001b[2J': '\u001b[31m',
    sub: 's',
    deep: [{ a: 'b' }],
  });
  expect(rows[0]).toEqual(['sub', 's']);
  expect(rows).toHaveLength(41);
  expect(JSON.stringify(rows).length).toBeLessThan(41 * 500);
  expect(JSON.stringify(rows)).not.toContain('\\u001b');
  expect(rows.map(([name]) => name)).not.toContain('exp');
});

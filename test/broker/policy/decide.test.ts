import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAdmin } from '../../../broker/policy/admins.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { decide } from '../../../broker/policy/decide.ts';
import { ask, loadDocument, loadGrant } from './fixture.ts';

const grant = {
  issuer: 'github',
  where: { repository_id: '1', ref: 'refs/heads/main', 'kubernetes.io': { namespace: 'x' } },
  ttl: { default: '20m', max: '1h' },
};
const claims = { repository_id: '1', ref: 'refs/heads/main', 'kubernetes.io': { namespace: 'x' }, extra: 1 };

describe('isAdmin', () => {
  const rules = [{ issuer: 'sso', claim: 'groups', value: 'platform' }];
  it.each([
    ['sso', { groups: 'platform' }, true],
    ['sso', { groups: ['dev', 'platform'] }, true],
    ['sso', { groups: 'dev platform' }, false],
    ['sso', { groups: [['platform']] }, false],
    ['sso', {}, false],
    ['github', { groups: 'platform' }, false],
  ])('%s with %j: %s', (issuer, token, expected) => {
    expect(isAdmin({ issuer, claims: token }, rules)).toBe(expected);
  });

  it('is nobody when no rule says so', () => {
    expect(isAdmin({ issuer: 'sso', claims: { groups: 'platform' } }, [])).toBe(false);
  });
});

describe('decide', () => {
  it('allows with what matched, and nothing else of the token', () => {
    const decision = ask(loadGrant(grant), claims, { issuer: 'github' });
    expect(decision).toMatchObject({
      allowed: true,
      ttl: 1200,
      grant: { name: 'g', cluster: 'prod' },
      matched: { repository_id: '1', ref: 'refs/heads/main', '["kubernetes.io"].namespace': 'x' },
    });
  });

  it('says of every condition what was expected, what was seen, and whether it holds', () => {
    const decision = ask(loadGrant(grant), { repository_id: '1', ref: 'refs/heads/x\n' }, { issuer: 'github' });
    expect(decision).toMatchObject({ allowed: false, reason: 'claims', idClaimsMatched: true });
    expect(decision.conditions).toEqual([
      { claim: 'repository_id', expected: '"1"', seen: '"1"', ok: true },
      { claim: 'ref', expected: '"refs/heads/main"', seen: '"refs/heads/x"', ok: false },
      { claim: '["kubernetes.io"].namespace', expected: '"x"', seen: 'absent', ok: false },
    ]);
  });

  it.each([
    ['no_such_grant', { grant: 'h' }],
    ['no_such_grant', { grant: '__proto__' }],
    ['no_such_grant', { grant: '' }],
    ['wrong_issuer', { issuer: 'gitlab' }],
    ['wrong_cluster', { cluster: 'edge' }],
    ['invalid_expires_in', { expiresIn: 0 }],
    ['invalid_expires_in', { expiresIn: -1 }],
    ['invalid_expires_in', { expiresIn: Number.NaN }],
    ['invalid_expires_in', { expiresIn: 700.5 }],
  ])('%s for %j', (reason, request) => {
    expect(ask(loadGrant(grant), claims, { issuer: 'github', ...request })).toMatchObject({ allowed: false, reason });
  });

  it.each([
    [undefined, 1200],
    [60, 600],
    [600, 600],
    [900, 900],
    [3600, 3600],
    [86_400, 3600],
  ])('asked for %s seconds gives %s', (expiresIn, ttl) => {
    expect(ask(loadGrant(grant), claims, { issuer: 'github', expiresIn, cluster: 'prod' })).toMatchObject({ ttl });
  });

  it('evaluates a condition only when the claims fit', () => {
    const loaded = loadGrant({ where: { a: 'x' }, condition: 'claims.b == "y"' });
    expect(ask(loaded, { a: 'z' }).conditions).toHaveLength(1);
    expect(ask(loaded, { a: 'x' })).toMatchObject({
      reason: 'condition',
      conditions: [{ ok: true }, { claim: 'condition', seen: 'No such key: b', ok: false }],
    });
    expect(ask(loaded, { a: 'x', b: 'y' }).allowed).toBe(true);
  });

  it.each([
    [{ repository_id: '1', ref: 'x' }, { repository_id: '1' }, true],
    [{ repository_id: '1', ref: 'x' }, { repository_id: '2', ref: 'x' }, false],
    [{ ref: 'x' }, { ref: 'y' }, false],
    [{ repository_id: { anyOf: ['1', '2'] }, ref: 'x' }, { repository_id: '2' }, true],
    [{ repository_id: { glob: '*' }, ref: 'x' }, { repository_id: '1' }, false],
    [{ repository_id: { not: '2' }, ref: 'x' }, { repository_id: '1' }, false],
    [{ repository_id: { exists: true }, ref: 'x' }, { repository_id: '1' }, false],
    [
      { repository_id: '1', repository_owner_id: '7', ref: 'x' },
      { repository_id: '1', repository_owner_id: '8' },
      false,
    ],
  ])('of %j a token with %j learns more: %s', (where, token, known) => {
    expect(ask(loadGrant({ ...grant, where }), token, { issuer: 'github' })).toMatchObject({ idClaimsMatched: known });
  });

  it('does not mind in which order grants and conditions stand', () => {
    const value = fc.constantFrom('a', 'b', 'c');
    const where = fc.dictionary(fc.constantFrom('k', 'l', 'm'), value, { minKeys: 1 });
    const base = loadGrant({ where: { a: 'x' } }).config;
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('p', 'q', 'r', 's'), where, { minKeys: 1 }),
        fc.dictionary(fc.constantFrom('k', 'l', 'm'), value),
        (wheres, token) => {
          const build = (entries: [string, Record<string, string>][]): ReturnType<typeof compilePolicy> =>
            compilePolicy({
              ...base,
              grants: Object.fromEntries(
                entries.map(([name, demands]) => [name, { ...base.grants['g']!, name, where: demands }]),
              ),
            });
          const forward = build(Object.entries(wheres));
          const backward = build(
            Object.entries(wheres)
              .toReversed()
              .map(([name, demands]) => [name, Object.fromEntries(Object.entries(demands).toReversed())]),
          );
          for (const name of ['p', 'q', 'r', 's']) {
            const [forth, back] = [forward, backward].map(
              (policy) => decide(policy, { issuer: 'sso', claims: token }, { grant: name }, 0).allowed,
            );
            expect(back).toBe(forth);
          }
        },
      ),
    );
  });

  it('keeps to what was compiled when the configuration object is changed afterwards', () => {
    const { config } = loadGrant({ where: { a: 'x' } });
    const grants = structuredClone(config.grants) as Record<string, { where: Record<string, string> }>;
    const policy = compilePolicy({ ...config, grants: grants as never });
    grants['g']!.where = { a: 'y' };
    const decideOn = (a: string) => decide(policy, { issuer: 'sso', claims: { a } }, { grant: 'g' }, 0).allowed;
    expect([decideOn('y'), decideOn('x')]).toEqual([false, true]);
  });

  it('finds grants whose names JavaScript objects answer to only when they are configured', () => {
    const loaded = loadDocument({ grants: {} });
    for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
      expect(ask(loaded, {}, { grant: name })).toMatchObject({ reason: 'no_such_grant' });
    }
  });
});

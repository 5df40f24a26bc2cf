import { describe, expect, it } from 'vitest';
import {
  type ApiServerWants,
  authenticationConfiguration,
  authenticator,
  oidcFlags,
} from '../../../cli/setup/authentication-config.ts';
import { readExpected } from '../../../cli/doctor/expected.ts';

const wants: ApiServerWants = {
  issuer: 'https://login.example.com',
  audience: 'kleis',
  certificateAuthority: undefined,
  username: { path: ['sub'], prefix: 'oidc:' },
  groups: { path: ['groups'], prefix: 'oidc:' },
  groupsAreText: false,
  algorithms: ['RS256'],
};
const flagsOf = (change: Partial<ApiServerWants>) => oidcFlags({ ...wants, ...change }, '/pki/ca.crt');

describe('the flags', () => {
  it('say what the configuration says', async () => {
    const made = flagsOf({});
    expect(made).toEqual({
      flags: [
        '--oidc-issuer-url=https://login.example.com',
        '--oidc-client-id=kleis',
        '--oidc-username-claim=sub',
        '--oidc-username-prefix=oidc:',
        '--oidc-groups-claim=groups',
        '--oidc-groups-prefix=oidc:',
      ],
    });
    const [entry] = authenticationConfiguration(wants, 'v1')['jwt'] as [Record<string, unknown>];
    expect(entry).toEqual({
      issuer: { url: 'https://login.example.com', audiences: ['kleis'] },
      claimMappings: { username: { claim: 'sub', prefix: 'oidc:' }, groups: { claim: 'groups', prefix: 'oidc:' } },
    });
    // What doctor compares tokens with.
    const expected = await readExpected(undefined, {
      oidcIssuerUrl: wants.issuer,
      oidcClientId: 'kleis',
      oidcGroupsClaim: 'groups',
    });
    expect(expected).toMatchObject([{ issuer: entry['issuer'] && wants.issuer, username: { claim: 'sub' } }]);
  });

  it('no prefix is a dash, which is no prefix; other algorithms and the authority are named', () => {
    const change = {
      username: { path: ['email'], prefix: '' },
      groups: undefined,
      algorithms: ['ES256', 'RS256'],
      certificateAuthority: 'PEM',
    } as const;
    expect(flagsOf(change)).toEqual({
      flags: [
        '--oidc-issuer-url=https://login.example.com',
        '--oidc-client-id=kleis',
        '--oidc-ca-file=/pki/ca.crt',
        '--oidc-username-claim=email',
        '--oidc-username-prefix=-',
        '--oidc-signing-algs=ES256,RS256',
      ],
    });
    expect(authenticator({ ...wants, ...change })).toMatchObject({
      claimMappings: { username: { claim: 'email', prefix: '' } },
    });
  });

  it('there are none for a claim within another', () => {
    expect(flagsOf({ groups: { path: ['realm_access', 'roles'], prefix: '' } })).toHaveProperty('why');
  });
});

describe('the configuration', () => {
  const groups = (change: Partial<ApiServerWants>) =>
    (authenticator({ ...wants, ...change })['claimMappings'] as Record<string, unknown>)['groups'];

  it('a claim within another becomes an expression, which needs no such claim', () => {
    expect(groups({ groups: { path: ['realm_access', 'roles'], prefix: "o'\\:" } })).toEqual({
      expression: String.raw`dyn(claims.?realm_access.?roles.orValue([])).map(each, 'o\'\\:' + each)`,
    });
    expect(groups({ groups: { path: ['a-b', 'in'], prefix: '' } })).toEqual({
      expression: "claims[?'a-b'][?'in'].orValue([])",
    });
    expect(groups({ groups: { path: ['a', 'b'], prefix: 'x:' }, groupsAreText: true })).toEqual({
      expression: "claims.?a.?b.hasValue() ? 'x:' + claims.a.b : ''",
    });
  });

  it('refuses names of Kubernetes wherever the prefix does not', () => {
    const rules = (username: string, group: string) =>
      authenticator({
        ...wants,
        username: { path: ['sub'], prefix: username },
        groups: { path: ['groups'], prefix: group },
      })['userValidationRules'];
    expect(rules('oidc:', 'oidc:')).toBeUndefined();
    for (const [one, other] of [
      ['', 'oidc:'],
      ['oidc:', ''],
      ['sys', 'oidc:'],
    ] as const)
      expect(rules(one, other)).toHaveLength(2);
  });

  it('where expressions are all that is taken, an address that is not verified stays nobody’s', () => {
    const made = authenticator(
      { ...wants, username: { path: ['email'], prefix: 'aks:jwt:' } },
      { byExpressions: true },
    );
    expect(made).toMatchObject({
      claimValidationRules: [{ expression: 'claims.?email_verified.orValue(true) == true' }],
      claimMappings: { username: { expression: "'aks:jwt:' + claims.email" } },
    });
  });
});

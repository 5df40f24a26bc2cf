import { describe, expect, test } from 'vitest';
import { findPowers, isKnown } from '../../../shared/rbac/powers.ts';
import type { Rule } from '../../../shared/rbac/kinds.ts';
import { startCluster } from '../../support/cluster.ts';
import { needs } from '../../support/needs.ts';

describe('powers of a rule', () => {
  const rule = (resources: string[], verbs: string[], more: Partial<Rule> = {}): Rule => ({
    apiGroups: [''],
    resources,
    verbs,
    ...more,
  });
  const ids = (rules: Rule[], scope: 'namespace' | 'cluster' = 'namespace') =>
    findPowers(rules, scope).map(({ id, severity }) => `${severity} ${id}`);

  test.each([
    ['token creation', rule(['serviceaccounts/token'], ['create']), ['error mint']],
    [
      'token creation of one account',
      rule(['serviceaccounts/token'], ['create'], { resourceNames: ['a'] }),
      ['error mint'],
    ],
    ['a subresource of whatever', rule(['*/token'], ['create']), ['error mint']],
    ['serviceaccounts without the subresource', rule(['serviceaccounts'], ['create']), []],
    ['Secrets', rule(['secrets'], ['get']), ['error secrets']],
    ['a delete of Secrets, which answers with them', rule(['secrets'], ['delete']), ['error secrets']],
    ['one Secret by name', rule(['secrets'], ['get'], { resourceNames: ['a'] }), ['warning secrets']],
    ['another group with a resource of that name', rule(['secrets'], ['get'], { apiGroups: ['example.com'] }), []],
    [
      'bind',
      rule(['roles'], ['bind'], { apiGroups: ['rbac.authorization.k8s.io'], resourceNames: ['a'] }),
      ['error escalate'],
    ],
    ['pods', rule(['pods'], ['create']), ['warning pods']],
    ['the image of a pod', rule(['pods'], ['patch'], { resourceNames: ['web'] }), ['warning pods']],
    ['namespaces, of a namespace', rule(['namespaces'], ['patch']), ['warning namespaces']],
    [
      'impersonation of an account by its constrained verb',
      rule(['serviceaccounts'], ['impersonate:serviceaccount'], { apiGroups: ['authentication.k8s.io'] }),
      ['error impersonate'],
    ],
    [
      'impersonation by a verb that is yet to be made',
      rule(['serviceaccounts'], ['impersonate:anything'], { apiGroups: ['authentication.k8s.io'] }),
      ['error impersonate'],
    ],
    [
      'what it may do as another',
      rule(['secrets'], ['impersonate-on:serviceaccount:list']),
      ['warning impersonate-on'],
    ],
    ['users, by a RoleBinding', rule(['users'], ['impersonate']), []],
    [
      'deployments',
      rule(['deployments'], ['patch'], { apiGroups: ['apps'], resourceNames: ['web'] }),
      ['warning workloads'],
    ],
    ['reading pods', rule(['pods', 'pods/log'], ['get', 'list', 'watch']), []],
    ['configmaps', rule(['configmaps'], ['*']), []],
  ])('%s', (_, given, expected) => expect(ids([given])).toEqual(expected));

  test('a wildcard is everything, and what is not of a namespace only counts in the whole cluster', () => {
    const all = rule(['*'], ['*'], { apiGroups: ['*'] });
    expect(ids([all])).toEqual(
      expect.arrayContaining(['error mint', 'error secrets', 'error impersonate', 'warning exec']),
    );
    expect(ids([all])).not.toContain('error nodes-proxy');
    expect(ids([all], 'cluster')).toEqual(
      expect.arrayContaining(['error nodes-proxy', 'error csr', 'error admission']),
    );
  });

  test.each([
    ['users', rule(['users'], ['impersonate'], { resourceNames: ['a'] }), ['error impersonate']],
    ...['user-info', 'arbitrary-node', 'associated-node'].map(
      (mode) =>
        [
          `impersonate:${mode}`,
          rule([mode === 'user-info' ? 'groups' : 'nodes'], [`impersonate:${mode}`], {
            apiGroups: ['authentication.k8s.io'],
          }),
          ['error impersonate'],
        ] as const,
    ),
    [
      'an extra of a user',
      rule(['userextras/authentication.kubernetes.io/credential-id'], ['impersonate'], {
        apiGroups: ['authentication.k8s.io'],
      }),
      ['error impersonate'],
    ],
    ['every extra', rule(['userextras'], ['impersonate'], { apiGroups: ['*'] }), ['error impersonate']],
    ['nodes', rule(['nodes'], ['patch']), ['error nodes']],
    ['the status of nodes', rule(['nodes/status'], ['update']), ['error nodes']],
    ['nodes/proxy', rule(['nodes/proxy'], ['get']), ['error nodes-proxy']],
    ['proxies of whatever', rule(['*/proxy'], ['get']), ['error nodes-proxy', 'warning exec']],
    ['deletion of namespaces', rule(['namespaces'], ['delete']), ['error namespaces']],
    ['labels of one namespace', rule(['namespaces'], ['patch'], { resourceNames: ['a'] }), ['error namespaces']],
    [
      'API servers',
      rule(['apiservices'], ['update'], { apiGroups: ['apiregistration.k8s.io'] }),
      ['error apiservices'],
    ],
    [
      'conversion webhooks',
      rule(['customresourcedefinitions'], ['patch'], { apiGroups: ['apiextensions.k8s.io'] }),
      ['error conversion'],
    ],
    ['trust bundles', rule(['signers'], ['attest'], { apiGroups: ['certificates.k8s.io'] }), ['error csr']],
    ['reading nodes', rule(['nodes', 'nodes/status'], ['get', 'list']), []],
  ] as [string, Rule, string[]][])('in the whole cluster: %s', (_, given, expected) =>
    expect(ids([given], 'cluster')).toEqual(expected),
  );

  test('a rule without a name outweighs one with', () => {
    const rules = [rule(['secrets'], ['get'], { resourceNames: ['a'] }), rule(['secrets'], ['list'])];
    expect(ids(rules)).toEqual(['error secrets']);
  });
});

interface Discovery {
  readonly groups?: readonly { readonly versions: readonly { readonly groupVersion: string }[] }[];
  readonly resources?: readonly { readonly name: string; readonly verbs: readonly string[] }[];
}

describe.each([
  ['1.36', 'kube-controllers'],
  ['1.30', 'kube-1.30'],
] as const)('on %s', (kind, tool) => {
  test.skipIf(!needs(tool))(
    'the table has a word on every verb of every resource that the server knows',
    async () => {
      const cluster = await startCluster({ kind });
      try {
        const ask = async (path: string) => (await cluster.request('GET', path)) as Discovery;
        const groups = (await ask('/apis')).groups ?? [];
        const versions = ['v1', ...groups.flatMap((each) => each.versions.map(({ groupVersion }) => groupVersion))];
        const silent: string[] = [];
        let asked = 0;
        for (const version of versions) {
          const group = version === 'v1' ? '' : version.split('/')[0]!;
          const { resources = [] } = await ask(version === 'v1' ? '/api/v1' : `/apis/${version}`);
          for (const { name, verbs } of resources) {
            asked += verbs.length;
            for (const verb of verbs) if (!isKnown(group, name, verb)) silent.push(`${verb} ${group}/${name}`);
          }
        }
        expect(asked).toBeGreaterThan(400);
        expect(silent).toEqual([]);
      } finally {
        await cluster.stop();
      }
    },
    120_000,
  );
});

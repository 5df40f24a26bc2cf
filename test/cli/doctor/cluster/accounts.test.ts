import { parse } from 'yaml';
import { describe, expect, it, test } from 'vitest';
import { checkAccounts } from '../../../../cli/doctor/cluster/accounts.ts';
import { indexBindings } from '../../../../cli/doctor/cluster/grants.ts';
import { readRbac } from '../../../../shared/rbac/bindings.ts';
import type { KubeObject, Rule, Subject } from '../../../../shared/rbac/kinds.ts';

const words = {
  host: 'api',
  kubectl: 'kubectl --context prod',
  cluster: 'prod',
  namespace: 'web',
  platform: 'linux',
} as const;
const deployer: Subject = { kind: 'ServiceAccount', name: 'deployer', namespace: 'ci' };
const object = (name: string, rest: object, namespace?: string, labels = {}): KubeObject => ({
  apiVersion: '',
  kind: '',
  metadata: { name, labels, ...(namespace !== undefined && { namespace }) },
  ...rest,
});
const all: Rule = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };
const core = (resources: string[], verbs: string[], more: Partial<Rule> = {}): Rule => ({
  apiGroups: [''],
  resources,
  verbs,
  ...more,
});

/** One Role, bound to one subject in a namespace or everywhere, beside others. */
function look(
  rules: readonly Rule[],
  {
    subject = deployer,
    namespace,
    labels = {},
    others = [] as KubeObject[],
  }: { subject?: Subject; namespace?: string; labels?: object; others?: KubeObject[] } = {},
) {
  const binding = object(
    'given',
    { roleRef: { kind: 'ClusterRole', name: 'role' }, subjects: [subject] },
    namespace,
    labels,
  );
  const state = readRbac({
    roles: [],
    clusterRoles: [object('role', { rules }), object('cluster-admin', { rules: [all] })],
    roleBindings: namespace === undefined ? [] : [binding],
    clusterRoleBindings: [...(namespace === undefined ? [binding] : []), ...others],
  });
  return checkAccounts(state, indexBindings(state), words);
}

describe('who reaches more than it seems', () => {
  test.each([
    ['everything', [all], {}, 'warning account_cluster_admin'],
    ['everything, for people', [all], { subject: { kind: 'User', name: 'alice' } }, 'warning person_cluster_admin'],
    [
      'everything, for everybody',
      [all],
      { subject: { kind: 'Group', name: 'system:authenticated' } },
      'error everybody_reaches',
    ],
    ['everything of one name', [{ ...all, resourceNames: ['a'] }], {}, 'warning account_reaches_admin'],
    ['tokens', [core(['serviceaccounts/token'], ['create'])], {}, 'warning account_reaches_admin'],
    ['impersonation', [core(['users'], ['impersonate'])], {}, 'warning account_reaches_admin'],
    ['reading Secrets', [core(['secrets'], ['list'])], {}, 'warning account_reaches_admin'],
    ['making Secrets', [core(['secrets'], ['create'])], {}, 'warning account_reaches_admin'],
    [
      'escalation',
      [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'], verbs: ['bind'] }],
      {},
      'warning account_reaches_admin',
    ],
    [
      'tokens in its namespace',
      [core(['serviceaccounts/token'], ['create'])],
      { namespace: 'ci' },
      'warning account_mints_for_others',
    ],
    ['everything in its namespace', [all], { namespace: 'ci' }, 'warning account_mints_for_others'],
    [
      'tokens in kube-system',
      [core(['serviceaccounts/token'], ['create'])],
      { namespace: 'kube-system' },
      'warning account_reaches_admin',
    ],
    ['pods', [core(['pods'], ['create'])], { namespace: 'ci' }, 'ok accounts'],
    ['reading pods', [core(['pods', 'nodes'], ['get', 'list', 'watch'])], {}, 'ok accounts'],
  ] as const)('%s', (_, rules, options, expected) => {
    expect(look(rules as never, options as never).map(({ severity, code }) => `${severity} ${code}`)).toEqual([
      expected,
    ]);
  });

  it('an account reaches it by another of its namespace', () => {
    const root = { kind: 'ServiceAccount', name: 'root', namespace: 'ci' };
    const others = [object('root', { roleRef: { kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [root] })];
    const [first, second] = look([core(['pods/exec'], ['create'])], { namespace: 'ci', others });
    expect(first).toMatchObject({ code: 'account_cluster_admin', what: expect.stringContaining('ci/root') });
    expect(second).toMatchObject({
      code: 'account_reaches_admin',
      what: expect.stringMatching(
        /ci\/deployer reaches cluster-admin: may, in ci, where an account reaches it: enter pods/,
      ),
    });
  });

  it('what every cluster comes with is not told, and a broker of Kleis is not praised for its label', () => {
    const system = { kind: 'ServiceAccount', name: 'controller', namespace: 'kube-system' };
    const own = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
    expect(look([all], { subject: system, labels: own })).toMatchObject([{ severity: 'ok' }]);
    expect(look([all], { labels: own })).toMatchObject([{ code: 'account_cluster_admin' }]);
    const mint = [core(['serviceaccounts/token'], ['create'])];
    const byHelm = { 'app.kubernetes.io/managed-by': 'Helm' };
    for (const broker of [
      { 'app.kubernetes.io/managed-by': 'kleis-broker' },
      { ...byHelm, 'app.kubernetes.io/part-of': 'kleis' },
    ]) {
      expect(look(mint, { namespace: 'ci', labels: broker })).toMatchObject([
        { severity: 'unknown', next: expect.stringContaining('kleis-broker check') },
      ]);
      expect(look(mint, { labels: broker })).toMatchObject([{ severity: 'warning' }]);
    }
    expect(look(mint, { namespace: 'ci', labels: byHelm })).not.toMatchObject([{ severity: 'unknown' }]);
  });

  it('names that YAML or a shell would take for something else stay names', () => {
    const odd = { kind: 'Group', name: "a: {b}\n- 'c'; rm -rf ~ #" };
    const [found] = look([all], { subject: odd });
    expect(Object.values(parse(found?.grant ?? '') as object)).toMatchObject([
      { where: { groups: { contains: odd.name } } },
    ]);
    const others = [
      object("x'; rm -rf ~", { roleRef: { kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [deployer] }),
    ];
    const named = look([], { others }).find(({ code }) => code === 'account_cluster_admin');
    expect(named?.next).toContain(`delete clusterrolebinding 'x'\\''; rm -rf ~'`);
  });
});

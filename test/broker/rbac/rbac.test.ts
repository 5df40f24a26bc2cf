import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { KubeObject, Rule } from '../../../shared/rbac/kinds.ts';
import { describeObject } from '../../../broker/rbac/manifests.ts';
import { compare } from '../../../broker/rbac/needs.ts';
import { everyGrant, load, needsOf, objectsOf, yamlOf } from './fixture.ts';

const named = (objects: readonly KubeObject[]) => objects.map(describeObject);
const rulesIn = (objects: readonly KubeObject[], namespace: string) =>
  (objects.find(({ kind, metadata }) => kind === 'Role' && metadata.namespace === namespace)?.['rules'] ??
    []) as readonly Rule[];
const specOf = (objects: readonly KubeObject[], name: string) =>
  JSON.stringify(objects.find(({ kind, metadata }) => kind.endsWith('Policy') && metadata.name === name)?.['spec']);
const only = (...names: (keyof typeof everyGrant)[]) =>
  Object.fromEntries(names.map((name) => [name, everyGrant[name]]));

describe('what a configuration needs', () => {
  test('with every kind of grant, these objects and no others', () => {
    expect(named(objectsOf(needsOf(load())))).toEqual([
      'Namespace kleis-system',
      'Namespace kleis-state',
      'Namespace kleis-identities',
      'Namespace kleis-ephemeral',
      'ServiceAccount kleis-system/kleis-broker',
      'ServiceAccount kleis-identities/deploy-web',
      'ServiceAccount kleis-identities/plain',
      'ServiceAccount kleis-identities/reader',
      'Secret web/kleis-kill-deployer',
      'RoleBinding web/kleis:kleis-identities:deploy-web:deployer',
      'RoleBinding web/kleis:kleis-identities:plain:viewer',
      'ClusterRoleBinding kleis:ClusterRole:kleis-identities:reader:node-reader',
      'RoleBinding default/kleis:ClusterRole:kleis-identities:reader:observer',
      'RoleBinding web/kleis:ClusterRole:kleis-identities:reader:observer',
      'Role kleis-state/kleis-broker',
      'RoleBinding kleis-state/kleis-broker',
      'Role kleis-identities/kleis-broker',
      'RoleBinding kleis-identities/kleis-broker',
      'Role kleis-ephemeral/kleis-broker',
      'RoleBinding kleis-ephemeral/kleis-broker',
      'Role web/kleis-broker',
      'RoleBinding web/kleis-broker',
      'ValidatingAdmissionPolicy kleis-broker',
      'ValidatingAdmissionPolicyBinding kleis-broker',
      'ValidatingAdmissionPolicy kleis-namespaces',
      'ValidatingAdmissionPolicyBinding kleis-namespaces',
    ]);
  });

  test('the broker mints by name, and has no cluster-wide right', () => {
    const objects = objectsOf(needsOf(load()));
    expect(named(objects.filter(({ kind }) => kind.startsWith('Cluster')))).toEqual([
      'ClusterRoleBinding kleis:ClusterRole:kleis-identities:reader:node-reader',
    ]);
    expect(named(objectsOf(needsOf(load(only('lease')))).filter(({ kind }) => kind.startsWith('Cluster')))).toEqual([]);
    for (const namespace of ['kleis-identities', 'web']) {
      const tokens = rulesIn(objects, namespace).filter(({ resources }) =>
        resources?.includes('serviceaccounts/token'),
      );
      expect(tokens.flatMap(({ resourceNames }) => resourceNames ?? ['everything'])).not.toContain('everything');
    }
    expect(rulesIn(objects, 'web')).toEqual([
      { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'], resourceNames: ['builder', 'deployer'] },
      {
        apiGroups: [''],
        resources: ['serviceaccounts/token'],
        verbs: ['create'],
        resourceNames: ['builder', 'deployer'],
      },
      { apiGroups: [''], resources: ['secrets'], verbs: ['delete'], resourceNames: ['kleis-kill-deployer'] },
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['rolebindings'], verbs: ['create', 'delete'] },
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], verbs: ['bind'], resourceNames: ['deployer'] },
      {
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['clusterroles'],
        verbs: ['bind'],
        resourceNames: ['observer'],
      },
    ]);
    const roles = objects.filter(({ kind }) => kind === 'Role').flatMap((role) => role['rules'] as Rule[]);
    expect(
      roles.flatMap(({ verbs, resources = [], apiGroups = [] }) => [...verbs, ...resources, ...apiGroups]),
    ).not.toContain('*');
  });

  test('without ephemeral grants the broker may write no RoleBinding, in RBAC or past the policy', () => {
    const objects = objectsOf(needsOf(load(only('deploy-web', 'elsewhere'))));
    expect(JSON.stringify(objects)).not.toContain('rolebindings","');
    expect(named(objects)).not.toContain('Namespace kleis-ephemeral');
    expect(specOf(objects, 'kleis-broker')).not.toContain('CREATE web rbac');
    expect(specOf(objects, 'kleis-namespaces')).not.toContain('kleis-ephemeral');
  });

  test('without revocable grants no Secret can be deleted; one can be tried, which tells that the policy is there', () => {
    const objects = objectsOf(needsOf(load(only('plain'))));
    expect(rulesIn(objects, 'kleis-identities')).toContainEqual({
      apiGroups: [''],
      resources: ['secrets'],
      verbs: ['create'],
    });
    expect(specOf(objects, 'kleis-broker')).not.toContain('/secrets');
  });

  test('only the cluster that keeps the state has rules for leases', () => {
    const parts = {
      clusters: { prod: { credentials: { inCluster: true } }, edge: { credentials: { kubeconfig: '/edge.yaml' } } },
    };
    const loaded = load({ a: { ...everyGrant['deploy-web'], cluster: 'edge' } }, parts);
    const edge = objectsOf(needsOf(loaded, ['edge'], 'edge'));
    expect(named(edge)).not.toContain('Namespace kleis-state');
    expect(JSON.stringify(edge)).not.toContain('leases","');
    expect(named(edge)).toContain('ServiceAccount kleis-identities/deploy-web');
    const prod = objectsOf(needsOf(loaded, ['prod'], 'prod'));
    expect(named(prod)).not.toContain('ServiceAccount kleis-identities/deploy-web');
    expect(rulesIn(prod, 'kleis-state')).toHaveLength(1);
  });

  test('two grants of one account: the policy knows the longer life, and either may be unbound', () => {
    const account = needsOf(
      load({
        a: { ...everyGrant['deploy-web'], ttl: { max: '30m' } },
        b: {
          ...everyGrant['deploy-web'],
          ttl: { max: '2h' },
          revocable: false,
          access: [{ namespace: 'b', role: 'r' }],
        },
      }),
    ).identities;
    expect(account).toEqual([
      expect.objectContaining({ grants: ['a', 'b'], maxTtl: 7200, revocable: true, unbound: true }),
    ]);
    expect(account[0]?.access).toEqual([
      { kind: 'Role', namespace: 'b', name: 'r' },
      { kind: 'Role', namespace: 'web', name: 'deployer' },
    ]);
  });

  test('the order of the configuration changes nothing', () => {
    const reversed = Object.fromEntries(Object.entries(everyGrant).toReversed());
    expect(yamlOf(needsOf(load(reversed)))).toBe(yamlOf(needsOf(load())));
  });

  test('texts are sorted as their UTF-8', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(text, fc.constantFrom('', 'a', 'ab', '\ufffd', '😀', 'a😀', 'a\ufffd'))),
        (texts) => {
          const bytes = texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          expect(texts.toSorted(compare)).toEqual(bytes);
        },
      ),
    );
  });

  test('what is read back from the YAML is what was meant, whatever a Role is called', () => {
    const role = `it's "quoted" \\ #: {x}`.replaceAll(' ', '_');
    const needs = needsOf(load({ ...everyGrant, odd: { ...everyGrant.lease, access: [{ namespace: 'odd', role }] } }));
    const read = parseAllDocuments(yamlOf(needs)).map((document) => document.toJS() as unknown);
    expect(read.filter((each) => each !== null)).toEqual(objectsOf(needs));
    expect(specOf(objectsOf(needs), 'kleis-broker')).toContain("'Role web/deployer'");
  });

  test('a Role and a ClusterRole of one name, in whatever places, never share a binding', () => {
    const name = fc.constantFrom('web', 'cluster', 'a', 'kleis-identities', 'deploy-web');
    const entry = fc.oneof(
      fc.record({ namespace: name, role: fc.oneof(name, fc.constant('ClusterRole:a')) }),
      fc.record({ namespace: name, clusterRole: name }),
      fc.record({ scope: fc.constant('cluster'), clusterRole: name }),
    );
    const entries = fc.uniqueArray(entry, { minLength: 1, maxLength: 30, selector: (each) => JSON.stringify(each) });
    fc.assert(
      fc.property(entries, (access) => {
        const own = access.filter((each) => !('namespace' in each) || each.namespace !== 'kleis-identities');
        fc.pre(own.length > 0);
        const bindings = objectsOf(needsOf(load({ a: { ...everyGrant['deploy-web'], access: own } }))).filter(
          ({ kind, metadata }) => kind.endsWith('Binding') && metadata.name.startsWith('kleis:'),
        );
        expect(bindings).toHaveLength(own.length);
        expect(new Set(named(bindings)).size).toBe(own.length);
      }),
      { numRuns: 50 },
    );
  });

  test('its first lines name all that must be there already, and is not made here', () => {
    const yaml = yamlOf(needsOf(load()));
    const head = yaml.slice(0, yaml.indexOf('---'));
    expect(head.split('\n').every((line) => line === '' || line.startsWith('#'))).toBe(true);
    expect(head).toMatch(/# namespaces .*:\n# {5}default, web\n/);
    expect(head).toMatch(/# Roles .*:\n# {5}web\/deployer, web\/viewer\n/);
    expect(head).toMatch(/# ClusterRoles .*:\n# {5}node-reader, observer\n/);
    expect(head).toMatch(/# ServiceAccounts .*:\n# {5}web\/builder, web\/deployer\n/);
    const many = Array.from({ length: 300 }, (_, index) => `namespace-${index}`);
    const grants = { a: { ...everyGrant['deploy-web'], access: [{ namespaces: many, role: 'deployer' }] } };
    const lines = yamlOf(needsOf(load(grants)))
      .split('\n---\n')[0]!
      .split('\n');
    expect(Math.max(...lines.filter((line) => line.startsWith('#')).map(({ length }) => length))).toBeLessThanOrEqual(
      120,
    );
    for (const name of many)
      expect(lines.some((line) => line.startsWith('#') && line.includes(`${name}/deployer`))).toBe(true);
    expect(yamlOf(needsOf(load({})))).not.toContain('must be there');
  });

  test('a second broker on the cluster gets objects of its own', () => {
    const clusters = {
      prod: { credentials: { inCluster: true }, systemNamespace: 'kleis-two', serviceAccount: 'two' },
    };
    const objects = named(objectsOf(needsOf(load(everyGrant, { clusters }))));
    expect(objects).toContain('ServiceAccount kleis-two/two');
    expect(objects).toContain('ValidatingAdmissionPolicy kleis-broker.kleis-two.two');
    expect(objects).toContain('Role web/kleis-broker.kleis-two.two');
  });

  test('a table too long for one expression becomes several', () => {
    const grants = Object.fromEntries(
      Array.from({ length: 2000 }, (_, index) => [
        `g${index}`,
        { ...everyGrant['deploy-web'], serviceAccount: `account-with-a-rather-long-name-${index}` },
      ]),
    );
    const policy = objectsOf(needsOf(load(grants))).find(({ kind }) => kind === 'ValidatingAdmissionPolicy');
    const { variables } = policy!['spec'] as { variables: { name: string; expression: string }[] };
    expect(variables.filter(({ name }) => name.startsWith('maxTtl')).length).toBeGreaterThan(1);
    expect(Math.max(...variables.map(({ expression }) => expression.length))).toBeLessThan(60_000);
  });
});

import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { KubeObject, Rule } from '../../../broker/rbac/kinds.ts';
import { describeObject } from '../../../broker/rbac/manifests.ts';
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
      'Secret web/kleis-kill-deployer',
      'RoleBinding web/kleis:kleis-identities:deploy-web:deployer',
      'RoleBinding web/kleis:kleis-identities:plain:viewer',
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

  test('the broker mints by name, and never a cluster-wide right is printed', () => {
    const objects = objectsOf(needsOf(load()));
    expect(objects.filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([]);
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
      { namespace: 'b', role: 'r' },
      { namespace: 'web', role: 'deployer' },
    ]);
  });

  test('the order of the configuration changes nothing', () => {
    const reversed = Object.fromEntries(Object.entries(everyGrant).toReversed());
    expect(yamlOf(needsOf(load(reversed)))).toBe(yamlOf(needsOf(load())));
  });

  test('what is read back from the YAML is what was meant, whatever a Role is called', () => {
    const role = `it's "quoted" \\ #: {x}`.replaceAll(' ', '_');
    const needs = needsOf(load({ ...everyGrant, odd: { ...everyGrant.lease, access: [{ namespace: 'odd', role }] } }));
    const read = parseAllDocuments(yamlOf(needs)).map((document) => document.toJS() as unknown);
    expect(read.filter((each) => each !== null)).toEqual(objectsOf(needs));
    expect(specOf(objectsOf(needs), 'kleis-broker')).toContain('web/deployer');
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

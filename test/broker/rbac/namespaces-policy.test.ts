import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { slug } from '../../../docs/site/markdown.ts';
import { needs } from '../../support/needs.ts';
import { until } from '../../support/wait.ts';
import { type Answer, type Call, type Confined, startConfined } from './cluster.ts';
import { everyGrant, load, needsOf, objectsOf, yamlOf } from './fixture.ts';

const writers = [
  { serviceAccount: 'cert-manager/cert-manager', secrets: ['kleis-tls'], configMaps: ['kleis-ca'] },
  { serviceAccount: 'external-secrets/external-secrets', secrets: ['kleis-web'] },
];
const system = '/api/v1/namespaces/kleis-system';
const stranger = "these namespaces are Kleis's own: who else may write there stands in namespaces.writers";
const onlyNamed = 'namespaces.writers lets this account write only what it names, in kleis-system';

describe('namespaces.writers', () => {
  const policyOf = (parts: Record<string, unknown>, cluster = 'prod') =>
    JSON.stringify(
      objectsOf(needsOf(load(everyGrant, parts), ['x'], cluster)).find(
        ({ kind, metadata }) => kind === 'ValidatingAdmissionPolicy' && metadata.name === 'kleis-namespaces',
      ),
    );

  test('without it nobody else may write, and nothing is looked up', () => {
    expect(policyOf({})).toContain('"expression":"false"');
    expect(policyOf({})).not.toContain('variables');
    expect(policyOf({ namespaces: { writers: [] } })).toBe(policyOf({}));
  });

  test('the order, and whether an account has one entry or two, changes nothing', () => {
    const [first, second] = writers;
    const split = [
      { ...second, secrets: ['kleis-web', 'kleis-web'] },
      { serviceAccount: first!.serviceAccount, configMaps: ['kleis-ca'] },
      { serviceAccount: first!.serviceAccount, secrets: ['kleis-tls'] },
    ];
    expect(policyOf({ namespaces: { writers: split } })).toBe(policyOf({ namespaces: { writers } }));
  });

  test('an entry counts where the broker runs, or on the cluster that it names', () => {
    const clusters = {
      prod: { credentials: { inCluster: true } },
      edge: { credentials: { kubeconfig: '/edge.yaml' } },
    };
    const of = (entry: object, cluster: string) => policyOf({ clusters, namespaces: { writers: [entry] } }, cluster);
    expect(of(writers[0]!, 'prod')).toContain('cert-manager:cert-manager');
    expect(of(writers[0]!, 'edge')).not.toContain('cert-manager:cert-manager');
    expect(of({ ...writers[0], cluster: 'edge' }, 'prod')).not.toContain('cert-manager:cert-manager');
    expect(of({ ...writers[0], cluster: 'edge' }, 'edge')).toContain('cert-manager:cert-manager');
  });

  test('what rbac prints says in words who may write what', () => {
    expect(yamlOf(needsOf(load(everyGrant, { namespaces: { writers } })))).toMatch(
      /# keeps others,.*; but cert-manager\/cert-manager writes Secret kleis-tls and ConfigMap kleis-ca in kleis-system; but external-secrets/,
    );
  });

  test('each page that a refusal names is there', async () => {
    const policies = JSON.stringify(objectsOf(needsOf(load(everyGrant, { namespaces: { writers } }))));
    const pages = [...new Set(policies.match(/https:\/\/github\.com[^\s"]+/g))];
    expect(pages.length).toBeGreaterThan(2);
    const text = await readFile(new URL('../../../docs/rbac.md', import.meta.url), 'utf8');
    const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => slug(heading, new Map()));
    for (const page of pages) {
      expect(page).toMatch(/^https:\/\/github\.com\/kleis-dev\/kleis\/blob\/main\/docs\/rbac\.md#/);
      expect(anchors).toContain(page.replace(/.*#/, ''));
    }
  });
});

const crds = [
  ['cert-manager.io', 'Certificate', 'certificates'],
  ['cert-manager.io', 'CertificateRequest', 'certificaterequests'],
  ['external-secrets.io', 'ExternalSecret', 'externalsecrets'],
] as const;
const customs = (group: string, resource: string) => `/apis/${group}/v1/namespaces/kleis-system/${resource}`;
const secret = (name: string, more: object = {}, metadata: object = {}) => ({
  body: { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name, ...metadata }, ...more },
});
const merge = (body: object) => ({ body, contentType: 'application/merge-patch+json' });
const nextKey = { labels: { 'cert-manager.io/next-private-key': 'true' } };

for (const { kind, tool } of [
  { kind: '1.36', tool: 'kube' },
  { kind: '1.30', tool: 'kube-1.30' },
] as const) {
  describe.skipIf(!needs(tool) || !needs('kubectl-new'))(`a writer, on ${kind}`, () => {
    let world: Confined;
    let manager: Call;
    let store: Call;
    let made: readonly string[];
    beforeAll(async () => {
      world = await startConfined(kind, false, { namespaces: { writers } });
      expect(world.applied.map(({ stderr }) => stderr)).toEqual(['', '']);
      const { admin } = world;
      const rbac = '/apis/rbac.authorization.k8s.io/v1';
      for (const [group, single, plural] of crds) {
        await admin('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd(group, single, plural));
      }
      // As much as RBAC can give: the policy alone is tried.
      await admin('POST', `${rbac}/clusterroles`, {
        metadata: { name: 'much' },
        rules: [
          {
            apiGroups: ['', 'apps', 'batch', ...new Set(crds.map(([group]) => group))],
            resources: ['*'],
            verbs: ['*'],
          },
          { apiGroups: ['coordination.k8s.io', 'rbac.authorization.k8s.io'], resources: ['*'], verbs: ['*'] },
        ],
      });
      for (const name of ['cert-manager', 'external-secrets']) {
        await admin('POST', '/api/v1/namespaces', { metadata: { name } });
        await admin('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name } });
        await admin('POST', `${rbac}/clusterrolebindings`, {
          metadata: { name },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'much' },
          subjects: [{ kind: 'ServiceAccount', name, namespace: name }],
        });
      }
      manager = world.as(await world.mintAsAdmin('cert-manager', 'cert-manager'));
      store = world.as(await world.mintAsAdmin('external-secrets', 'external-secrets'));
      made = ['certificates', 'certificaterequests'].map((name) => customs('cert-manager.io', name));
      for (const path of [...made, customs('external-secrets.io', 'externalsecrets')]) {
        await until(`${path} is served`, async () => (await manager('GET', path)).status === 200);
      }
      await admin('POST', `${system}/secrets`, secret('kleis-cookie-keys').body);
      await until(
        'the policy is in force',
        async () => (await store('POST', `${system}/pods?dryRun=All`)).status >= 400,
      );
    }, 120_000);
    afterAll(() => world?.stop());

    const event = { metadata: { name: 'e', namespace: 'kleis-system' }, involvedObject: { namespace: 'kleis-system' } };
    const refused = ({ status, body }: Answer, message: string) => {
      expect([status, body['message']]).toEqual([422, expect.stringContaining(message)]);
      expect(body['message']).toContain(
        'https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#who-else-may-write-there',
      );
    };
    const worked = async (call: Promise<Answer>) => {
      const { status, text } = await call;
      expect(status < 300 ? 'done' : text).toBe('done');
    };

    test('makes, changes and deletes its Secret and its ConfigMap, by every verb', async () => {
      const at = `${system}/secrets/kleis-tls`;
      await worked(manager('POST', `${system}/secrets`, secret('kleis-tls', { stringData: { a: 'b' } })));
      await worked(manager('PUT', at, secret('kleis-tls', { stringData: { a: 'c' } })));
      await worked(manager('PATCH', at, merge({ stringData: { a: 'd' } })));
      const applied = {
        ...secret('kleis-tls', { stringData: { a: 'e' } }),
        contentType: 'application/apply-patch+yaml',
      };
      await worked(manager('PATCH', `${at}?fieldManager=cert-manager&force=true`, applied));
      await worked(manager('DELETE', at));
      await worked(manager('PATCH', `${at}?fieldManager=cert-manager&force=true`, applied));
      await worked(manager('POST', `${system}/configmaps`, { body: { metadata: { name: 'kleis-ca' } } }));
    });

    test('writes the next private key beside it, as cert-manager does', async () => {
      const { body } = await manager('POST', `${system}/secrets`, {
        body: { type: 'Opaque', metadata: { generateName: 'kleis-tls-', ...nextKey }, stringData: { 'tls.key': 'x' } },
      });
      expect(body.metadata?.name).toMatch(/^kleis-tls-.{5}$/);
      await worked(manager('DELETE', `${system}/secrets/${body.metadata?.name}`));
    });

    test('keeps its records, and makes a Certificate for its Secret', async () => {
      const [certificates, requests] = made;
      const certificate = { metadata: { name: 'kleis-tls' }, spec: { secretName: 'kleis-tls' } };
      await worked(manager('POST', certificates!, { body: typed('Certificate', certificate) }));
      await worked(manager('PATCH', `${certificates}/kleis-tls/status`, merge({ status: { ready: true } })));
      const request = typed('CertificateRequest', { metadata: { name: 'kleis-tls-1' }, spec: {} });
      await worked(manager('POST', requests!, { body: request }));
      await worked(manager('PATCH', `${requests}/kleis-tls-1/status`, merge({ status: { certificate: 'x' } })));
      await worked(manager('POST', `${system}/events`, { body: event }));
      const stolen = typed('Certificate', { metadata: { name: 'a' }, spec: { secretName: 'kleis-cookie-keys' } });
      refused(await manager('POST', certificates!, { body: stolen }), onlyNamed);
      const turned = merge({ spec: { secretName: 'kleis-cookie-keys' } });
      refused(await manager('PATCH', `${certificates}/kleis-tls`, turned), onlyNamed);
      refused(await store('DELETE', `${certificates}/kleis-tls`), onlyNamed);
    });

    test('changes the state of a custom resource, and not what it asks for', async () => {
      const at = customs('external-secrets.io', 'externalsecrets');
      const body = typed('ExternalSecret', { metadata: { name: 'kleis-web' }, spec: { from: 'a' }, operation: 'none' });
      refused(await store('POST', at, { body }), onlyNamed);
      await world.admin('POST', at, body);
      await worked(store('PATCH', `${at}/kleis-web/status`, merge({ status: { ready: true } })));
      await worked(store('PATCH', `${at}/kleis-web`, merge({ metadata: { finalizers: ['example.com/clean-up'] } })));
      await worked(
        store('PATCH', `${at}/kleis-web`, merge({ metadata: { annotations: { a: 'b' }, finalizers: null } })),
      );
      refused(await store('PATCH', `${at}/kleis-web`, merge({ spec: { from: 'mallory' } })), onlyNamed);
      // The garbage collector removes what has an owner that is not there.
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: '11111111-2222-3333-4444-555555555555' };
      const orphan = merge({ metadata: { ownerReferences: [owner] } });
      refused(await store('PATCH', `${at}/kleis-web`, orphan), onlyNamed);
      refused(await store('PATCH', `${at}/kleis-web`, merge({ operation: 'sync' })), onlyNamed);
      refused(await store('PATCH', `${at}/kleis-web`, merge({ operation: null })), onlyNamed);
      refused(await store('PATCH', `${at}/kleis-web`, merge({ more: {} })), onlyNamed);
      refused(await store('DELETE', `${at}/kleis-web`), onlyNamed);
    });

    const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'a', image: 'a' }] } };
    const tokenOfBroker = { annotations: { 'kubernetes.io/service-account.name': 'kleis-broker' } };
    test.each<[string, string, string, Parameters<Call>[2]]>([
      ['another Secret', 'POST', '/secrets', secret('kleis-other')],
      ['a Secret of another writer', 'POST', '/secrets', secret('kleis-web')],
      ['a Secret whose name begins as its own', 'POST', '/secrets', secret('kleis-tls-keys1', {}, nextKey)],
      ['an unmarked Secret beside its own', 'POST', '/secrets', secret('kleis-tls-bcdfg')],
      ["another writer's next key", 'POST', '/secrets', secret('kleis-web-bcdfg', {}, nextKey)],
      ['a ConfigMap by the name of its Secret', 'POST', '/configmaps', { body: { metadata: { name: 'kleis-tls' } } }],
      ['a change of a Secret that is there', 'PATCH', '/secrets/kleis-cookie-keys', merge({ metadata: nextKey })],
      ['the end of it', 'DELETE', '/secrets/kleis-cookie-keys', {}],
      ['its data, by deleting it', 'DELETE', '/secrets/kleis-cookie-keys?dryRun=All&propagationPolicy=Foreground', {}],
      ['all Secrets at once', 'DELETE', '/secrets', {}],
      [
        'a token of the broker that never ends',
        'POST',
        '/secrets?dryRun=All',
        secret('kleis-tls', { type: 'kubernetes.io/service-account-token' }, tokenOfBroker),
      ],
      ['a token of the broker', 'POST', '/serviceaccounts/kleis-broker/token', { body: { spec: {} } }],
      ['a pod', 'POST', '/pods', { body: pod }],
      ['an account', 'POST', '/serviceaccounts', { body: { metadata: { name: 'kleis-tls' } } }],
      ['a Service', 'POST', '/services', { body: { metadata: { name: 's' }, spec: { ports: [{ port: 1 }] } } }],
    ])('does not get %s', async (_, method, path, options) => {
      const answer = await manager(method, `${system}${path}`, options);
      // A Secret of that type must have its own name free, or the answer is about that.
      refused(answer, onlyNamed);
      expect(answer.text).not.toContain('"data"');
    });

    test('writes nothing in other namespaces of Kleis, nor to its own one', async () => {
      for (const namespace of ['kleis-identities', 'kleis-state', 'kleis-ephemeral']) {
        refused(await manager('POST', `/api/v1/namespaces/${namespace}/secrets`, secret('kleis-tls')), onlyNamed);
      }
      refused(await manager('PATCH', system, merge({ metadata: { labels: { a: 'b' } } })), onlyNamed);
      const deployments = '/apis/apps/v1/namespaces/kleis-system/deployments';
      const template = { metadata: { labels: { a: 'b' } }, spec: pod.spec };
      const spec = { selector: { matchLabels: { a: 'b' } }, template };
      refused(await manager('POST', deployments, { body: { metadata: { name: 'd' }, spec } }), onlyNamed);
    });

    test('a broker whose token is for something else is told what it is for', async () => {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: ['vault'] } };
      const minted = await world.admin('POST', `${system}/serviceaccounts/kleis-broker/token`, body);
      const tokenFile = join(await mkdtemp(join(tmpdir(), 'kleis-audience-')), 'token');
      await writeFile(tokenFile, (minted['status'] as { token: string }).token, { mode: 0o600 });
      const { server, caFile: certificateAuthority } = world.cluster;
      const prod = { ...world.broker.config, server, certificateAuthority, credentials: { tokenFile } };
      const clusters = openClusters({ prod }, { clock: { now: Date.now }, env: {} });
      const { reachable, problem } = await clusters.get('prod')!.probe();
      clusters.close();
      await rm(dirname(tokenFile), { recursive: true });
      expect(reachable).toBe(false);
      expect(problem).toMatch(
        /refuses the broker's credential \(401\).* The token is for vault and ends at .*leave `audience`/,
      );
    });

    test('is nobody else: not impersonated, not another account', async () => {
      const rbac = '/apis/rbac.authorization.k8s.io/v1';
      await world.admin('POST', `${rbac}/clusterroles`, {
        metadata: { name: 'impersonator' },
        rules: [{ apiGroups: [''], resources: ['serviceaccounts'], verbs: ['impersonate'] }],
      });
      await world.admin('POST', `${rbac}/clusterrolebindings`, {
        metadata: { name: 'impersonator' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'impersonator' },
        subjects: [{ kind: 'ServiceAccount', name: 'editor', namespace: 'web' }],
      });
      const headers = { 'impersonate-user': 'system:serviceaccount:cert-manager:cert-manager' };
      let answer: Answer | undefined;
      await until('it may impersonate', async () => {
        answer = await world.editor('PATCH', `${system}/secrets/kleis-tls`, { ...merge({ data: {} }), headers });
        return answer.status !== 403;
      });
      refused(answer!, onlyNamed);
      refused(await world.editor('POST', `${system}/secrets`, secret('kleis-tls')), stranger);
      refused(await world.editor('POST', `${system}/events`, { body: event }), stranger);
    });
  });
}

function typed(kind: string, body: object) {
  const [group] = crds.find(([, single]) => single === kind)!;
  return { apiVersion: `${group}/v1`, kind, ...body };
}

function crd(group: string, kind: string, plural: string) {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema, subresources: { status: {} } }],
    },
  };
}

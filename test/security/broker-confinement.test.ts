import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Call, type Confined, startConfined } from '../broker/rbac/cluster.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/wait.ts';

// The broker's own token is in an attacker's hand: what its Roles and the admission policies leave to be done with it.
const servers = [
  { kind: '1.36', controllers: true, tool: 'kube-controllers' },
  { kind: '1.30', controllers: false, tool: 'kube-1.30' },
] as const;

const identities = '/api/v1/namespaces/kleis-identities';
const ephemeral = '/api/v1/namespaces/kleis-ephemeral';
const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings';
const rbacGroup = 'rbac.authorization.k8s.io';
const leases = (namespace: string) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
const token = (namespace: string, name: string) => `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
const secretData = 'what-nobody-may-read';

const leaseSecret = (name: string, more: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kleis.dev/lease',
  metadata: { name, ...metadata },
  ...more,
});
const tokenRequest = (spec: Record<string, unknown>) => ({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'TokenRequest',
  spec,
});
const boundTo = (name: string) => ({ kind: 'Secret', apiVersion: 'v1', name });
const account = (name: string, more: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}) => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name, ...metadata },
  automountServiceAccountToken: false,
  ...more,
});
const roleBinding = (parts: { name?: string; role?: object; subjects?: object[]; metadata?: object }) => ({
  apiVersion: `${rbacGroup}/v1`,
  kind: 'RoleBinding',
  metadata: { name: parts.name ?? 'kleis-attack', ...parts.metadata },
  roleRef: parts.role ?? { apiGroup: rbacGroup, kind: 'Role', name: 'deployer' },
  ...(parts.subjects === undefined ? {} : { subjects: parts.subjects }),
});
const everyConfigMap = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['*'] }];
const leaseAccount = { kind: 'ServiceAccount', name: 'kleis-lease-0', namespace: 'kleis-ephemeral' };

for (const { kind, controllers, tool } of servers) {
  describe.skipIf(!needs(tool) || !needs('kubectl-new'))(`with the broker's token, on ${kind}`, () => {
    let world: Confined;
    let attack: Call;
    beforeAll(async () => {
      world = await startConfined(kind, controllers);
      attack = world.attacker;
      const { admin } = world;
      await admin('POST', `${identities}/secrets`, {
        metadata: { name: 'kleis-foreign' },
        stringData: { key: secretData },
      });
      expect((await attack('POST', `${identities}/secrets`, { body: leaseSecret('kleis-own') })).status).toBe(201);
      // With controllers each namespace has one; without, it is made here.
      for (const namespace of ['kleis-ephemeral', 'kube-system']) {
        await admin('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'default' } }).catch(
          (error: unknown) => expect(String(error)).toContain('AlreadyExists'),
        );
      }
      // What is missing would answer 404 before anybody decides.
      await admin('POST', bindings.replace('rolebindings', 'roles'), {
        metadata: { name: 'observer' },
        rules: everyConfigMap,
      });
      await admin('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
        metadata: { name: 'deployer' },
        rules: everyConfigMap,
      });
      await admin('POST', bindings, {
        ...roleBinding({ name: 'kleis-of-others', subjects: [{ kind: 'User', name: 'alice', apiGroup: rbacGroup }] }),
      });
    }, 120_000);
    afterAll(() => world?.stop());

    /** Refused by RBAC, and whatever was asked for is not in the answer. */
    async function forbidden(...call: Parameters<Call>): Promise<void> {
      const answer = await attack(...call);
      expect(answer.text).not.toContain(secretData);
      expect([answer.status, answer.body['reason']]).toEqual([403, 'Forbidden']);
      expect(answer.text).not.toContain('ValidatingAdmissionPolicy');
    }

    /** Let through by RBAC, refused by the policy in these words; both as a dry run and in earnest. */
    async function denied(message: string, method: string, path: string, body?: unknown): Promise<void> {
      for (const query of ['?dryRun=All', '']) {
        const answer = await attack(method, `${path}${query}`, body === undefined ? {} : { body });
        expect(answer.text).not.toContain(secretData);
        expect([answer.status, answer.body['message']]).toEqual([
          422,
          expect.stringContaining("Policy 'kleis-broker'"),
        ]);
        expect(answer.body['message']).toContain(message);
      }
    }

    test.each([
      ['GET', `${identities}/secrets/kleis-foreign`],
      ['GET', `${identities}/secrets`],
      ['GET', `${identities}/secrets?watch=true&timeoutSeconds=1`],
      ['PATCH', `${identities}/secrets/kleis-foreign`],
      ['PUT', `${identities}/secrets/kleis-foreign`],
      ['DELETE', `${identities}/secrets`],
      ['GET', '/api/v1/secrets'],
      ['GET', '/api/v1/namespaces/web/secrets/database'],
      ['GET', '/api/v1/namespaces/kleis-system/secrets'],
      ['DELETE', '/api/v1/namespaces/web/secrets/database?dryRun=All'],
    ])('no Secret is read: %s %s', async (method, path) => {
      const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      await forbidden(method, path, {
        contentType,
        ...(method === 'PATCH' || method === 'PUT' ? { body: leaseSecret('kleis-foreign') } : {}),
      });
    });

    test('no Secret is read by server-side apply', () =>
      forbidden('PATCH', `${identities}/secrets/kleis-foreign?fieldManager=a&force=true`, {
        contentType: 'application/apply-patch+yaml',
        body: leaseSecret('kleis-foreign'),
      }));

    test.each([
      ['Foreground', 'deletes are plain deletes'],
      ['Background', 'only empty Secrets of type kleis.dev/lease'],
      ['Orphan', 'deletes are plain deletes'],
    ])('no Secret is read by deleting it (%s)', (propagationPolicy, message) =>
      denied(message, 'DELETE', `${identities}/secrets/kleis-foreign`, { propagationPolicy }),
    );

    test.each([
      { propagationPolicy: 'Foreground' },
      { propagationPolicy: 'Orphan' },
      { orphanDependents: true },
      { orphanDependents: false },
    ])('no delete of its own Secret keeps a token alive: %o', (options) =>
      denied('deletes are plain deletes', 'DELETE', `${identities}/secrets/kleis-own`, options),
    );

    test('nor does one whose options are in the URL', async () => {
      const answer = await attack('DELETE', `${identities}/secrets/kleis-own?propagationPolicy=Foreground&dryRun=All`);
      expect([answer.status, answer.body['message']]).toEqual([
        422,
        expect.stringContaining('deletes are plain deletes'),
      ]);
    });

    const emptySecrets = 'only empty Secrets of type kleis.dev/lease';
    const plain = 'no finalizers, owners or foreign labels and annotations';
    test.each([
      ['a token without an end', emptySecrets, leaseSecret('kleis-a', { type: 'kubernetes.io/service-account-token' })],
      ['any other type', emptySecrets, leaseSecret('kleis-a', { type: 'Opaque' })],
      ['a kill switch', emptySecrets, leaseSecret('kleis-a', { type: 'kleis.dev/kill-switch' })],
      ['data', emptySecrets, leaseSecret('kleis-a', { stringData: { a: 'b' } })],
      ['a finalizer', plain, leaseSecret('kleis-a', {}, { finalizers: ['example.com/keep'] })],
      [
        'an owner',
        plain,
        leaseSecret(
          'kleis-a',
          {},
          { ownerReferences: [{ apiVersion: 'v1', kind: 'Secret', name: 'kleis-own', uid: '1' }] },
        ),
      ],
      ['a foreign label', plain, leaseSecret('kleis-a', {}, { labels: { app: 'web' } })],
      [
        'the annotation of an account',
        plain,
        leaseSecret('kleis-a', {}, { annotations: { 'kubernetes.io/service-account.name': 'deploy-web' } }),
      ],
      ['another name', 'names begin with kleis-', leaseSecret('database')],
    ])('no Secret is made that is more than a mark: %s', async (what, message, body) => {
      // The type of a legacy token asks for its account first; with that, it is the policy that refuses.
      const legacy = what === 'a token without an end';
      const metadata = { name: 'kleis-a', annotations: { 'kubernetes.io/service-account.name': 'deploy-web' } };
      await denied(legacy ? plain : message, 'POST', `${identities}/secrets`, legacy ? { ...body, metadata } : body);
    });

    test.each([
      ['web', 'stranger'],
      ['kleis-system', 'kleis-broker'],
      ['kube-system', 'default'],
    ])('no token is minted for an account of no grant: %s/%s', (namespace, name) =>
      forbidden('POST', token(namespace, name), { body: tokenRequest({ expirationSeconds: 600 }) }),
    );

    test('no token is minted for the default account of the ephemeral namespace', () =>
      denied('no such account', 'POST', token('kleis-ephemeral', 'default'), tokenRequest({ expirationSeconds: 600 })));

    test('what remains: a token for the ephemeral account of another lease, as long as the grants say', async () => {
      const made = await attack('POST', `${ephemeral}/serviceaccounts`, { body: account('kleis-lease-0') });
      expect(made.status).toBe(201);
      const minted = await attack('POST', token('kleis-ephemeral', 'kleis-lease-0'), {
        body: tokenRequest({ expirationSeconds: 3600 }),
      });
      expect(minted.status).toBe(201);
      await denied(
        'live shorter',
        'POST',
        token('kleis-ephemeral', 'kleis-lease-0'),
        tokenRequest({ expirationSeconds: 3601 }),
      );
    });

    const own = { boundObjectRef: boundTo('kleis-own') };
    const live = 'no such account, or its tokens live shorter';
    const bound = 'the token must be bound to its Secret';
    test.each([
      ['longer than the grant says', live, 'deploy-web', { ...own, expirationSeconds: 3601 }],
      ['longer than the grant says, in seconds of a day', live, 'plain', { expirationSeconds: 86_400 }],
      ['for Vault', 'audience not allowed', 'deploy-web', { ...own, expirationSeconds: 600, audiences: ['vault'] }],
      [
        'for the cluster and Vault',
        'audience not allowed',
        'deploy-web',
        { ...own, expirationSeconds: 600, audiences: ['server', 'vault'] },
      ],
      ['that is bound to nothing', bound, 'deploy-web', { expirationSeconds: 600 }],
    ])('no token is minted %s', async (_, message, name, spec) => {
      const audiences =
        'audiences' in spec
          ? spec.audiences?.map((each) => (each === 'server' ? world.cluster.server : each))
          : undefined;
      await denied(
        message,
        'POST',
        token('kleis-identities', name),
        tokenRequest({ ...spec, ...(audiences && { audiences }) }),
      );
    });

    test('no token is minted that outlives a revocation, being bound to something else', async () => {
      await world.admin('POST', `${identities}/secrets`, { metadata: { name: 'foreign' } });
      const spec = { expirationSeconds: 600, boundObjectRef: boundTo('foreign') };
      await denied(bound, 'POST', token('kleis-identities', 'deploy-web'), tokenRequest(spec));
      const other = { expirationSeconds: 600, boundObjectRef: boundTo('database') };
      await denied(bound, 'POST', token('web', 'deployer'), tokenRequest(other));
      await denied(bound, 'POST', token('web', 'deployer'), tokenRequest({ expirationSeconds: 600 }));
      await denied(bound, 'POST', token('web', 'builder'), tokenRequest(other));
    });

    const onlyEphemeral = 'only an ephemeral account is bound, and only to a Role of a grant';
    test.each([
      ['a user', { subjects: [{ kind: 'User', name: 'mallory', apiGroup: rbacGroup }] }],
      ['a group', { subjects: [{ kind: 'Group', name: 'system:authenticated', apiGroup: rbacGroup }] }],
      ['itself', { subjects: [{ kind: 'ServiceAccount', name: 'kleis-broker', namespace: 'kleis-system' }] }],
      [
        'an account of the identity namespace',
        { subjects: [{ kind: 'ServiceAccount', name: 'plain', namespace: 'kleis-identities' }] },
      ],
      ['the default account of the ephemeral namespace', { subjects: [{ ...leaseAccount, name: 'default' }] }],
      ['two', { subjects: [leaseAccount, { ...leaseAccount, name: 'kleis-lease-1' }] }],
      ['nobody', {}],
    ])('a Role of a grant is not bound to %s', (_, parts) =>
      denied(onlyEphemeral, 'POST', bindings, roleBinding(parts)),
    );

    test('a binding that cannot be removed is not made', () =>
      denied(
        plain,
        'POST',
        bindings,
        roleBinding({ subjects: [leaseAccount], metadata: { finalizers: ['example.com/keep'] } }),
      ));

    test.each(['Role other', 'ClusterRole system:aggregate-to-edit', 'ClusterRole cluster-admin'])(
      '%s, of no ephemeral grant, is not bound',
      (role) => {
        const [what, name] = role.split(' ');
        const body = roleBinding({ role: { apiGroup: rbacGroup, kind: what, name }, subjects: [leaseAccount] });
        return forbidden('POST', bindings, { body });
      },
    );

    test.each([
      ['a Role that is called like a ClusterRole of a grant', bindings, 'Role observer'],
      ['a ClusterRole that is called like a Role of a grant', bindings, 'ClusterRole deployer'],
      ['the ClusterRole of a fixed account', bindings, 'ClusterRole node-reader'],
      ['a ClusterRole of a grant in another namespace', bindings.replace('/web/', '/default/'), 'ClusterRole observer'],
      [
        'a ClusterRole of a grant in the namespace of the identities',
        bindings.replace('/web/', '/kleis-identities/'),
        'ClusterRole observer',
      ],
    ])('%s is not bound', async (_, path, role) => {
      const [what, name] = role.split(' ');
      const body = roleBinding({ role: { apiGroup: rbacGroup, kind: what, name }, subjects: [leaseAccount] });
      await forbidden('POST', path, { body });
    });

    test('a ClusterRole of a grant is bound to nobody but an ephemeral account, and in no other form', async () => {
      const observer = { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'observer' };
      for (const subject of [
        { kind: 'User', name: 'mallory', apiGroup: rbacGroup },
        { kind: 'Group', name: 'system:serviceaccounts:kleis-ephemeral', apiGroup: rbacGroup },
        { kind: 'ServiceAccount', name: 'kleis-broker', namespace: 'kleis-system' },
        { kind: 'ServiceAccount', name: 'kleis-lease-0', namespace: 'web' },
        { ...leaseAccount, name: 'default' },
      ]) {
        await denied(onlyEphemeral, 'POST', bindings, roleBinding({ role: observer, subjects: [subject] }));
      }
      await denied(onlyEphemeral, 'POST', bindings, roleBinding({ role: observer }));
      const labels = { metadata: { labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } } };
      await denied(plain, 'POST', bindings, roleBinding({ role: observer, subjects: [leaseAccount], ...labels }));
      await denied(
        'names begin with kleis-',
        'POST',
        bindings,
        roleBinding({ role: observer, subjects: [leaseAccount], name: 'a' }),
      );
      const made = await attack('POST', bindings, { body: roleBinding({ role: observer, subjects: [leaseAccount] }) });
      expect(made.status).toBe(201);
      // What is made so is not turned into anything else.
      for (const method of ['PUT', 'PATCH']) {
        const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
        const body = roleBinding({
          role: observer,
          subjects: [{ kind: 'User', name: 'mallory', apiGroup: rbacGroup }],
        });
        await forbidden(method, `${bindings}/kleis-attack`, { contentType, body });
      }
      expect((await attack('DELETE', `${bindings}/kleis-attack`)).status).toBe(200);
    });

    test('in the whole cluster nothing is bound and no binding removed, whatever Role of a grant it is', async () => {
      const path = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
      for (const name of ['observer', 'node-reader', 'cluster-admin']) {
        const role = { apiGroup: rbacGroup, kind: 'ClusterRole', name };
        const body = { ...roleBinding({ role, subjects: [leaseAccount] }), kind: 'ClusterRoleBinding' };
        await forbidden('POST', path, { body });
      }
      for (const name of ['editor', 'cluster-admin', 'kleis:ClusterRole:kleis-identities:reader:node-reader'])
        await forbidden('DELETE', `${path}/${name}`);
    });

    test('bindings of others are not removed', async () => {
      await denied(onlyEphemeral, 'DELETE', `${bindings}/kleis-of-others`);
      await denied('names begin with kleis-', 'DELETE', `${bindings}/kleis:kleis-identities:deploy-web:deployer`);
      await denied(
        'names begin with kleis-',
        'DELETE',
        `${bindings}/kleis:ClusterRole:kleis-identities:reader:observer`,
      );
    });

    const carryNothing = 'service accounts carry nothing';
    test.each([
      ['Secrets', carryNothing, account('kleis-b', { secrets: [{ name: 'kleis-foreign' }] })],
      ['pull secrets', carryNothing, account('kleis-b', { imagePullSecrets: [{ name: 'registry' }] })],
      ['a mounted token', carryNothing, account('kleis-b', { automountServiceAccountToken: true })],
      [
        'a role of the cloud',
        plain,
        account('kleis-b', {}, { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/a' } }),
      ],
      ['a finalizer', plain, account('kleis-b', {}, { finalizers: ['example.com/keep'] })],
      ['another name', 'names begin with kleis-', account('admin')],
    ])('no ephemeral account comes with %s', (_, message, body) =>
      denied(message, 'POST', `${ephemeral}/serviceaccounts`, body),
    );

    test('the default account of the ephemeral namespace is not removed', () =>
      denied('names begin with kleis-', 'DELETE', `${ephemeral}/serviceaccounts/default`));

    test.each([
      ['accounts in the identity namespace', 'POST', `${identities}/serviceaccounts`, account('kleis-b')],
      ['Leases elsewhere', 'POST', leases('web'), { metadata: { name: 'a' } }],
      ['Leases of the control plane', 'GET', leases('kube-system'), undefined],
      ['Roles', 'POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/web/roles', { metadata: { name: 'a' } }],
      [
        'ClusterRoleBindings',
        'POST',
        '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
        { metadata: { name: 'a' } },
      ],
      [
        'the policy that confines it',
        'DELETE',
        '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kleis-broker',
        undefined,
      ],
      [
        'its binding',
        'DELETE',
        '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/kleis-broker',
        undefined,
      ],
      [
        'pods',
        'POST',
        '/api/v1/namespaces/web/pods',
        { metadata: { name: 'a' }, spec: { containers: [{ name: 'a', image: 'a' }] } },
      ],
      ['the inside of pods', 'POST', '/api/v1/namespaces/web/pods/a/exec?command=id', undefined],
      ['the inside of pods by attaching', 'POST', '/api/v1/namespaces/web/pods/a/attach', undefined],
      ['pods by proxy', 'GET', '/api/v1/namespaces/web/pods/a/proxy/', undefined],
      ['nodes by proxy', 'GET', '/api/v1/nodes/a/proxy/', undefined],
      [
        'certificate requests',
        'POST',
        '/apis/certificates.k8s.io/v1/certificatesigningrequests',
        { metadata: { name: 'a' } },
      ],
      [
        'what tokens of others are worth',
        'POST',
        '/apis/authentication.k8s.io/v1/tokenreviews',
        { spec: { token: 'a' } },
      ],
    ])('it reaches no %s', (_, method, path, body) => forbidden(method, path, body === undefined ? {} : { body }));

    test('it becomes nobody else', async () => {
      for (const name of ['admin', 'system:serviceaccount:kleis-identities:deploy-web']) {
        await forbidden('GET', '/api/v1/namespaces/web/configmaps', { headers: { 'impersonate-user': name } });
      }
    });

    test('a Lease holds no finalizer or foreign label, new or changed', async () => {
      const lease = (metadata: object) => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata });
      await denied(plain, 'POST', leases('kleis-state'), lease({ name: 'a', finalizers: ['example.com/keep'] }));
      expect((await attack('POST', leases('kleis-state'), { body: lease({ name: 'b' }) })).status).toBe(201);
      const { body } = await attack('GET', `${leases('kleis-state')}/b`);
      await denied(plain, 'PUT', `${leases('kleis-state')}/b`, lease({ ...body.metadata, labels: { app: 'web' } }));
    });

    describe('with cluster-admin bound to it by mistake, the policy still refuses', () => {
      const binding = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
      beforeAll(async () => {
        await world.admin('POST', binding, {
          metadata: { name: 'mistake' },
          roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'cluster-admin' },
          subjects: [{ kind: 'ServiceAccount', name: 'kleis-broker', namespace: 'kleis-system' }],
        });
        await until('the binding is in force', async () => (await attack('GET', '/api/v1/nodes')).status === 200);
      });
      afterAll(() => world.admin('DELETE', `${binding}/mistake`));

      const nothing = 'the broker does nothing but this';
      test.each([
        [
          'pods',
          'POST',
          '/api/v1/namespaces/web/pods',
          { metadata: { name: 'a' }, spec: { containers: [{ name: 'a', image: 'a' }] } },
        ],
        ['namespaces', 'POST', '/api/v1/namespaces', { metadata: { name: 'a' } }],
        [
          'Roles',
          'POST',
          '/apis/rbac.authorization.k8s.io/v1/namespaces/web/roles',
          { metadata: { name: 'a' }, rules: [] },
        ],
        [
          'ClusterRoleBindings',
          'POST',
          binding,
          { metadata: { name: 'a' }, roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'cluster-admin' } },
        ],
        ['a token of its own', 'POST', token('kleis-system', 'kleis-broker'), tokenRequest({ expirationSeconds: 600 })],
        ['Secrets of applications', 'DELETE', '/api/v1/namespaces/kleis-system/secrets/a-secret', undefined],
      ])('%s', async (what, method, path, body) => {
        if (what.startsWith('Secrets')) {
          await world.admin('POST', '/api/v1/namespaces/kleis-system/secrets', { metadata: { name: 'a-secret' } });
        }
        await denied(nothing, method, path, body);
      });

      test('but not the removal of the policy, which no policy sees, nor what it does as another', async () => {
        const policy = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/kleis-broker';
        expect((await attack('DELETE', `${policy}?dryRun=All`)).status).toBe(200);
        const headers = { 'impersonate-user': 'mallory', 'impersonate-group': 'system:masters' };
        const body = { metadata: { name: 'a' } };
        expect((await attack('POST', '/api/v1/namespaces?dryRun=All', { body, headers })).status).toBe(201);
      });
      test('tokens of accounts of no grant', () =>
        denied(live, 'POST', token('web', 'stranger'), tokenRequest({ expirationSeconds: 600 })));
      test('deleting a Secret of an application that is no kill switch', () =>
        denied('', 'DELETE', '/api/v1/namespaces/web/secrets/database'));
      test.each(['Role observer', 'ClusterRole deployer', 'ClusterRole node-reader', 'ClusterRole cluster-admin'])(
        '%s for an ephemeral account: kind and name count, both',
        (role) => {
          const [what, name] = role.split(' ');
          const body = roleBinding({ role: { apiGroup: rbacGroup, kind: what, name }, subjects: [leaseAccount] });
          return denied(onlyEphemeral, 'POST', bindings, body);
        },
      );
      test('a ClusterRole of a grant, but in another namespace or in the whole cluster', async () => {
        const role = { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'observer' };
        const body = roleBinding({ role, subjects: [leaseAccount] });
        await denied(nothing, 'POST', bindings.replace('/web/', '/default/'), body);
        await denied(nothing, 'POST', binding, { ...body, kind: 'ClusterRoleBinding' });
        await denied(nothing, 'DELETE', `${binding}/kleis:ClusterRole:kleis-identities:reader:node-reader`);
      });
      test('changing a binding that it made', async () => {
        const role = { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'observer' };
        const body = roleBinding({ role, subjects: [leaseAccount], name: 'kleis-changed' });
        expect((await attack('POST', bindings, { body })).status).toBe(201);
        const subjects = [{ kind: 'User', name: 'mallory', apiGroup: rbacGroup }];
        await denied(nothing, 'PUT', `${bindings}/kleis-changed`, { ...body, subjects });
      });
      test('other Roles for an ephemeral account', () =>
        denied(
          onlyEphemeral,
          'POST',
          bindings,
          roleBinding({ role: { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'edit' }, subjects: [leaseAccount] }),
        ));
    });

    describe('cluster-wide edit', () => {
      const mine = "these namespaces are Kleis's own";
      const pod = (serviceAccountName: string) => ({
        metadata: { name: 'stolen' },
        spec: { serviceAccountName, containers: [{ name: 'a', image: 'a' }] },
      });
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'forged' } };
      test.each([
        ["does not mint the broker's token", token('kleis-system', 'kleis-broker'), tokenRequest({})],
        [
          'does not mint for an account of a grant',
          token('kleis-identities', 'deploy-web'),
          tokenRequest({ expirationSeconds: 86_400 }),
        ],
        ['forges no lease', leases('kleis-state'), lease],
        ['runs no pod as the broker', '/api/v1/namespaces/kleis-system/pods', pod('kleis-broker')],
        ['runs no pod as an account of a grant', '/api/v1/namespaces/kleis-identities/pods', pod('deploy-web')],
        ['makes no Secret to bind tokens to', `${identities}/secrets`, leaseSecret('kleis-mine')],
        ['makes no ephemeral account', `${ephemeral}/serviceaccounts`, account('kleis-mine')],
      ])('%s', async (_, path, body) => {
        const refused = await world.editor('POST', path, { body });
        expect([refused.status, refused.body['message']]).toEqual([422, expect.stringContaining(mine)]);
        expect(refused.body['message']).toContain("Policy 'kleis-namespaces'");
      });

      test('deletes and changes nothing there', async () => {
        for (const path of [`${identities}/secrets/kleis-own`, `${identities}/serviceaccounts/deploy-web`]) {
          expect((await world.editor('DELETE', path)).status).toBe(422);
          const patch = { body: { metadata: { labels: { a: 'b' } } }, contentType: 'application/merge-patch+json' };
          expect((await world.editor('PATCH', path, patch)).status).toBe(422);
        }
      });

      test('does all of that in a namespace of its own, so that it is the policy that stops it', async () => {
        expect((await world.editor('POST', token('web', 'stranger'), { body: tokenRequest({}) })).status).toBe(201);
        expect((await world.editor('POST', leases('web'), { body: lease })).status).toBe(201);
        expect((await world.editor('POST', '/api/v1/namespaces/web/secrets', { body: leaseSecret('a') })).status).toBe(
          201,
        );
      });

      test('nor does whoever may delete and label namespaces', async () => {
        const rbac = `/apis/${rbacGroup}/v1`;
        const subjects = [{ kind: 'ServiceAccount', name: 'stranger', namespace: 'web' }];
        const rules = [{ apiGroups: [''], resources: ['namespaces'], verbs: ['delete', 'patch'] }];
        await world.admin('POST', `${rbac}/clusterroles`, { metadata: { name: 'spaces' }, rules });
        await world.admin('POST', `${rbac}/clusterrolebindings`, {
          metadata: { name: 'spaces' },
          roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'spaces' },
          subjects,
        });
        const call = world.as(await world.mintAsAdmin('web', 'stranger'));
        const allowed = '/api/v1/namespaces/web?dryRun=All';
        await until('the right is in force', async () => (await call('DELETE', allowed)).status === 200);
        const patch = { body: { metadata: { labels: { a: 'b' } } }, contentType: 'application/merge-patch+json' };
        for (const name of ['kleis-state', 'kleis-identities', 'kleis-system']) {
          expect((await call('DELETE', `/api/v1/namespaces/${name}`)).status).toBe(422);
          expect((await call('PATCH', `/api/v1/namespaces/${name}`, patch)).status).toBe(422);
        }
      });

      const as = (name: string) => ({ headers: { 'impersonate-user': `system:serviceaccount:kube-system:${name}` } });
      test('does nothing there as an account of kube-system that it impersonates', async () => {
        const made = await attack('POST', leases('kleis-state'), { body: { ...lease, metadata: { name: 'held' } } });
        expect(made.status).toBe(201);
        for (const name of ['generic-garbage-collector', 'namespace-controller']) {
          for (const path of [`${leases('kleis-state')}/held`, `${identities}/secrets/kleis-own`]) {
            const refused = await world.editor('DELETE', path, as(name));
            expect([refused.status, refused.body['message']]).toEqual([422, expect.stringContaining(mine)]);
          }
        }
      });

      test('what remains: as such an account, or with its token, it may remove the policies themselves', async () => {
        const binding = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/kleis-namespaces';
        const removed = await world.editor('DELETE', `${binding}?dryRun=All`, as('generic-garbage-collector'));
        expect(removed.status).toBe(200);
      });

      test('does not act as the broker by impersonating it', async () => {
        const headers = { 'impersonate-user': 'system:serviceaccount:kleis-system:kleis-broker' };
        const body = { ...lease, metadata: { name: 'impersonated' } };
        const refused = await world.editor('POST', leases('kleis-state'), { body, headers });
        expect([refused.status, refused.body['message']]).toEqual([422, expect.stringContaining('not impersonated')]);
      });
    });

    describe('what the control plane does in these namespaces, it goes on doing', () => {
      test('an account of kube-system with a token of its own', async () => {
        const { admin } = world;
        await admin('POST', '/api/v1/namespaces/kube-system/serviceaccounts', {
          metadata: { name: 'generic-garbage-collector' },
        }).catch((error: unknown) => expect(String(error)).toContain('AlreadyExists'));
        await admin('POST', `${identities}/secrets`, { metadata: { name: 'litter' } });
        const collector = world.as(await world.mintAsAdmin('kube-system', 'generic-garbage-collector'));
        await until('the collector may delete', async () => {
          const { status } = await collector('DELETE', `${identities}/secrets/litter`);
          return status === 200;
        });
      });

      // Of 1.30 there is no controller manager to be had.
      if (controllers) {
        test('the garbage collector and the namespace controller', async () => {
          const { admin } = world;
          const maps = `${ephemeral}/configmaps`;
          const owner = await admin('POST', maps, { metadata: { name: 'owner' } });
          const uid = owner.metadata?.uid;
          const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
          await admin('POST', maps, { metadata: { name: 'owned', ownerReferences } });
          await admin('DELETE', `${maps}/owner`);
          const status = async (path: string) => (await world.editor('GET', path)).status;
          await until('the garbage collector took it', async () => (await status(`${maps}/owned`)) === 404);
          // It holds a default account and kube-root-ca.crt, both made by controllers.
          await admin('DELETE', ephemeral);
          await until(
            'the namespace controller emptied it',
            async () => (await status(`${maps}/kube-root-ca.crt`)) === 404,
          );
          await until('and it is gone', () =>
            admin('GET', ephemeral).then(
              () => false,
              () => true,
            ),
          );
        });
      }
    });
  });
}

import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBound, pullKillSwitch, removeBound } from '../../../broker/leases/bound-objects.ts';
import { createKubernetesStore } from '../../../broker/leases/kubernetes.ts';
import { type Lease, type LeaseRequest, randomLeaseName } from '../../../broker/leases/lease.ts';
import { mint, type Minted } from '../../../broker/cluster/mint.ts';
import { needs } from '../../support/needs.ts';
import { apply, type Confined, startConfined } from './cluster.ts';
import { everyGrant, leaseAccess, load, needsOf, objectsOf, ttl, yamlOf } from './fixture.ts';

const servers = [
  { kind: '1.36', controllers: true, tool: 'kube-controllers' },
  { kind: '1.30', controllers: false, tool: 'kube-1.30' },
] as const;
const hash = () => createHash('sha256').update(randomBytes(16)).digest('hex');
const hour = 3_600_000;

function request(parts: Pick<LeaseRequest, 'account' | 'bound'> & Partial<LeaseRequest>): LeaseRequest {
  const now = Date.now();
  return {
    name: randomLeaseName(),
    grant: 'deploy-web',
    cluster: 'prod',
    holder: 'a test',
    subjectHash: hash(),
    subjectExpiresAt: now + hour,
    endsAt: now + hour,
    singleUse: true,
    now,
    ...parts,
  };
}

for (const { kind, controllers, tool } of servers) {
  describe.skipIf(!needs(tool) || !needs('kubectl-new'))(`with what rbac prints alone, on ${kind}`, () => {
    let world: Confined;
    beforeAll(async () => void (world = await startConfined(kind, controllers)), 120_000);
    afterAll(() => world?.stop());

    const store = () =>
      createKubernetesStore({ kube: world.broker.kube, cluster: 'prod', namespace: world.needs.stateNamespace! });
    const take = async (parts: Parameters<typeof request>[0]): Promise<Lease> => {
      const acquired = await store().acquire(request(parts));
      if (acquired.kind !== 'new') throw new Error(`the lease is ${acquired.kind}`);
      return acquired.lease;
    };
    /** What the API server lets a minted token do in the application's namespace. */
    const use = async ({ token }: Minted, verb: 'read' | 'write') => {
      const call = world.as(token.reveal());
      const path = '/api/v1/namespaces/web/configmaps';
      const answer =
        verb === 'read'
          ? await call('GET', path)
          : await call('POST', `${path}?dryRun=All`, { body: { metadata: { name: 'by-a-job' } } });
      return answer.status;
    };

    test('kubectl applies it, and a second time has nothing to do', () => {
      const [first, second] = world.applied;
      expect(first).toMatchObject({ code: 0, stderr: '' });
      expect(second).toMatchObject({ code: 0, stderr: '' });
      const lines = second!.stdout.trim().split('\n');
      expect(lines.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
      expect(lines).toHaveLength(26);
    });

    test('the broker sees that the policy is in force', async () => {
      expect(await world.broker.probe()).toMatchObject({ reachable: true, policy: 'in_force', problem: undefined });
    });

    test('it keeps leases: takes, reads, lists, marks, removes', async () => {
      const lease = await take({ account: { namespace: 'kleis-identities', name: 'plain' }, bound: 'none' });
      expect((await store().acquire(request({ ...lease, subjectHash: hash() }))).kind).toBe('replayed');
      expect((await store().get(lease.name))?.grant).toBe('deploy-web');
      expect((await store().list({ limit: 10 })).leases.map(({ name }) => name)).toContain(lease.name);
      const marked = await store().mark(lease, 'revoked', 'by a test');
      expect(marked?.state).toBe('revoked');
      expect(await store().remove(marked!)).toBe(true);
      expect(await store().get(lease.name)).toBeUndefined();
    });

    test('an account in the identity namespace: a token bound to a Secret of its own, which ends with it', async () => {
      const lease = await take({ account: { namespace: 'kleis-identities', name: 'deploy-web' }, bound: 'secret' });
      const target = await createBound(world.broker, lease);
      const minted = await mint(world.broker, { ...target, ttl: 3600 });
      // The API server remembers for 10 s whom it let in: so the one that ends is one that it has not seen.
      const unused = await mint(world.broker, { ...target, ttl: 3600 });
      expect(await use(minted, 'write')).toBe(201);
      await removeBound({ get: () => world.broker }, lease);
      await expect.poll(() => mintedWorks(unused), { timeout: 10_000 }).toBe(false);
    });

    test('an account of a grant that is not revocable: a token bound to nothing', async () => {
      const minted = await mint(world.broker, {
        account: { namespace: 'kleis-identities', name: 'plain' },
        ttl: 3600,
      });
      expect(await use(minted, 'read')).toBe(200);
      expect(await use(minted, 'write')).toBe(403);
    });

    test('an account with ClusterRoles: in two namespaces, one of them in the whole cluster, and nothing besides', async () => {
      const lease = await take({ account: { namespace: 'kleis-identities', name: 'reader' }, bound: 'secret' });
      const minted = await mint(world.broker, { ...(await createBound(world.broker, lease)), ttl: 3600 });
      const call = world.as(minted.token.reveal());
      const status = async (path: string) => (await call('GET', `/api/v1/${path}`)).status;
      expect(await use(minted, 'write')).toBe(403);
      expect(
        await Promise.all(['namespaces/web/configmaps', 'namespaces/default/configmaps', 'nodes'].map(status)),
      ).toEqual([200, 200, 200]);
      expect(await Promise.all(['configmaps', 'namespaces/kube-system/configmaps'].map(status))).toEqual([403, 403]);
      await removeBound({ get: () => world.broker }, lease);
    });

    test('an account elsewhere: its UID is seen, its tokens end with the kill switch, and without it none is minted', async () => {
      const account = { namespace: 'web', name: 'deployer', readable: true };
      const boundSecret = { name: 'kleis-kill-deployer' };
      const minted = await mint(world.broker, { account, ttl: 900, boundSecret });
      expect(minted.uidChecked).toBe(true);
      expect(await pullKillSwitch(world.broker, 'web', boundSecret.name)).toBeDefined();
      // The API server hears of it a moment later, and remembers for 10 s whom it let in meanwhile.
      await expect.poll(() => mintedWorks(minted), { timeout: 30_000 }).toBe(false);
      await expect(mint(world.broker, { account, ttl: 900, boundSecret })).rejects.toThrow(/not found/);
      expect((await apply(world.cluster, yamlOf(world.needs))).stdout).toContain('secret/kleis-kill-deployer created');
      await expect(mint(world.broker, { account, ttl: 900, boundSecret })).resolves.toBeDefined();
    });

    test('an account elsewhere without a kill switch', async () => {
      const account = { namespace: 'web', name: 'builder', readable: true };
      expect((await mint(world.broker, { account, ttl: 900 })).uidChecked).toBe(true);
    });

    test('an ephemeral account: made, bound to its Role and its ClusterRole, used, removed', async () => {
      const account = { namespace: 'kleis-ephemeral', name: '' };
      const lease = await take({ account, bound: 'account', access: ['web', 'web'], grant: 'lease' });
      const target = await createBound(world.broker, lease, leaseAccess('lease'));
      const minted = await mint(world.broker, { ...target, ttl: 3600 });
      const unused = await mint(world.broker, { ...target, ttl: 3600 });
      expect(await use(minted, 'write')).toBe(201);
      const bound = await world.admin('GET', `/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings`);
      const roles = (bound['items'] as { metadata: { name: string }; roleRef: { kind: string; name: string } }[])
        .filter(({ metadata }) => metadata.name.startsWith('kleis-l'))
        .map(({ roleRef }) => `${roleRef.kind} ${roleRef.name}`);
      expect(roles).toEqual(['Role deployer', 'ClusterRole observer']);
      await removeBound({ get: () => world.broker }, lease);
      // The API server sees through its own watch that an account is gone.
      await expect.poll(() => mintedWorks(unused), { timeout: 10_000, interval: 100 }).toBe(false);
      const bindings = await world.admin('GET', '/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings');
      const names = (bindings['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
      expect(names.filter((name) => name.startsWith('kleis-l'))).toEqual([]);
    });

    test('the keys of the cluster can be read, which revoking by token needs', async () => {
      expect((await world.attacker('GET', '/openid/v1/jwks')).status).toBe(200);
    });

    test('two thousand grants fit into the policies, which still let the right one through', async () => {
      const many = Object.fromEntries(
        Array.from({ length: 2000 }, (_, index) => [
          `g${index}`,
          {
            ...everyGrant['deploy-web'],
            serviceAccount: `account-with-a-rather-long-name-${index}`,
            access: undefined,
            ttl,
          },
        ]).map(([name, grant]) => [name, JSON.parse(JSON.stringify(grant)) as unknown]),
      );
      const plain = { ...everyGrant.plain, ttl: { default: '10m', max: '30m' } };
      const policies = needsOf(load({ ...everyGrant, ...many, plain }), [world.cluster.server]);
      const policy = objectsOf(policies).find(({ kind: what }) => what === 'ValidatingAdmissionPolicy')!;
      const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kleis-broker';
      const held = await world.admin('GET', path);
      await world.admin('PUT', path, { ...held, spec: policy['spec'] });
      try {
        const account = { namespace: 'kleis-identities', name: 'plain' };
        const tooLong = () =>
          mint(world.broker, { account, ttl: 3600 }).then(
            () => 'minted',
            (error: unknown) => String(error),
          );
        await expect.poll(tooLong, { timeout: 10_000, interval: 100 }).toMatch(/live shorter/);
        await expect(mint(world.broker, { account, ttl: 1800 })).resolves.toBeDefined();
        expect((await world.broker.probe()).policy).toBe('in_force');
      } finally {
        const now = await world.admin('GET', path);
        await world.admin('PUT', path, { ...now, spec: held['spec'] });
      }
    });

    async function mintedWorks({ token }: Minted): Promise<boolean> {
      const answer = await world.as(token.reveal())('GET', '/api/v1/namespaces/web/configmaps');
      return answer.status !== 401;
    }
  });
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isBoundObject } from '../../../broker/leases/bound-objects.ts';
import { openLease } from '../../../broker/leases/lifecycle.ts';
import { readBinding } from '../../../broker/leases/token-binding.ts';
import { revokeToken } from '../../../broker/leases/revocation.ts';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { startCluster, type Cluster } from '../../support/cluster.ts';
import { expectDead } from '../../support/dead.ts';
import { needs } from '../../support/needs.ts';
import { grants, startAppWorld, type AppWorld, type RunningBroker } from '../routes/world.ts';
import { leaseRequest, mintFor } from './world.ts';

const kinds = [
  { kind: 'stand-in' as const, skip: false },
  { kind: '1.36' as const, skip: !needs('kube') },
  { kind: '1.30' as const, skip: !needs('kube-1.30') },
];

const place = (namespace: string, resource: string) => `/api/v1/namespaces/${namespace}/${resource}`;
const secrets = place('kleis-identities', 'secrets');

interface Victim {
  readonly token: string;
  readonly lease: string;
}

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`revoking at ${kind}`, () => {
    let world: AppWorld;
    let broker: RunningBroker;
    /** Knows the same, and has keys of its own. */
    let dev: Cluster;
    let admin: Record<string, string>;
    /** Waits for tokens that are revoked, each of which a server may know for ten seconds more: the last test keeps them, at once. */
    const dying: (() => Promise<void>)[] = [];

    beforeAll(async () => {
      [world, dev] = await Promise.all([startAppWorld(kind), startCluster({ kind: 'stand-in' })]);
      for (const name of ['kleis-identities', 'web']) {
        await dev.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      }
      await makeAccount('kleis-identities', 'deploy-web', dev);
      const elsewhere = { namespace: 'web', name: 'deployer' };
      broker = await world.start({
        clusters: {
          prod: { credentials: { kubeconfig: world.state.cluster.adminKubeconfig } },
          dev: { credentials: { kubeconfig: dev.adminKubeconfig } },
        },
        grants: {
          ...grants,
          elsewhere: { ...grants['plain'], serviceAccount: elsewhere, access: undefined },
        },
      });
      admin = { authorization: `Bearer ${await world.issue({ groups: ['platform'] })}` };
    }, 120_000);
    afterAll(async () => {
      await Promise.all([world?.stop(), dev?.stop()]);
    });

    const prod = () => world.state.cluster;

    async function makeAccount(namespace: string, name: string, cluster = prod()): Promise<void> {
      const manifest = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
      await cluster.request('POST', place(namespace, 'serviceaccounts'), manifest);
    }

    async function makeSecret(namespace: string, name: string, cluster = prod()): Promise<void> {
      const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace } };
      await cluster.request('POST', place(namespace, 'secrets'), manifest);
    }

    /** A token that the cluster really signed, as somebody gets it who may do so in that namespace. */
    async function mintAsOther(namespace: string, account: string, secret?: string, cluster = prod()): Promise<string> {
      const boundObjectRef = secret === undefined ? undefined : { kind: 'Secret', apiVersion: 'v1', name: secret };
      const made = await cluster.request('POST', `${place(namespace, 'serviceaccounts')}/${account}/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [], expirationSeconds: 600, boundObjectRef },
      });
      return (made['status'] as { token: string }).token;
    }

    async function victim(scope = 'deploy-web'): Promise<Victim> {
      const { status, body } = await broker.exchange(await world.issue(), { scope });
      expect(status).toBe(200);
      return { token: body.access_token, lease: body.lease };
    }

    async function ephemeralVictim(): Promise<Victim> {
      const services = world.state.replica();
      const account = { namespace: 'kleis-ephemeral', name: '' };
      const opened = await openLease(services, leaseRequest(Date.now(), { bound: 'account', account }), [
        { kind: 'Role', namespace: 'web', name: 'deployer' },
      ]);
      const { token } = await mintFor(services, opened);
      return { token: token.reveal(), lease: opened.lease!.name };
    }

    const revoke = async (token: string) =>
      (
        await broker.call('/revoke', {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: `token=${token}`,
        })
      ).body;
    const revokeAsAdmin = async (lease: string) =>
      (await broker.call(`/leases/${lease}`, { method: 'DELETE', headers: admin })).body;

    async function expectUntouched({ token, lease }: Victim): Promise<void> {
      expect(await world.state.ask(token)).toBe(201);
      const [found] = await leasesNamed(lease);
      expect(found).toMatchObject({ state: 'active' });
    }

    async function leasesNamed(id: string): Promise<{ id: string; state: string }[]> {
      const { body } = await broker.call('/leases?limit=500', { headers: admin });
      return body.leases.filter((each: { id: string }) => each.id === id);
    }

    const strangers: [string, (lease: string) => Promise<string>][] = [
      [
        'of another namespace, bound to a Secret of that name there',
        async (lease) => {
          await makeSecret('web', `kleis-${lease}-0`);
          return mintAsOther('web', 'deployer', `kleis-${lease}-0`);
        },
      ],
      [
        'of another account of the namespace, bound to the very Secret of the lease',
        async (lease) => {
          await makeAccount('kleis-identities', `other-${lease}`);
          return mintAsOther('kleis-identities', `other-${lease}`, `kleis-${lease}-0`);
        },
      ],
      [
        'of an account that is called like the Secret',
        async (lease) => {
          await makeAccount('kleis-identities', `kleis-${lease}-0`);
          return mintAsOther('kleis-identities', `kleis-${lease}-0`);
        },
      ],
      [
        'of an account that is called like that of an ephemeral lease',
        async (lease) => {
          await makeAccount('kleis-ephemeral', `kleis-${lease}-0`);
          return mintAsOther('kleis-ephemeral', `kleis-${lease}-0`);
        },
      ],
      [
        'of a turn that is yet to come',
        async (lease) => {
          await makeSecret('kleis-identities', `kleis-${lease}-1`);
          return mintAsOther('kleis-identities', 'deploy-web', `kleis-${lease}-1`);
        },
      ],
      [
        'of another cluster that has all the same names',
        async (lease) => {
          await makeSecret('kleis-identities', `kleis-${lease}-0`, dev);
          return mintAsOther('kleis-identities', 'deploy-web', `kleis-${lease}-0`, dev);
        },
      ],
    ];

    const strangersOfEphemeral: [string, (name: string) => Promise<string>][] = [
      [
        'of another account, bound to a Secret of that name',
        async (name) => {
          await makeAccount('kleis-ephemeral', `other-${name}`);
          await makeSecret('kleis-ephemeral', name);
          return mintAsOther('kleis-ephemeral', `other-${name}`, name);
        },
      ],
      [
        'of its very account, bound to a Secret',
        async (name) => {
          await makeSecret('kleis-ephemeral', `${name}-x`);
          return mintAsOther('kleis-ephemeral', name, `${name}-x`);
        },
      ],
      [
        'of an account of that name in another namespace',
        async (name) => {
          await makeAccount('kleis-identities', name);
          return mintAsOther('kleis-identities', name);
        },
      ],
      [
        'of a turn that is yet to come',
        async (name) => {
          await makeAccount('kleis-ephemeral', name.replace(/0$/, '7'));
          return mintAsOther('kleis-ephemeral', name.replace(/0$/, '7'));
        },
      ],
    ];

    it.each(strangersOfEphemeral)('ends no lease with an account of its own for a token %s', async (_, forge) => {
      const { lease, token } = await ephemeralVictim();
      const forged = await forge(`kleis-${lease}-0`);
      expect((await revoke(forged)).revoked).not.toBe(true);
      await expectUntouched({ lease, token });
      expect(await revoke(token)).toMatchObject({ revoked: true, lease });
      dying.push(async () => expectDead(world.state, token));
    });

    it('ends no lease for a token whose account was made anew since', async () => {
      const { lease, token } = await ephemeralVictim();
      const name = `kleis-${lease}-0`;
      await prod().request('DELETE', `${place('kleis-ephemeral', 'serviceaccounts')}/${name}`);
      await makeAccount('kleis-ephemeral', name);
      expect(await revoke(token)).toEqual({ revoked: false, reason: 'unknown' });
      expect((await leasesNamed(lease))[0]).toMatchObject({ state: 'active' });
    });

    it.each(strangers)('ends no lease for a token %s', async (_, forge) => {
      const held = await victim();
      const forged = await forge(held.lease);
      expect(await revoke(forged)).toEqual({ revoked: false, reason: 'unknown' });
      await expectUntouched(held);
      expect(await revoke(held.token)).toMatchObject({ revoked: true, lease: held.lease });
      expect((await leasesNamed(held.lease))[0]).toMatchObject({ state: 'revoked' });
    });

    it('ends no lease for a token whose Secret was made anew since', async () => {
      const held = await victim();
      const name = `kleis-${held.lease}-0`;
      await prod().request('DELETE', `${secrets}/${name}`);
      expect(await revoke(held.token)).toEqual({ revoked: false, reason: 'unknown' });
      await makeSecret('kleis-identities', name);
      expect(await revoke(held.token)).toEqual({ revoked: false, reason: 'unknown' });
      expect(await world.state.names(secrets)).toContain(name);
      expect((await leasesNamed(held.lease))[0]).toMatchObject({ state: 'active' });
    });

    it.each([
      ['holder', (held: Victim) => revoke(held.token)],
      ['admin', (held: Victim) => revokeAsAdmin(held.lease)],
    ])('deletes once more what is said to be revoked and lives, for its %s', async (_, again) => {
      const held = await victim();
      const path = `/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases/${held.lease}`;
      await prod().request('PATCH', path, { metadata: { labels: { 'kleis.dev/state': 'revoked' } } });
      expect(await again(held)).toEqual({ revoked: true, dead_within: 10, lease: held.lease });
      dying.push(async () => {
        await expectDead(world.state, held.token);
        expect(await again(held)).toMatchObject({ revoked: true });
      });
    });

    it('asks whose object it is without touching it', async () => {
      const held = await victim();
      const { claims } = decodeUnverified(held.token);
      const services = world.state.replica();
      const lease = await services.store.get(held.lease);
      const uid = readBinding(claims).object?.uid;
      expect(await isBoundObject(services.clusters.get('prod')!, lease!, 0, uid)).toBe(true);
      await expectUntouched(held);
    });

    it('takes the key that two clusters share for no proof of whose token it is', async () => {
      const held = await victim();
      const { claims } = decodeUnverified(held.token);
      const services = world.state.replica();
      const presented = { name: held.lease, turn: 0 };
      const own = { ...presented, binding: readBinding(claims) };
      const { object } = own.binding;
      const uid = '00000000-0000-4000-8000-000000000000';
      const other = { ...presented, binding: { ...own.binding, object: { ...object!, uid } } };
      expect(await revokeToken(services, own, ['dev'])).toMatchObject({ outcome: 'unknown' });
      expect(await revokeToken(services, other, ['dev', 'prod'])).toMatchObject({ outcome: 'unknown' });
      await expectUntouched(held);
      expect(await revokeToken(services, own, ['dev', 'prod'])).toMatchObject({ outcome: 'revoked' });
      expect(await revokeToken(services, other, ['dev', 'prod'])).toMatchObject({ outcome: 'unknown' });
    });

    it('leaves no token alive that it has revoked', async () => {
      expect(dying).toHaveLength(6);
      await Promise.all(dying.map((wait) => wait()));
    });
  });
}

import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify } from 'jose';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster as BrokerCluster, openClusters, type Clusters } from '../../../broker/cluster/clusters.ts';
import { mint } from '../../../broker/cluster/mint.ts';
import { startCluster, type Cluster } from '../../support/cluster.ts';
import { needs } from '../../support/needs.ts';
import type { StandInCluster } from '../../support/stand-in/cluster.ts';
import type { Fault } from '../../support/stand-in/server.ts';
import { clusterConfig } from '../leases/world.ts';

const kinds = [
  { kind: 'stand-in' as const, skip: false },
  { kind: '1.36' as const, skip: !needs('kube') },
  { kind: '1.30' as const, skip: !needs('kube-1.30') },
];

const accounts = '/api/v1/namespaces/default/serviceaccounts';
const secrets = '/api/v1/namespaces/default/secrets';

for (const { kind, skip } of kinds) {
  describe.skipIf(skip)(`minting at ${kind}`, () => {
    let cluster: Cluster;
    let clusters: Clusters;
    let prod: BrokerCluster;
    let folder: string;
    let made = 0;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'kleis-mint-'));
      cluster = await startCluster({ kind });
      const plain = clusterConfig(cluster.adminKubeconfig);
      const strange = { ...plain, name: 'strange', audiences: ['https://vault.example'] };
      clusters = openClusters({ prod: plain, strange }, { clock: Date, env: {} });
      prod = clusters.get('prod')!;
    });
    afterEach(() => {
      if (kind === 'stand-in') (cluster as StandInCluster).standIn.fault = undefined;
    });
    afterAll(async () => {
      clusters?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true });
    });

    async function account(name = `account-${(made += 1)}`): Promise<{ namespace: string; name: string; uid: string }> {
      const { metadata } = await cluster.request('POST', accounts, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name },
      });
      return { namespace: 'default', name, uid: metadata.uid ?? '' };
    }

    async function secret(): Promise<{ name: string; uid: string }> {
      const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `secret-${(made += 1)}` } };
      const { metadata } = await cluster.request('POST', secrets, manifest);
      return { name: metadata.name, uid: metadata.uid ?? '' };
    }

    const named = ({ namespace, name }: { namespace: string; name: string }) => ({ namespace, name });

    it('gives what the API server gave: expiry, id, audiences, and for which account', async () => {
      const owner = await account();
      const bound = await secret();
      const minted = await mint(prod, { account: owner, ttl: 601, boundSecret: bound });
      const claims = decodeJwt(minted.token.reveal());
      expect(minted).toMatchObject({
        expiresAt: Number(claims.exp) * 1000,
        jti: claims.jti,
        audiences: [cluster.server],
        accountUid: owner.uid,
        uidChecked: true,
        warnings: [],
      });
      expect(Number(claims.exp) - Number(claims.iat)).toBe(601);
      expect(claims['kubernetes.io']).toMatchObject({ secret: bound });
      expect(JSON.stringify(minted)).not.toContain(minted.token.reveal().slice(0, 20));
    });

    it('can be verified with the keys that the cluster publishes', async () => {
      const { token } = await mint(prod, { account: await account(), ttl: 600 });
      const dispatcher = new Agent({ connect: { ca: cluster.caPem }, keepAliveTimeout: 10 });
      const reader = await account();
      // Whoever reads the keys must be somebody; on the real one RBAC gives it to all accounts.
      const { token: bearer } = await mint(prod, { account: reader, ttl: 600 });
      const keys = createRemoteJWKSet(new URL(`${cluster.server}/openid/v1/jwks`), {
        headers: { authorization: `Bearer ${bearer.reveal()}` },
        [customFetch]: (url: string, init: object) =>
          fetch(url, { ...init, dispatcher }) as unknown as Promise<Response>,
      });
      const { payload } = await jwtVerify(token.reveal(), keys, { audience: cluster.server });
      expect(payload.iss).toBe(cluster.server);
    });

    it('asks the API server what it accepts, by letting it fill in the audience', async () => {
      await mint(prod, { account: await account(), ttl: 600 });
      expect(await prod.acceptedAudiences()).toEqual([cluster.server]);
      const { audiences } = await mint(clusters.get('strange')!, { account: await account(), ttl: 600 });
      expect(audiences).toEqual(['https://vault.example']);
    });

    it('knows what the API server accepts from its own token before it has minted', async () => {
      const { token } = await mint(prod, { account: await account(), ttl: 600 });
      const tokenFile = join(folder, 'own.token');
      await writeFile(tokenFile, token.reveal(), { mode: 0o600 });
      const config = { ...clusterConfig(''), credentials: { tokenFile }, server: cluster.server };
      const own = openClusters({ own: { ...config, certificateAuthority: cluster.caFile } }, { clock: Date, env: {} });
      expect(await own.get('own')!.acceptedAudiences()).toEqual([cluster.server]);
      own.close();
    });

    it('says when the API server shortens what was asked for', async () => {
      const minted = await mint(prod, { account: await account(), ttl: 172_800 });
      expect(minted.warnings).toEqual(['requested expiration of 172800 seconds shortened to 86400 seconds']);
      expect(minted.expiresAt).toBeLessThan(Date.now() + 86_401_000);
    });

    it('gives nothing for an account that was made anew since it was seen', async () => {
      const old = await account();
      await mint(prod, { account: named(old), ttl: 600 });
      await cluster.request('DELETE', `${accounts}/${old.name}`);
      await account(old.name);
      await expect(mint(prod, { account: named(old), ttl: 600 })).rejects.toMatchObject({
        reason: 'account_changed',
        ambiguous: false,
        retryable: true,
      });
      expect((await mint(prod, { account: named(old), ttl: 600 })).uidChecked).toBe(false);
      expect((await mint(prod, { account: named(old), ttl: 600 })).uidChecked).toBe(true);
    });

    it('asks for the UID of an account that it may read', async () => {
      const owner = await account();
      const minted = await mint(prod, { account: { ...named(owner), readable: true }, ttl: 600 });
      expect(minted).toMatchObject({ uidChecked: true, accountUid: owner.uid });
    });

    it('fails for certain when something that it takes is missing', async () => {
      const nobody = { namespace: 'default', name: 'nobody' };
      const missing = { reason: 'account_missing', ambiguous: false, retryable: false };
      await expect(mint(prod, { account: nobody, ttl: 600 })).rejects.toMatchObject(missing);
      await expect(mint(prod, { account: { ...nobody, readable: true }, ttl: 600 })).rejects.toMatchObject(missing);
      const request = { account: await account(), ttl: 600 };
      const unbound = { reason: 'bound_missing', ambiguous: false };
      await expect(mint(prod, { ...request, boundSecret: { name: 'gone' } })).rejects.toMatchObject(unbound);
      const { name } = await secret();
      const uid = '00000000-0000-4000-8000-000000000000';
      const superseded = { reason: 'superseded', ambiguous: false, retryable: true };
      await expect(mint(prod, { ...request, boundSecret: { name, uid } })).rejects.toMatchObject(superseded);
      const own = { name: 'gone', uid };
      await expect(mint(prod, { ...request, boundSecret: own })).rejects.toMatchObject(superseded);
      await expect(mint(prod, { ...request, ttl: 599 })).rejects.toMatchObject({ reason: 'invalid', ambiguous: false });
    });

    it('fails for certain, and may be tried again after a restart, when RBAC says no', async () => {
      const owner = await account();
      const { token } = await mint(prod, { account: owner, ttl: 600 });
      const tokenFile = join(folder, 'weak.token');
      await writeFile(tokenFile, token.reveal(), { mode: 0o600 });
      const config = { ...clusterConfig(''), credentials: { tokenFile }, server: cluster.server };
      const weak = openClusters(
        { weak: { ...config, certificateAuthority: cluster.caFile } },
        { clock: Date, env: {} },
      );
      await expect(mint(weak.get('weak')!, { account: owner, ttl: 600 })).rejects.toMatchObject({
        reason: 'forbidden',
        ambiguous: false,
        retryable: true,
      });
      weak.close();
    });

    if (kind !== 'stand-in') return;

    describe('with an API server that fails', () => {
      const fail = (fault: Fault) => {
        let calls = 0;
        (cluster as StandInCluster).standIn.fault = ({ path }) => {
          if (!path.endsWith('/token')) return undefined;
          calls += 1;
          return fault;
        };
        return () => calls;
      };
      const status = (code: number, reason: string, message = reason) => ({
        kind: 'answer' as const,
        status: code,
        body: { kind: 'Status', status: 'Failure', reason, message, code },
      });

      it('never asks twice', async () => {
        const owner = await account();
        for (const fault of [{ kind: 'drop' }, { kind: 'drop', after: true }] as const) {
          const calls = fail(fault);
          await expect(mint(prod, { account: owner, ttl: 600 })).rejects.toMatchObject({
            reason: 'unavailable',
            ambiguous: true,
            retryable: true,
          });
          expect(calls()).toBe(1);
        }
      });

      it.each([
        ['its own words', status(500, 'InternalError'), { ambiguous: false, retryable: true, reason: 'unavailable' }],
        [
          'a proxy in between',
          { kind: 'answer' as const, status: 502, body: '<html>' },
          { ambiguous: true, retryable: true },
        ],
        [
          'too many requests',
          { ...status(429, 'TooManyRequests'), headers: { 'retry-after': '7' } },
          { ambiguous: false, retryAfter: 7 },
        ],
        [
          'the admission policy',
          status(
            422,
            'Invalid',
            "ValidatingAdmissionPolicy 'kleis-broker' with binding 'kleis-broker' denied request: no",
          ),
          { ambiguous: false, retryable: false, reason: 'policy' },
        ],
      ])('tells %s', async (_, fault, expected) => {
        const owner = await account();
        fail(fault);
        await expect(mint(prod, { account: owner, ttl: 600 })).rejects.toMatchObject(expected);
      });

      it('takes no token that is not what was asked for', async () => {
        const [owner, other, bound] = [await account(), await account(), await secret()];
        const tokenOf = async (name: string, spec: object) =>
          (await cluster.request('POST', `${accounts}/${name}/token`, {
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'TokenRequest',
            spec,
          })) as unknown as { spec: object; status: { token: string; expirationTimestamp: string } };
        const unbound = await tokenOf(owner.name, {});
        // The same names, and not the same objects.
        const namesake = { kind: 'Secret', apiVersion: 'v1', ...bound };
        const former = await account();
        const stale = await tokenOf(former.name, {});
        await cluster.request('DELETE', `${accounts}/${former.name}`);
        const anew = await account(former.name);
        const answers: [words: string, body: object][] = [
          ['is for another account', await tokenOf(other.name, {})],
          [
            'is for another audience',
            await tokenOf(owner.name, { audiences: [cluster.server, 'vault'] }).then((answer) => ({
              ...answer,
              spec: unbound.spec,
            })),
          ],
          ['is not bound to its Secret', unbound],
          ['is bound to another Secret', await tokenOf(owner.name, { boundObjectRef: namesake })],
          ['was made anew', stale],
          ['is missing', {}],
          ['cannot be read', { ...unbound, status: { ...unbound.status, token: 'x.y.z' } }],
        ];
        for (const [words, body] of answers) {
          fail({ kind: 'answer', status: 201, body });
          // Of the same name, made anew.
          const otherSecret = { ...bound, uid: '00000000-0000-4000-8000-000000000000' };
          const boundSecret = words.includes('its Secret') ? bound : words.includes('Secret') ? otherSecret : undefined;
          const asked = words.includes('anew') ? anew : owner;
          await expect(mint(prod, { account: asked, ttl: 600, boundSecret })).rejects.toThrow(words);
        }
      });
    });
  });
}

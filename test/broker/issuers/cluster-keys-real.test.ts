import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { createIssuers } from '../../../broker/issuers/issuers.ts';
import { createFetch } from '../../../shared/net/http.ts';
import { startCluster, type Cluster, type ClusterOptions } from '../../support/cluster.ts';
import { needs } from '../../support/needs.ts';
import { clusterConfig } from '../leases/world.ts';
import { codeOf } from './fixture.ts';

const missing = !needs('kube') || !needs('kube-1.30');
const audience = 'https://kleis.example.com';
const url = 'https://kubernetes.default.svc.cluster.local';
const clock = { now: Date.now, sleep: async () => undefined };
let folder: string;
const ends: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-cluster-keys-'));
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  await rm(folder, { recursive: true, force: true });
});

/** Namespace, account and a token of it. */
async function tokenOf(cluster: Cluster, name: string, audiences?: readonly string[]): Promise<string> {
  const at = '/api/v1/namespaces/default/serviceaccounts';
  const metadata = { name, namespace: 'default' };
  await cluster.request('POST', at, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const { status } = await cluster.request('POST', `${at}/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences },
  });
  return (status as { token: string }).token;
}

async function world(options: Readonly<Record<string, ClusterOptions>>) {
  const started = await Promise.all(
    Object.entries(options).map(async ([name, one]) => ({ name, cluster: await startCluster(one) })),
  );
  for (const { cluster } of started) ends.push(() => cluster.stop());
  const configs = await Promise.all(
    started.map(async ({ name, cluster: { server, caFile }, cluster }) => {
      const tokenFile = join(folder, `${name}.token`);
      await writeFile(tokenFile, await tokenOf(cluster, 'kleis-broker'));
      const more = { name, server, certificateAuthority: caFile, credentials: { tokenFile } };
      return [name, clusterConfig('', more)] as const;
    }),
  );
  const clusters = openClusters(Object.fromEntries(configs), { clock, env: {} });
  ends.push(() => clusters.close());
  const issuers = createIssuers(
    started.map(({ name }) => ({ name, url: undefined, cluster: name, audience, singleUse: false, leeway: 30_000 })),
    {
      clock,
      fetchFor: (wanted) => createFetch({ ...wanted, env: {}, now: Date.now }),
      connectionTo: (name) => clusters.get(name)?.kube,
    },
  );
  const job = async (index: number) => tokenOf(started[index]!.cluster, 'job', [audience]);
  return { issuers, job, started };
}

describe.skipIf(missing)('stock API servers as issuers', () => {
  it('1.36 and 1.30 of one URL, which answer nobody from outside, are told apart by their keys', async () => {
    const { issuers, job, started } = await world({
      prod: { kind: '1.36', issuer: url },
      stage: { kind: '1.30', issuer: url },
    });
    const { server, caPem } = started[0]!.cluster;
    const outside = await fetch(`${server}/.well-known/openid-configuration`, {
      dispatcher: new Agent({ connect: { ca: caPem } }),
    });
    expect(outside.status).toBe(403);
    expect(await issuers.verify(await job(0))).toMatchObject({
      issuer: 'prod',
      claims: { iss: url, sub: 'system:serviceaccount:default:job' },
    });
    expect((await issuers.verify(await job(1))).issuer).toBe('stage');
    expect(issuers.health()).toMatchObject({ prod: { ok: true, keys: 1 }, stage: { ok: true, keys: 1 } });
  });

  it('of one URL and one key are refused by name', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const shared = { issuer: url, signingKey };
    const { issuers, job } = await world({ prod: { kind: '1.36', ...shared }, stage: { kind: '1.30', ...shared } });
    expect(await codeOf(issuers.verify(await job(0)))).toBe('subject_issuer_unknown');
    expect(await codeOf(issuers.verify(await job(1)))).toBe('subject_issuer_unknown');
    expect(issuers.health()['prod']?.lastError).toContain('issuers.stage');
  });
});

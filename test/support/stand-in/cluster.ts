import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { createAuthority } from '../certificates.ts';
import type { Cluster, ClusterOptions } from '../cluster.ts';
import { startStandIn, type StandIn } from './server.ts';
import type { KubeObject } from './store.ts';

export interface StandInCluster extends Cluster {
  readonly standIn: StandIn;
}

/** The stand-in with what goes with a cluster: a CA, files, a kubeconfig of its administrator. */
export async function startStandInCluster({ oidc }: Pick<ClusterOptions, 'oidc'> = {}): Promise<StandInCluster> {
  const authority = await createAuthority();
  const tls = await authority.issueServer(['127.0.0.1', '::1', 'localhost']);
  const adminToken = randomUUID();
  const standIn = await startStandIn({ tls, adminToken, oidc });
  const folder = await mkdtemp(join(tmpdir(), 'kleis-stand-in-'));
  const caFile = join(folder, 'ca.crt');
  const adminKubeconfig = join(folder, 'admin.kubeconfig');
  await writeFile(caFile, authority.cert);
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: standIn.url, 'certificate-authority': caFile } }],
    users: [{ name: 'admin', user: { token: adminToken } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  };
  await writeFile(adminKubeconfig, JSON.stringify(kubeconfig), { mode: 0o600 });
  const dispatcher = new Agent({ connect: { ca: authority.cert }, keepAliveTimeout: 1000 });
  return {
    kind: 'stand-in',
    server: standIn.url,
    caPem: authority.cert,
    caFile,
    adminKubeconfig,
    standIn,
    async request(method, path, body) {
      const response = await fetch(`${standIn.url}${path}`, {
        method,
        dispatcher,
        headers: {
          authorization: `Bearer ${adminToken}`,
          'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return JSON.parse(text) as KubeObject;
    },
    audit: async () => standIn.requests,
    async stop() {
      await dispatcher.close();
      await standIn.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

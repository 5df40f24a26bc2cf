import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import type { LoadedConfig } from '../../../broker/config/load.ts';
import { type Cluster as BrokerCluster, openClusters } from '../../../broker/cluster/clusters.ts';
import { findTool } from '../../support/tools.ts';
import { run, type RunResult } from '../../support/run.ts';
import { startCluster, type Cluster, type ClusterOptions } from '../../support/cluster.ts';
import type { ClusterNeeds } from '../../../broker/rbac/needs.ts';
import { load, needsOf, yamlOf } from './fixture.ts';
import { until } from '../../support/wait.ts';

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly metadata?: { readonly uid?: string; readonly name?: string } };
  readonly text: string;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Call = (method: string, path: string, options?: CallOptions) => Promise<Answer>;

/** A real cluster that holds what `rbac` prints, and what an application's admin has made. Nothing else. */
export interface Confined {
  readonly cluster: Cluster;
  readonly loaded: LoadedConfig;
  readonly needs: ClusterNeeds;
  /** Results of `kubectl apply -f -`, the first and the second time. */
  readonly applied: readonly RunResult[];
  /** With a bearer token, whatever comes of it. */
  as(token: string): Call;
  /** As cluster-admin; throws unless it works. */
  readonly admin: (method: string, path: string, body?: unknown) => Promise<Answer['body']>;
  /** As what a binding of the stock role `edit` in the whole cluster gives. */
  readonly editor: Call;
  /** With the broker's own token, as an attacker has it. */
  readonly attacker: Call;
  readonly brokerToken: string;
  /** With the same token, as the broker uses it. */
  readonly broker: BrokerCluster;
  mintAsAdmin(namespace: string, name: string): Promise<string>;
  stop(): Promise<void>;
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const rbacVersion = 'rbac.authorization.k8s.io/v1';

/** `parts` of the configuration that is applied. */
export async function startConfined(
  kind: ClusterOptions['kind'],
  controllers: boolean,
  parts: Record<string, unknown> = {},
): Promise<Confined> {
  const cluster = await startCluster({ kind, controllers });
  const folder = await mkdtemp(join(tmpdir(), 'kleis-rbac-'));
  const dispatcher = new Agent({ connect: { ca: cluster.caPem }, keepAliveTimeout: 1000 });
  const stop = async () => {
    await dispatcher.close();
    await rm(folder, { recursive: true, force: true });
    await cluster.stop();
  };
  try {
    const loaded = load(undefined, parts);
    const needs = needsOf(loaded, [cluster.server]);
    const admin: Confined['admin'] = async (method, path, body) => cluster.request(method, path, body);
    await makeApplication(admin, controllers);
    const applied = [await apply(cluster, yamlOf(needs)), await apply(cluster, yamlOf(needs))];
    const as = (token: string) => caller(cluster.server, dispatcher, token);
    const mintAsAdmin = async (namespace: string, name: string) => {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
      const minted = await admin('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, body);
      return (minted['status'] as { token: string }).token;
    };
    const brokerToken = await mintAsAdmin(needs.broker.namespace, needs.broker.name);
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, brokerToken, { mode: 0o600 });
    const { prod } = loaded.config.clusters;
    const broker = openClusters(
      {
        prod: {
          ...prod!,
          audiences: [cluster.server],
          server: cluster.server,
          certificateAuthority: cluster.caFile,
          credentials: { tokenFile },
        },
      },
      { clock: { now: Date.now }, env: {} },
    );
    // A policy is in force a moment after it was made.
    await until('the policy is in force', async () => (await broker.get('prod')!.probe()).policy === 'in_force');
    return {
      cluster,
      loaded,
      needs,
      applied,
      as,
      admin,
      attacker: as(brokerToken),
      editor: as(await mintAsAdmin('web', 'editor')),
      brokerToken,
      broker: broker.get('prod')!,
      mintAsAdmin,
      async stop() {
        broker.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is not Kleis's: the application's namespace, its Roles, ClusterRoles and accounts, and somebody with `edit` everywhere. */
async function makeApplication(admin: Confined['admin'], controllers: boolean): Promise<void> {
  await admin('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'web' } });
  for (const name of ['deployer', 'viewer', 'other']) {
    await admin('POST', `${rbac}/namespaces/web/roles`, {
      apiVersion: rbacVersion,
      kind: 'Role',
      metadata: { name },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: name === 'viewer' ? ['get', 'list'] : ['*'] }],
    });
  }
  for (const [name, resource] of [
    ['observer', 'configmaps'],
    ['node-reader', 'nodes'],
  ]) {
    await admin('POST', `${rbac}/clusterroles`, {
      apiVersion: rbacVersion,
      kind: 'ClusterRole',
      metadata: { name },
      rules: [{ apiGroups: [''], resources: [resource], verbs: ['get', 'list'] }],
    });
  }
  for (const name of ['deployer', 'builder', 'editor', 'stranger']) {
    await admin('POST', '/api/v1/namespaces/web/serviceaccounts', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name },
    });
  }
  await admin('POST', '/api/v1/namespaces/web/secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'database' },
    stringData: { password: 'hunter2' },
  });
  // Without controllers nothing is aggregated into `edit`.
  const role = controllers ? 'edit' : 'system:aggregate-to-edit';
  await admin('POST', `${rbac}/clusterrolebindings`, {
    apiVersion: rbacVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'editor' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'editor', namespace: 'web' }],
  });
}

export async function apply(cluster: Cluster, yaml: string): Promise<RunResult> {
  const kubectl = findTool('kubectl-new') ?? findTool('kubectl') ?? 'kubectl';
  return run(kubectl, ['--kubeconfig', cluster.adminKubeconfig, 'apply', '-f', '-'], {
    env: { HOME: tmpdir(), PATH: '/usr/bin:/bin' },
    stdin: yaml,
    timeout: 60_000,
  });
}

function caller(server: string, dispatcher: Agent, token: string): Call {
  return async (method, path, { body, contentType = 'application/json', headers = {} } = {}) => {
    const response = await fetch(`${server}${path}`, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': contentType, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    let read: Answer['body'] = {};
    try {
      read = JSON.parse(text) as Answer['body'];
    } catch {
      // A few answers are plain text.
    }
    return { status: response.status, body: read, text };
  };
}

import { Agent, fetch } from 'undici';
import { openClusters, type Clusters } from '../../../broker/cluster/clusters.ts';
import type { ClusterConfig } from '../../../broker/config/broker-config.ts';
import { mint, type Minted } from '../../../broker/cluster/mint.ts';
import { createKubernetesStore } from '../../../broker/leases/kubernetes.ts';
import { type LeaseRequest, randomLeaseName } from '../../../broker/leases/lease.ts';
import { createMemoryStore } from '../../../broker/leases/memory.ts';
import type { LeaseServices, Opened } from '../../../broker/leases/lifecycle.ts';
import type { LeaseStore } from '../../../broker/leases/store.ts';
import { startCluster, type Cluster, type ClusterOptions } from '../../support/cluster.ts';
import { needs } from '../../support/needs.ts';
import type { StandInCluster } from '../../support/stand-in/cluster.ts';

export const minute = 60_000;

export interface StateKind {
  readonly title: string;
  readonly cluster: ClusterOptions['kind'];
  readonly memory: boolean;
  readonly skip: boolean;
}

/** A function, so that only suites that ask for the real server are said to miss it. */
export const stateKinds = (): readonly StateKind[] => [
  { title: 'memory', cluster: 'stand-in', memory: true, skip: false },
  { title: 'Leases of the stand-in', cluster: 'stand-in', memory: false, skip: false },
  { title: 'Leases of kube-apiserver 1.36', cluster: '1.36', memory: false, skip: !needs('kube') },
];

/** Our time, which a test may put forward; the stand-in's goes with it. */
export interface TestClock {
  offset: number;
  now(): number;
}

/** A cluster with the namespaces that Kleis uses, and brokers that share it. */
export interface StateWorld {
  readonly cluster: Cluster;
  readonly standIn: StandInCluster['standIn'];
  readonly clock: TestClock;
  /** Does the work as if it was so much later (ms): at a real API server leases are put back instead. */
  later<T>(milliseconds: number, work: () => Promise<T>): Promise<T>;
  /** What one replica has, by its own clock if it is given; they share the leases. */
  replica(clock?: { now(): number }): LeaseServices;
  store(): LeaseStore;
  /** HTTP status that the API server answers to the bearer of the token with. */
  ask(token: string): Promise<number>;
  /** Names of the objects of a namespace. */
  names(path: string): Promise<string[]>;
  stop(): Promise<void>;
}

export const clusterConfig = (kubeconfig: string, more: Partial<ClusterConfig> = {}): ClusterConfig => ({
  name: 'prod',
  credentials: { kubeconfig },
  identityNamespace: 'kleis-identities',
  ephemeralNamespace: 'kleis-ephemeral',
  systemNamespace: 'kleis-system',
  serviceAccount: 'kleis-broker',
  ...more,
});

export async function startStateWorld({
  cluster: kind,
  memory,
}: Pick<StateKind, 'cluster' | 'memory'>): Promise<StateWorld> {
  const cluster = await startCluster({ kind });
  const request: Cluster['request'] = (...args) => cluster.request(...args);
  const account = (namespace: string, name: string) =>
    request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace },
    });
  for (const name of ['kleis-system', 'kleis-state', 'kleis-identities', 'kleis-ephemeral', 'web', 'api']) {
    await request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  await account('kleis-identities', 'deploy-web');
  await account('web', 'deployer');
  for (const namespace of ['web', 'api']) {
    await request('POST', `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'deployer', namespace },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }],
    });
  }
  const { standIn } = cluster as Partial<StandInCluster>;
  let offset = 0;
  const clock: TestClock = {
    get offset() {
      return offset;
    },
    set offset(value) {
      offset = value;
      if (standIn !== undefined) standIn.clockOffset = value;
    },
    now: () => Date.now() + offset,
  };
  /** Puts all leases back by so much, or forward. */
  async function shiftLeases(milliseconds: number): Promise<void> {
    const path = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
    const { items } = (await request('GET', `${path}?labelSelector=kleis.dev/until`)) as unknown as {
      items: { metadata: { name: string; labels: Record<string, string> } }[];
    };
    await Promise.all(
      items.map(({ metadata: { name, labels } }) => {
        const until = String(Number(labels['kleis.dev/until']) - milliseconds / minute);
        return request('PATCH', `${path}/${name}`, { metadata: { labels: { 'kleis.dev/until': until } } });
      }),
    );
  }
  const shared = memory ? createMemoryStore(() => clock.now()) : undefined;
  const opened: Clusters[] = [];
  const replica = (own: { now(): number } = clock): LeaseServices => {
    const clusters = openClusters({ prod: clusterConfig(cluster.adminKubeconfig) }, { clock: own, env: {} });
    opened.push(clusters);
    const { kube } = clusters.get('prod')!;
    const store = shared ?? createKubernetesStore({ kube, cluster: 'prod', namespace: 'kleis-state', timeout: 1_500 });
    return { store, clusters };
  };
  const dispatcher = new Agent({ connect: { ca: cluster.caPem }, keepAliveTimeout: 1000 });
  return {
    cluster,
    standIn: (cluster as StandInCluster).standIn,
    clock,
    async later(milliseconds, work) {
      if (standIn === undefined) await shiftLeases(milliseconds);
      else clock.offset = milliseconds;
      try {
        return await work();
      } finally {
        if (standIn === undefined) await shiftLeases(-milliseconds);
        else clock.offset = 0;
      }
    },
    replica,
    store: () => replica().store,
    async ask(token) {
      const response = await fetch(`${cluster.server}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
        method: 'POST',
        dispatcher,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
      });
      await response.text();
      return response.status;
    },
    async names(path) {
      const list = await request('GET', path);
      return (list['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
    },
    async stop() {
      for (const each of opened) each.close();
      await dispatcher.close();
      await cluster.stop();
    },
  };
}

let counter = 0;

/** A request of a job with a token of its own, unless told otherwise. */
export function leaseRequest(now: number, more: Partial<LeaseRequest> = {}): LeaseRequest {
  counter += 1;
  return {
    name: randomLeaseName(),
    grant: 'deploy-web',
    cluster: 'prod',
    account: { namespace: 'kleis-identities', name: 'deploy-web' },
    bound: 'secret',
    holder: 'github acme/web',
    subjectHash: `${counter}`.padStart(64, 'a'),
    subjectExpiresAt: now + 5 * minute,
    endsAt: now + 15 * minute,
    singleUse: true,
    now,
    ...more,
  };
}

/** Mints for what was opened, as the exchange does. */
export async function mintFor({ clusters }: LeaseServices, opened: Opened, ttl = 600): Promise<Minted> {
  if (opened.kind === 'replayed') throw new Error('it was replayed');
  const cluster = clusters.get(opened.lease.cluster);
  if (cluster === undefined) throw new Error('no such cluster');
  return mint(cluster, { ...opened.target, ttl });
}

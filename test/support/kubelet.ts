import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { built } from './built.ts';
import type { Cluster } from './cluster.ts';
import { inChroot } from './pod-chroot.ts';
import { layOutVolumes } from './pod-files.ts';
import { checkSpec, type Container, type EnvVar, type Pod, type PodSpec, type Unknown } from './pod-spec.ts';
import type { Running } from './run.ts';
import { openSandbox } from './sandbox.ts';
import { until } from './wait.ts';

/** What a runtime is told of a container. */
export interface Task {
  readonly image: string;
  /** Undefined: what the image says. */
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
  /** All of it, but for what the image adds. */
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly { readonly source: string; readonly path: string; readonly readOnly: boolean }[];
  readonly user: number;
  readonly group: number;
  /** Beside `group`. */
  readonly groups: readonly number[];
  readonly readOnlyRoot: boolean;
  readonly noNewPrivileges: boolean;
  readonly dropAll: boolean;
  /** Path of the network namespace to run in. */
  readonly netns: string;
}

/** Starts a container; its process is the one that signals go to. */
export type Runtime = (task: Task) => Promise<Running>;

export interface PodOptions {
  readonly namespace: string;
  /** A Deployment, of which this becomes one more pod, unless `pod` names one that is there. */
  readonly deployment?: string;
  readonly pod?: string;
  /** At which port of our loopback a port of the container is reached, by its name; any unless given. */
  readonly expose?: Readonly<Record<string, number>>;
  /** Ports of our loopback that the pod may reach beside the API server's. */
  readonly reach?: readonly number[];
  /** The programs of `dist` in a root of their own, unless another runs it. */
  readonly runtime?: Runtime;
  /** Milliseconds between two looks at ConfigMaps and Secrets; kubelet takes a minute. */
  readonly syncEvery?: number;
  /** Milliseconds to wait for what the volumes need. */
  readonly timeout?: number;
}

export interface RunningPod {
  readonly name: string;
  readonly process: Running;
  /** Of our loopback, for a port of the container by its name or number. */
  portOf(port: string | number): number;
  /** Answers of the readiness probe until it is a good one; then the pod's status says so. */
  ready(timeout?: number): Promise<void>;
  /** Status of the answer to a probe; undefined if there is none. */
  probe(which: 'readinessProbe' | 'livenessProbe'): Promise<number | undefined>;
  /** Brings changed ConfigMaps, Secrets and tokens now. */
  sync(): Promise<void>;
  /** The pod reaches nothing any more, or all again. */
  block(blocked: boolean): void;
  /** As a deleted pod ends: `preStop`, SIGTERM, SIGKILL after the grace period. Gives the exit code. */
  stop(options?: { readonly skipPreStop?: boolean }): Promise<number>;
}

/** Runs one pod of a Deployment as a kubelet would, on this machine, from what the API server says alone. Needs root. */
export async function runPod(cluster: Cluster, options: PodOptions): Promise<RunningPod> {
  const pod = await findPod(cluster, options);
  const container = checkSpec(pod);
  const folder = await mkdtemp(join(tmpdir(), 'kleis-kubelet-'));
  const ports = new Map(
    (container.ports ?? []).map(({ name = '', containerPort }) => [containerPort, options.expose?.[name] ?? 0]),
  );
  const apiPort = Number(new URL(cluster.server).port);
  const sandbox = await openSandbox([apiPort, ...(options.reach ?? [])], ports);
  const release = async () => {
    await sandbox.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const files = await untilThere(() => layOutVolumes(cluster, pod, folder), options.timeout);
    const runtime = options.runtime ?? inChroot((await built()).dist);
    const process = await runtime({
      ...taskOf(pod, container),
      env: await environment(cluster, pod, container, apiPort),
      mounts: (container.volumeMounts ?? []).map(({ name, mountPath, readOnly = false }) => ({
        source: files.folderOf(name),
        path: mountPath,
        readOnly,
      })),
      netns: sandbox.netns,
    });
    const ending = new AbortController();
    const { signal } = ending;
    const follow = async () => {
      while (!signal.aborted) {
        await sleep(options.syncEvery ?? 1000, undefined, { signal }).catch(() => undefined);
        // The next look may find what this one did not.
        if (!signal.aborted) await files.sync().catch(() => undefined);
      }
    };
    const following = follow();
    const portOf = (port: string | number) => {
      const found = container.ports?.find(({ name, containerPort }) => name === port || containerPort === port);
      if (found === undefined) throw new Error(`the container has no port ${port}`);
      return sandbox.portOf(found.containerPort);
    };
    const probe: RunningPod['probe'] = async (which) => {
      const { httpGet } = container[which] ?? {};
      if (httpGet === undefined) throw new Error(`the container has no ${which} that asks over HTTP`);
      const url = `http://127.0.0.1:${portOf(httpGet.port)}${httpGet.path}`;
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
      await answer?.text();
      return answer?.status;
    };
    return {
      name: pod.metadata.name,
      process,
      portOf,
      probe,
      sync: async () => files.sync(),
      block: (blocked) => sandbox.block(blocked),
      async ready(timeout = 60_000) {
        let done = false;
        void process.done.then(
          () => (done = true),
          () => (done = true),
        );
        await until(
          `${pod.metadata.name} is ready`,
          async () => {
            if (done) throw new Error(`the container has ended: ${process.stdout()}${process.stderr()}`);
            return (await probe('readinessProbe')) === 200;
          },
          timeout,
          100,
        );
        await tellReady(cluster, pod, container);
      },
      async stop({ skipPreStop = false } = {}) {
        const began = performance.now();
        const grace = (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
        const { seconds = 0 } = container.lifecycle?.preStop?.sleep ?? {};
        if (!skipPreStop) await sleep(seconds * 1000);
        process.kill('SIGTERM');
        const killer = setTimeout(() => process.kill('SIGKILL'), Math.max(2000, grace - (performance.now() - began)));
        const { code } = await process.done;
        clearTimeout(killer);
        ending.abort();
        await following;
        await release();
        return code;
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** A pod of a Deployment is made of its template, as the ReplicaSet's controller does. */
async function findPod(cluster: Cluster, { namespace, deployment, pod }: PodOptions): Promise<Pod> {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  if (pod !== undefined) return (await cluster.request('GET', `${pods}/${pod}`)) as unknown as Pod;
  const found = await cluster.request('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`);
  const { template } = found['spec'] as { template: { metadata: Unknown; spec: PodSpec } };
  const { labels, annotations } = template.metadata;
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: `${deployment}-`, labels, annotations },
    spec: template.spec,
  };
  return (await cluster.request('POST', pods, body)) as unknown as Pod;
}

async function untilThere<T>(look: () => Promise<T>, timeout = 30_000): Promise<T> {
  let last = '';
  try {
    return await until(
      'what the volumes need',
      () =>
        look().catch((error: unknown) => {
          if (!/: 404 /.test(String(error))) throw error;
          last = String(error);
          return undefined;
        }),
      timeout,
      200,
    );
  } catch (error) {
    throw last === '' ? error : new Error(`the container cannot be created: ${last}`);
  }
}

function taskOf(pod: Pod, container: Container): Omit<Task, 'env' | 'mounts' | 'netns'> {
  const { fsGroup } = pod.spec.securityContext ?? {};
  const context = { ...pod.spec.securityContext, ...container.securityContext };
  const { runAsUser, runAsGroup, capabilities = {} } = context;
  if (runAsUser === undefined || runAsGroup === undefined) throw new Error('the pod says not whose it is');
  if ((capabilities.add ?? []).length > 0) throw new Error('added capabilities are not known to this kubelet');
  return {
    image: container.image,
    command: container.command,
    args: container.args,
    user: runAsUser,
    group: runAsGroup,
    groups: fsGroup === undefined ? [] : [fsGroup],
    readOnlyRoot: context.readOnlyRootFilesystem === true,
    noNewPrivileges: context.allowPrivilegeEscalation === false,
    dropAll: capabilities.drop?.includes('ALL') === true,
  };
}

async function environment(cluster: Cluster, pod: Pod, { env = [] }: Container, apiPort: number) {
  const named = await Promise.all(env.map(async (each) => [each.name, await valueOf(cluster, pod, each)] as const));
  return {
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: String(apiPort),
    KUBERNETES_SERVICE_PORT_HTTPS: String(apiPort),
    HOSTNAME: pod.metadata.name,
    ...Object.fromEntries(named),
  };
}

async function valueOf(cluster: Cluster, { metadata }: Pod, { name, value, valueFrom }: EnvVar): Promise<string> {
  if (valueFrom === undefined) {
    if (value?.includes('$(') === true) throw new Error(`env ${name}: $(…) is not known to this kubelet`);
    return value ?? '';
  }
  const { fieldRef, secretKeyRef, configMapKeyRef } = valueFrom as Readonly<Record<string, Record<string, string>>>;
  if (fieldRef?.['fieldPath'] === 'metadata.name') return metadata.name;
  if (fieldRef?.['fieldPath'] === 'metadata.namespace') return metadata.namespace;
  const ref = secretKeyRef ?? configMapKeyRef;
  if (ref === undefined) throw new Error(`env ${name}: ${JSON.stringify(valueFrom)} is not known to this kubelet`);
  const kind = secretKeyRef === undefined ? 'configmaps' : 'secrets';
  const object = await cluster.request('GET', `/api/v1/namespaces/${metadata.namespace}/${kind}/${ref['name']}`);
  const text = (object['data'] as Readonly<Record<string, string>>)[ref['key'] ?? ''] ?? '';
  return kind === 'secrets' ? Buffer.from(text, 'base64').toString() : text;
}

async function tellReady(cluster: Cluster, { metadata }: Pod, { name, image }: Container): Promise<void> {
  const now = new Date().toISOString().replace(/\.\d+/, '');
  const conditions = ['Initialized', 'ContainersReady', 'Ready', 'PodScheduled'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: now,
  }));
  const state = { running: { startedAt: now } };
  const containerStatuses = [
    { name, image, imageID: image, ready: true, started: true, restartCount: 0, state, lastState: {} },
  ];
  const status = { phase: 'Running', startTime: now, conditions, containerStatuses };
  await cluster.request('PATCH', `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/status`, { status });
}

import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart } from '../broker/deploy/helm.ts';
import type { RunningPod } from '../support/kubelet.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/wait.ts';
import { type ChartWorld, startChartWorld } from './chart-world.ts';

const missing = !needs('helm') || !needs('pods') || !needs('kubectl-new');

const deployments = '/apis/apps/v1/namespaces/kleis-system/deployments/kleis-broker';
interface Item {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: { readonly phase?: string; readonly availableReplicas?: number };
}
const itemsOf = async (world: ChartWorld, path: string) =>
  (await world.cluster.request('GET', path))['items'] as readonly Item[];

/** As its user writes it, after a first look at the docs. */
async function install(world: ChartWorld, grants: readonly string[], more: object = {}) {
  const [cert, key] = [join(world.folder, 'tls.crt'), join(world.folder, 'tls.key')];
  await writeFile(cert, world.certificate.cert);
  await writeFile(key, world.certificate.key);
  const values = await world.values('values.yaml', {
    config: world.config(grants),
    files: { 'ca.pem': world.ca },
    ...more,
  });
  return (verb: 'install' | 'upgrade', ...flags: string[]) =>
    world.helm(
      ...[verb, 'kleis', chart, '--namespace', 'kleis', '--values', values],
      ...[`--set-file=certificate.pem.certificate=${cert}`, `--set-file=certificate.pem.privateKey=${key}`],
      ...(verb === 'install' ? ['--create-namespace'] : []),
      ...flags,
    );
}

describe.skipIf(missing || !needs('kube-controllers'))('the chart, in an empty cluster with controllers', () => {
  let world: ChartWorld;
  let pods: RunningPod[] = [];
  beforeAll(async () => {
    world = await startChartWorld({ kind: '1.36', controllers: true, workloads: true });
    await until('the default account', () =>
      itemsOf(world, '/api/v1/namespaces/default/serviceaccounts').then(({ length }) => length > 0),
    );
  }, 120_000);
  afterAll(async () => {
    for (const pod of pods) await pod.stop({ skipPreStop: true });
    await world?.stop();
  }, 60_000);

  it('leads to a minted token in three commands', async () => {
    const commands: string[] = [];
    const did = <T extends { code: number; stdout: string; stderr: string }>(what: string, result: T): T => {
      commands.push(what);
      expect(result.code, `${what}: ${result.stdout}${result.stderr}`).toBe(0);
      return result;
    };
    const installed = did('helm install', await (await install(world, ['deploy']))('install'));
    expect(installed.stdout).toContain(`kleis kubeconfig add --from ${world.url} --grant deploy\n    kubectl get pods`);

    // What the cluster does by itself, and its nodes: the controllers make pods though the policy is in force.
    const made = await until('two pods', async () => {
      const found = await itemsOf(world, '/api/v1/namespaces/kleis-system/pods');
      return found.length === 2 && found;
    });
    pods = await Promise.all(
      made.map(({ metadata: { name } }, index) => world.runBroker({ pod: name, ...(index > 0 && { expose: {} }) })),
    );
    await Promise.all(pods.map((pod) => pod.ready()));

    const job = await world.job(await world.issue());
    did('kleis kubeconfig add', await job('kleis', 'kubeconfig', 'add', '--from', world.url, '--grant', 'deploy'));
    const got = did('kubectl get pods', await job('kubectl', 'get', 'pods'));
    expect(got.stderr).toContain('No resources found in default namespace');
    expect(commands).toHaveLength(3);
    expect((await job('kubectl', 'get', 'secrets')).stderr).toContain('forbidden');
    expect((await job('kubectl', 'auth', 'whoami')).stdout).toContain('system:serviceaccount:kleis-identities:deploy');

    await until('it is available', async () => {
      const { status } = (await world.cluster.request('GET', deployments)) as unknown as Item;
      return status?.availableReplicas === 2;
    });
    const [endpoints] = await itemsOf(world, '/apis/discovery.k8s.io/v1/namespaces/kleis-system/endpointslices');
    expect(endpoints?.metadata.name).toMatch(/^kleis-broker-/);
  }, 180_000);

  it('is as kleis-broker check wants it, and a dry run of all of it changes nothing', async () => {
    const shown = await world.kubectl(
      '-n',
      'kleis-system',
      'get',
      'configmap',
      'kleis-broker',
      '-o',
      'go-template={{index .data "broker.yaml"}}',
    );
    const config = join(world.folder, 'broker.yaml');
    await writeFile(config, shown.stdout);
    const job = await world.job('');
    const args = ['--config', config, '--no-files', '--kubeconfig', world.cluster.adminKubeconfig];
    const checked = await job('kleis-broker', 'check', ...args);
    expect(checked.stdout).toMatch(/\n0 errors, \d+ warnings?, \d+ ok\n$/);
    expect(checked.stdout).not.toContain('left-over');

    const manifest = await world.helm('get', 'manifest', 'kleis', '--namespace', 'kleis');
    const file = join(world.folder, 'manifest.yaml');
    await writeFile(file, manifest.stdout);
    const dry = await world.kubectl('apply', '--server-side', '--dry-run=server', '--force-conflicts', '-f', file);
    expect(dry.stderr).not.toMatch(/Warning|error/i);
    expect(dry.code).toBe(0);
  }, 60_000);

  it('takes a changed grant by helm upgrade: RBAC follows, and the pods that run take the rest', async () => {
    const before = await world.cluster.request('GET', deployments);
    expect((await world.exchange(await world.issue(), 'second')).status).toBe(400);
    const upgraded = await (await install(world, ['second']))('upgrade');
    expect(upgraded.stderr + upgraded.stdout).toContain('has been upgraded');
    const names = (await itemsOf(world, '/api/v1/namespaces/kleis-identities/serviceaccounts')).map(
      ({ metadata }) => metadata.name,
    );
    expect(names).toContain('second');
    expect(names).not.toContain('deploy');
    await Promise.all(pods.map((pod) => pod.sync()));
    await until(
      'the grant is in force',
      async () => (await world.exchange(await world.issue(), 'second')).status === 200,
    );
    const after = await world.cluster.request('GET', deployments);
    expect(after['spec']).toEqual(before['spec']);
    for (const { process } of pods) expect(process.stderr().match(/"msg":"listening"/g)).toHaveLength(1);
    expect((await world.exchange(await world.issue(), 'deploy')).status).toBe(400);
  }, 60_000);

  it('is refused where it would end in half a release', async () => {
    const upgrade = await install(world, ['second'], {
      serviceMonitor: { enabled: true },
      httpRoute: { enabled: true },
    });
    const refused = await upgrade('upgrade');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/serviceMonitor.enabled needs the Prometheus operator, and the cluster has no/);
    expect(refused.stderr).toMatch(/httpRoute.enabled needs the Gateway API/);
    const other = await world.helm(
      'install',
      'other',
      chart,
      '--namespace',
      'kleis-system',
      '--dry-run=server',
      '-f',
      join(world.folder, 'values.yaml'),
    );
    expect(other.stderr).toContain('--namespace is kleis-system, which the chart itself makes');
  }, 60_000);

  it('leaves the record of used tokens behind, and takes it up again', async () => {
    const token = await world.issue();
    expect((await world.exchange(token, 'second')).status).toBe(200);
    for (const pod of pods) await pod.stop({ skipPreStop: true });
    pods = [];
    const removed = await world.helm('uninstall', 'kleis', '--namespace', 'kleis');
    expect(removed.stdout).toMatch(/kept due to the resource policy:\n\[Namespace\] kleis-state\n/);
    await until('the namespaces are gone', async () => {
      const all = await itemsOf(world, '/api/v1/namespaces');
      return all.filter(({ metadata }) => metadata.name.startsWith('kleis-')).length === 1;
    });
    const again = await (await install(world, ['second']))('install');
    expect(again.stderr).toBe('');
    expect(again.code).toBe(0);
    const [made] = await until('pods', async () => {
      const found = await itemsOf(world, '/api/v1/namespaces/kleis-system/pods');
      return found.length > 0 && found;
    });
    pods = [await world.runBroker({ pod: made!.metadata.name })];
    await pods[0]!.ready();
    expect(await world.exchange(token, 'second')).toMatchObject({
      status: 400,
      text: expect.stringContaining('replay'),
    });
    expect((await world.exchange(await world.issue(), 'second')).status).toBe(200);
  }, 120_000);
});

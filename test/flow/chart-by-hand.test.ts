import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart } from '../broker/deploy/helm.ts';
import type { RunningPod } from '../support/kubelet.ts';
import { needs } from '../support/needs.ts';
import { type ChartWorld, startChartWorld } from './chart-world.ts';

const missing = !needs('helm') || !needs('pods') || !needs('kubectl-new');

describe.skipIf(missing || !needs('kube-1.30'))('an empty cluster of 1.30', () => {
  let world: ChartWorld;
  let pod: RunningPod | undefined;
  beforeAll(async () => {
    world = await startChartWorld({ kind: '1.30' });
    // As its controllers would.
    await world.kubectl('create', 'serviceaccount', 'default', '-n', 'default');
  }, 120_000);
  afterAll(async () => {
    await pod?.stop({ skipPreStop: true });
    await world?.stop();
  }, 60_000);

  const did = async (...args: string[]) => {
    const { code, stdout, stderr } = await world.kubectl(...args);
    expect(code, `${args.join(' ')}: ${stderr}`).toBe(0);
    return stdout + stderr;
  };
  const publishAuthority = async () =>
    did('-n', 'kleis-system', 'create', 'configmap', 'kube-root-ca.crt', `--from-file=ca.crt=${world.cluster.caFile}`);
  const ofBroker = { listen: { address: ':8443', tls: { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' } } };

  it('has a broker that mints after kubectl apply -k of the example, with a configuration of its own', async () => {
    await cp('broker/deploy/kustomize', join(world.folder, 'kustomize'), { recursive: true });
    const example = join(world.folder, 'kustomize/overlays/example');
    const document = {
      ...{ apiVersion: 'kleis.dev/v1', kind: 'BrokerConfig', ...ofBroker, metrics: { listen: ':9090' } },
      ...{ audit: { file: '-' }, state: { cluster: 'prod' }, ...world.config(['deploy']) },
    };
    await writeFile(join(example, 'broker.yaml'), stringify(document));
    await writeFile(join(example, 'ca.pem'), world.ca);
    const kustomization = join(example, 'kustomization.yaml');
    const text = await readFile(kustomization, 'utf8');
    await writeFile(kustomization, text.replace('files: [broker.yaml]', 'files: [broker.yaml, ca.pem]'));
    const job = await world.job('');
    const printed = await job('kleis-broker', 'rbac', '--config', join(example, 'broker.yaml'));
    await writeFile(join(example, 'rbac.yaml'), printed.stdout);
    expect(await did('apply', '--server-side', '-k', example)).toContain(
      'deployment.apps/kleis-broker serverside-applied',
    );
    await writeFile(join(world.folder, 'tls.crt'), world.certificate.cert);
    await writeFile(join(world.folder, 'tls.key'), world.certificate.key);
    await publishAuthority();

    // The Secret comes last, and the pod waits for it.
    const running = world.runBroker();
    await did('-n', 'kleis-system', 'create', 'secret', 'tls', 'kleis-tls', '--cert', 'tls.crt', '--key', 'tls.key');
    pod = await running;
    await pod.ready();
    expect((await world.exchange(await world.issue(), 'deploy')).status).toBe(200);
    expect(await did('apply', '--server-side', '-k', example, '--dry-run=server')).not.toContain('Warning');
  }, 120_000);

  it('is taken over by helm, which removes nothing that the broker needs', async () => {
    await pod?.stop({ skipPreStop: true });
    pod = undefined;
    const values = await world.values('values.yaml', {
      ...{ config: world.config(['deploy', 'more']), files: { 'ca.pem': world.ca } },
      certificate: { secretName: 'kleis-tls' },
    });
    const install = ['install', 'kleis', chart, '--namespace', 'kleis', '--create-namespace', '--values', values];
    const refused = await world.helm(...install);
    expect(refused.stderr).toContain('invalid ownership metadata');
    const taken = await world.helm(...install, '--take-ownership');
    expect(taken.stderr).toBe('');
    expect(taken.stdout).toContain('--from ' + world.url);
    pod = await world.runBroker();
    await pod.ready();
    for (const grant of ['deploy', 'more'])
      expect((await world.exchange(await world.issue(), grant)).status, grant).toBe(200);
  }, 120_000);
});

describe.skipIf(missing || !needs('kube'))('a cluster in which admission policies are switched off', () => {
  let world: ChartWorld;
  beforeAll(async () => {
    const group = 'admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const flags = [
      `--runtime-config=${group}=false`,
      // It waits for what it is about.
      '--disable-admission-plugins=ServiceAccount,ValidatingAdmissionPolicy',
    ];
    world = await startChartWorld({ kind: '1.36', flags });
  }, 120_000);
  afterAll(() => world?.stop(), 60_000);

  it('gets nothing of the chart, and is told why', async () => {
    const values = await world.values('values.yaml', {
      ...{ config: world.config(['deploy']), files: { 'ca.pem': world.ca } },
      certificate: { secretName: 'kleis-tls' },
    });
    const refused = await world.helm(
      'install',
      'kleis',
      chart,
      '--namespace',
      'kleis',
      '--create-namespace',
      '--values',
      values,
    );
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('(cluster) has no ValidatingAdmissionPolicy');
    expect((await world.kubectl('get', 'namespaces', '-o', 'name')).stdout).not.toContain('kleis');
  }, 60_000);
});

import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { needs } from '../support/needs.ts';
import { run } from '../support/run.ts';

const kubectl = needs('kubectl-new');

/** What stands in a page between three backticks, by the language that it says. */
async function blocks(page: string, language: string): Promise<string[]> {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  return Array.from(text.matchAll(/^```(\w*)\n([^]*?)^```/gm))
    .filter(([, name]) => name === language)
    .map(([, , body]) => body!);
}

describe.skipIf(!needs('kube-controllers') || kubectl === undefined)(
  'an admin with an empty cluster and the docs',
  () => {
    let cluster: Cluster;
    let folder: string;
    beforeAll(async () => {
      cluster = await startCluster({ kind: '1.36', controllers: true });
      folder = await mkdtemp(join(tmpdir(), 'kleis-first-use-'));
      await mkdir(join(folder, '.kube'));
      await copyFile(cluster.adminKubeconfig, join(folder, '.kube', 'config'));
      const [configuration = ''] = await blocks('broker.md', 'yaml');
      // Of this cluster they are others: the commands ask it.
      const audiences = '    audiences: [https://kubernetes.default.svc.cluster.local]\n';
      expect(configuration).toContain(audiences);
      await writeFile(join(folder, 'broker.yaml'), configuration.replace(audiences, ''));
      const program = join((await built()).dist, 'kleis-broker.js');
      const shim = join(folder, 'kleis-broker');
      await writeFile(shim, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
      await chmod(shim, 0o755);
    }, 120_000);
    afterAll(async () => {
      await cluster?.stop();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    });

    const shell = async (script: string) =>
      run('bash', ['--norc', '-euo', 'pipefail', '-c', `cd '${folder}'\n${script}`], {
        env: { HOME: folder, PATH: `${folder}:${dirname(kubectl!)}:/usr/bin:/bin` },
        timeout: 60_000,
      });

    it('comes to a broker that is confined, by the commands of the page, and nothing is found but what is said', async () => {
      const [first = '', later = ''] = await blocks('rbac.md', 'sh');
      expect(first).toContain('kubectl create namespace web');
      const done = await shell(first);
      expect(done.stdout).toMatch(/\n0 errors, \d+ warnings?, \d+ ok\n$/);
      expect(done).toMatchObject({ code: 0, stderr: '' });
      expect(done.stdout).toContain('role.rbac.authorization.k8s.io/deployer created');
      expect(done.stdout).toContain(
        'rolebinding.rbac.authorization.k8s.io/kleis:kleis-identities:deploy-web:deployer created',
      );
      expect(done.stdout).toContain('it is in force');
      // Of the Role to begin with nothing is found but that it starts pods.
      const ofGrant = done.stdout.split('\n').filter((line) => line.includes('grants.deploy-web'));
      expect(ofGrant).toHaveLength(1);
      expect(ofGrant[0]).toMatch(/^warning .*start pods by way of workloads \([^;]*\)\.$/);

      expect(await shell(later)).toMatchObject({ code: 0, stderr: '' });
    }, 120_000);

    it('is told what must be there before anything is applied, and applies the rest when it is', async () => {
      const grant = 'access: [{ namespaces: [api], clusterRole: view }]';
      const yaml = (await readFile(join(folder, 'broker.yaml'), 'utf8')).replace(/access: .*/, grant);
      await writeFile(join(folder, 'more.yaml'), yaml);
      const print = 'kleis-broker rbac --config more.yaml --kubeconfig .kube/config';
      const printed = await shell(print);
      expect(printed.stdout).toMatch(/^#[^]*# namespaces .*\n# {5}api\n# ClusterRoles .*\n# {5}view\n---\n/);
      const missing = await shell(`${print} | kubectl apply -f -`);
      expect([missing.code === 0, missing.stderr]).toEqual([
        false,
        expect.stringContaining('namespaces "api" not found'),
      ]);
      expect(await shell(`kubectl create namespace api; ${print} | kubectl apply -f -`)).toMatchObject({ code: 0 });
      await shell("kubectl delete rolebinding -n web 'kleis:kleis-identities:deploy-web:deployer'");
      const check = await shell('kleis-broker check --config more.yaml --no-files --kubeconfig .kube/config');
      expect(check.stdout).toContain('kleis-identities/deploy-web has exactly view in api');
    }, 120_000);
  },
);

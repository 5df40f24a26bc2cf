import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { isObject } from '../../shared/json.ts';
import type { Cluster } from '../support/cluster.ts';
import { needs } from '../support/needs.ts';
import { startRealCluster } from '../support/real-cluster.ts';
import { examples } from './examples.ts';

// Objects of Kubernetes that a page tells a reader to apply: a real API server takes them, each field of theirs.

const builtIn = /^(v1|(apps|batch|rbac\.authorization\.k8s\.io)\/v1)$/;
const objects = examples()
  .filter(({ language, file }) => language === 'yaml' && file !== 'kleis-patch.yaml')
  .flatMap(({ page, line, text }) =>
    parseAllDocuments(text).map((document) => ({ page, line, object: document.toJS() as unknown })),
  )
  .filter(({ object }) => isObject(object) && builtIn.test(String(object['apiVersion'])) && 'metadata' in object);

/** Every authenticator that a page shows; each for an issuer of its own, since a server takes none twice. */
const authenticators = examples()
  .filter(({ page, language }) => language === 'yaml' && page !== 'docs/hardening.md')
  .flatMap(({ text }) => parseAllDocuments(text).map((document) => document.toJS() as unknown))
  .filter((object) => isObject(object) && object['kind'] === 'AuthenticationConfiguration')
  .flatMap((object) => (object as { jwt: { issuer: object }[] }).jwt)
  .filter((each, index, list) => list.findIndex((other) => JSON.stringify(other) === JSON.stringify(each)) === index)
  .map((each, index) => ({ ...each, issuer: { ...each.issuer, url: `https://login-${index}.example.com` } }));

const kubectl = needs('kubectl-new');
describe.skipIf(kubectl === undefined || needs('kube') === undefined)('on a real API server', () => {
  let cluster: Cluster;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kleis-docs-'));
    const file = join(folder, 'authentication.json');
    await writeFile(
      file,
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        jwt: authenticators,
      }),
    );
    cluster = await startRealCluster({ kind: '1.36', flags: [`--authentication-config=${file}`] });
    for (const name of ['web', 'ci', 'deployments', 'argocd', 'flux-system', 'kleis-system']) {
      await cluster.request('POST', '/api/v1/namespaces', { metadata: { name } });
    }
  });
  afterAll(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });

  it('starts with every authenticator of the pages', async () => {
    expect(authenticators.length).toBeGreaterThan(1);
    expect(await cluster.request('GET', '/api/v1/namespaces/web')).toMatchObject({ kind: 'Namespace' });
  });

  const apply = (list: readonly unknown[]) =>
    spawnSync(
      kubectl ?? '',
      ['apply', '--dry-run=server', '--validate=strict', '--kubeconfig', cluster.adminKubeconfig, '-f', '-'],
      { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: list }), encoding: 'utf8' },
    );

  it('each is one that it would store', () => {
    expect(new Set(objects.map(({ page }) => page).filter((page) => page.startsWith('docs/ci/')))).toEqual(
      new Set(
        ['README', 'argo-cd', 'flux', 'helm', 'pods-of-another-cluster', 'tekton', 'terraform'].map(
          (name) => `docs/ci/${name}.md`,
        ),
      ),
    );
    const { status, stderr } = apply(objects.map(({ object }) => object));
    expect({ status, stderr: stderr.replaceAll(/^Warning: .*\n/gm, '') }).toEqual({ status: 0, stderr: '' });
  });

  it('a field that it does not know is refused', () => {
    const [first] = objects;
    const { status, stderr } = apply([{ ...(first?.object as object), ruless: [] }]);
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining('ruless') as string });
  });
});

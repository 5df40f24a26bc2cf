import { spawnSync } from 'node:child_process';
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

const kubectl = needs('kubectl-new');
describe.skipIf(kubectl === undefined || needs('kube') === undefined)('on a real API server', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startRealCluster({ kind: '1.36' });
    for (const name of ['web', 'ci', 'deployments', 'argocd', 'flux-system']) {
      await cluster.request('POST', '/api/v1/namespaces', { metadata: { name } });
    }
  });
  afterAll(() => cluster.stop());

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

import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { isObject } from '../../shared/json.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { needs } from '../support/needs.ts';
import { run, type RunResult } from '../support/run.ts';
import { examples } from './examples.ts';

// The files that the pages on hardening tell an admin to copy: a real API server starts with those that are for it, and
// takes the others in a dry run that knows every field.

const kubectl = needs('kubectl-new');
const kube = needs('kube');
const pages = ['docs/hardening.md', 'docs/service-account-tokens.md'];

interface KubeFile {
  readonly page: string;
  readonly kind: string;
  readonly apiVersion: string;
  readonly object: Readonly<Record<string, unknown>>;
}

const files: KubeFile[] = examples()
  .filter(({ page, language }) => pages.includes(page) && language === 'yaml')
  .flatMap(({ page, text }) =>
    parseAllDocuments(text)
      .map((document): unknown => document.toJS())
      .filter(isObject)
      .filter((object) => 'kind' in object)
      .map((object) => ({ page, kind: String(object['kind']), apiVersion: String(object['apiVersion']), object })),
  );

/** What the API server reads when it starts, by its flag. */
const flags: Readonly<Record<string, string>> = {
  AuthenticationConfiguration: '--authentication-config',
  EncryptionConfiguration: '--encryption-provider-config',
  Policy: '--audit-policy-file',
};
/** Kinds of others, as their documentation of 2026-11 has them, with the fields of `spec` that it says are needed. */
const foreign: Readonly<Record<string, readonly string[]>> = {
  'secrets-store.csi.x-k8s.io/v1 SecretProviderClass': ['provider', 'parameters'],
  'external-secrets.io/v1 SecretStore': ['provider'],
  'external-secrets.io/v1 ExternalSecret': ['refreshInterval', 'secretStoreRef', 'target', 'data'],
  'cert-manager.io/v1 Certificate': ['secretName', 'dnsNames', 'issuerRef', 'privateKey'],
  'bitnami.com/v1alpha1 SealedSecret': ['encryptedData', 'template'],
};
const nameOf = ({ apiVersion, kind }: KubeFile) => `${apiVersion} ${kind}`;
const ofKind = (kind: string) => files.filter((file) => file.kind === kind);
const builtIn = files.filter((file) => !(file.kind in flags) && !(nameOf(file) in foreign));

it('the pages have a file of each of these kinds, and files of others have the fields that they need', () => {
  for (const kind of [...Object.keys(flags), 'NetworkPolicy', 'ResourceQuota', 'LimitRange', 'Namespace', 'Role']) {
    expect(ofKind(kind), kind).not.toEqual([]);
  }
  for (const [name, fields] of Object.entries(foreign)) {
    const found = files.filter((file) => nameOf(file) === name);
    expect(found, name).not.toEqual([]);
    for (const { object } of found) expect(Object.keys(object['spec'] as object), name).toEqual([...fields]);
  }
});

describe.skipIf(kube === undefined || kubectl === undefined)('an API server that is started with these files', () => {
  let cluster: Cluster;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kleis-hardening-'));
    const given: string[] = [];
    for (const [kind, flag] of Object.entries(flags)) {
      const [file, ...more] = ofKind(kind);
      expect(more, kind).toEqual([]);
      const path = join(folder, `${kind}.yaml`);
      const key = randomBytes(32).toString('base64');
      await writeFile(path, stringify(file?.object).replace('BASE64-OF-32-BYTES', key));
      given.push(`${flag}=${path}`);
    }
    cluster = await startCluster({ kind: '1.36', flags: given });
    const [namespace] = ofKind('Namespace');
    await cluster.request('POST', '/api/v1/namespaces', namespace?.object);
    for (const name of ['kleis-system', 'ci']) {
      await cluster.request('POST', '/api/v1/namespaces', { metadata: { name } });
    }
  }, 120_000);
  afterAll(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });

  const sh = async (script: string, stdin = ''): Promise<RunResult> =>
    run('/bin/sh', ['-c', script], {
      env: { KUBECONFIG: cluster.adminKubeconfig, HOME: folder, PATH: `${dirname(kubectl ?? '')}:/usr/bin:/bin` },
      stdin,
      timeout: 60_000,
    });
  const dryRun = async (text: string) => sh('kubectl apply --server-side --dry-run=server -f -', text);

  it('takes every other file, strictly, without a warning of Pod Security', async () => {
    const done = await dryRun(builtIn.map(({ object }) => stringify(object)).join('---\n'));
    expect({ code: done.code, stderr: done.stderr }).toEqual({ code: 0, stderr: '' });
    expect(done.stdout.trim().split('\n')).toHaveLength(builtIn.length);
    const [role] = ofKind('Role');
    const misspelt = await dryRun(stringify(role?.object).replace('resourceNames', 'resourceName'));
    expect(misspelt).toMatchObject({ code: 1, stderr: expect.stringContaining('resourceName') });
  });

  it('refuses a pod that is not as the namespace wants it', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bad', namespace: 'web' } };
    const spec = { hostNetwork: true, containers: [{ name: 'bad', image: 'bad' }] };
    expect(await dryRun(stringify({ ...pod, spec }))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/violates PodSecurity "restricted:latest"/),
    });
  });

  it('lets nobody without a name beyond its health', async () => {
    const status = async (path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        get(`${cluster.server}${path}`, { ca: cluster.caPem, agent: false }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode));
        }).on('error', reject);
      });
    expect(await Promise.all(['/livez', '/readyz', '/version', '/api'].map(status))).toEqual([200, 200, 401, 401]);
  });

  it('refuses new tokens without an end, and no other Secret, once the policy is there', async () => {
    const [endless] = ofKind('Secret');
    expect(endless?.object['type']).toBe('kubernetes.io/service-account-token');
    const policy = [...ofKind('ValidatingAdmissionPolicy'), ...ofKind('ValidatingAdmissionPolicyBinding')];
    expect(await sh('kubectl apply -f -', policy.map(({ object }) => stringify(object)).join('---\n'))).toMatchObject({
      code: 0,
    });
    await expect
      .poll(async () => dryRun(stringify(endless?.object)), { timeout: 30_000 })
      .toMatchObject({ code: 1, stderr: expect.stringContaining('A token of this kind never ends.') });
    const other = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'other', namespace: 'web' } };
    expect(await dryRun(stringify(other))).toMatchObject({ code: 0 });
  });

  it('writes down who read a Secret and never what is in it, and what was bound to whom', async () => {
    const made = { metadata: { name: 'canary' }, stringData: { password: 'canary-of-a-secret' } };
    await cluster.request('POST', '/api/v1/namespaces/ci/secrets', made);
    const binding = { kind: 'ClusterRole', name: 'view', apiGroup: 'rbac.authorization.k8s.io' };
    await cluster.request('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/ci/rolebindings', {
      metadata: { name: 'watched' },
      roleRef: binding,
      subjects: [{ kind: 'User', name: 'somebody', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    const log = async () => readFile(join(dirname(cluster.adminKubeconfig), 'audit.log'), 'utf8');
    const has = async (pattern: RegExp) => pattern.test(await log());
    await expect.poll(async () => has(/"level":"Request".*somebody/), { timeout: 10_000 }).toBe(true);
    expect(await has(/"level":"Metadata".*namespaces\/ci\/secrets/)).toBe(true);
    expect(await has(/canary-of-a-secret/)).toBe(false);
    expect((await log()).match(/.*"requestURI":"\/(?:livez|readyz).*/g)).toBeNull();
  });

  it('answers the commands that find tokens, as the page has them', async () => {
    const commands = examples().filter(
      ({ page, language, text }) =>
        pages.includes(page) && language === 'sh' && /^kubectl (get secrets|config view|label)/.test(text),
    );
    expect(commands).toHaveLength(4);
    const config = join(folder, 'config');
    const admin = JSON.parse(await readFile(cluster.adminKubeconfig, 'utf8')) as { users: object[] };
    await writeFile(
      config,
      JSON.stringify({ ...admin, users: [...admin.users, { name: 'ci', user: { token: 'x' } }] }),
    );
    const said = await Promise.all(commands.map(async ({ text }) => sh(`export KUBECONFIG='${config}'\n${text}`)));
    expect(said.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const of = (word: string) => said[commands.findIndex(({ text }) => text.includes(word))]?.stdout;
    expect(of('config view')).toBe('ci\n');
    expect(of('custom-columns')).toMatch(/^NAMESPACE +NAME +ACCOUNT +LAST USED\n$/);
  });
});

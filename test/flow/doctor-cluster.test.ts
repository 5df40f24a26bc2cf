import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DoctorFinding } from '../../cli/doctor/finding.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { createWorld, type World } from './world.ts';

// `kleis doctor --cluster` on real API servers: one with every fault, an old one where everybody may do everything, and
// one that is as it should be, which is also asked by somebody who may read little.

const kube = needs('kube');
const old = needs('kube-1.30');
const kubectl = needs('kubectl-new');

let world: World;
let folder: string;
let faulty: Cluster;
let open: Cluster;
let clean: Cluster;

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const account = (name: string) => ({ kind: 'ServiceAccount', name, namespace: 'ci' });
const person = (kind: 'User' | 'Group', name: string) => ({ kind, name, apiGroup: 'rbac.authorization.k8s.io' });

async function bind(cluster: Cluster, name: string, role: string, subjects: readonly object[], namespace?: string) {
  await cluster.request(
    'POST',
    namespace === undefined ? `${rbac}/clusterrolebindings` : `${rbac}/namespaces/${namespace}/rolebindings`,
    {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects,
    },
  );
}

async function plantFaults(cluster: Cluster) {
  await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'ci' } });
  for (const name of ['deployer', 'root', 'minter']) {
    await cluster.request('POST', '/api/v1/namespaces/ci/serviceaccounts', { metadata: { name } });
  }
  const secret = async (name: string, labels: object) =>
    cluster.request('POST', '/api/v1/namespaces/ci/secrets', {
      type: 'kubernetes.io/service-account-token',
      metadata: { name, labels, annotations: { 'kubernetes.io/service-account.name': 'deployer' } },
      stringData: { token: 'canary-of-a-secret' },
    });
  await secret('used', { 'kubernetes.io/legacy-token-last-used': '2026-11-20' });
  await secret('forgotten', {});
  await secret('stale', { 'kubernetes.io/legacy-token-invalid-since': '2026-01-02' });
  await cluster.request('POST', '/api/v1/namespaces/ci/secrets', { metadata: { name: 'other' }, type: 'Opaque' });
  await cluster.request('POST', `${rbac}/clusterroles`, {
    metadata: { name: 'minter' },
    rules: [{ apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] }],
  });
  await cluster.request('POST', `${rbac}/clusterroles`, {
    metadata: { name: 'node-reader' },
    rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list'] }],
  });
  await bind(cluster, 'root', 'cluster-admin', [account('root'), person('Group', 'oidc:admins')]);
  await bind(cluster, 'minter', 'minter', [account('minter')]);
  await bind(cluster, 'everybody', 'minter', [person('Group', 'system:authenticated')]);
  await bind(cluster, 'deployer', 'node-reader', [account('deployer')]);
  await bind(cluster, 'deployer', 'view', [account('deployer')], 'default');
}

beforeAll(async () => {
  if (kube === undefined || old === undefined) return;
  folder = await mkdtemp(join(tmpdir(), 'kleis-doctor-'));
  const encryption = join(folder, 'encryption.yaml');
  const key = { name: 'k', secret: randomBytes(32).toString('base64') };
  await writeFile(
    encryption,
    JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [{ resources: ['secrets'], providers: [{ secretbox: { keys: [key] } }, { identity: {} }] }],
    }),
  );
  const tokens = join(folder, 'tokens.csv');
  await writeFile(tokens, `${randomBytes(16).toString('hex')},someone,1\n`);
  world = await createWorld();
  [faulty, open, clean] = await Promise.all([
    startCluster({ kind: '1.36' }),
    startCluster({ kind: '1.30', flags: ['--authorization-mode=AlwaysAllow', `--token-auth-file=${tokens}`] }),
    world.startCluster('1.36', 'flags', ['--anonymous-auth=false', `--encryption-provider-config=${encryption}`]),
  ]);
  await Promise.all([plantFaults(faulty), plantFaults(open)]);
  // It may start pods everywhere, and so reaches cluster-admin.
  await clean.request('DELETE', `${rbac}/clusterrolebindings/people`);
  await bind(clean, 'readers', 'system:public-info-viewer', [person('Group', 'oidc:developers')]);
  await bind(faulty, 'public', 'node-reader', [person('Group', 'system:unauthenticated')]);
  await clean.request('POST', '/api/v1/namespaces/default/secrets', {
    metadata: { name: 'some' },
    stringData: { a: 'b' },
  });
}, 120_000);
afterEach(() => world?.removePeople());
afterAll(async () => {
  await Promise.all([world?.end(), faulty?.stop(), open?.stop()]);
  if (folder !== undefined) await rm(folder, { recursive: true });
});

async function examine(who: Person, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await who.run('kleis', ['doctor', '--cluster', '-o', 'json', ...args], { env });
  const { findings, exitCode } = JSON.parse(stdout || '{}') as { findings: DoctorFinding[]; exitCode: number };
  expect({ code, stderr }).toEqual({ code: exitCode, stderr: expect.stringMatching(/^(Opening a browser .*\n)?$/) });
  const of = (about: string) => findings.filter((each) => each.about === about);
  return { code, stdout, findings, of, codes: (about: string) => of(about).map((each) => each.code) };
}

describe.skipIf(kube === undefined || old === undefined)('a cluster with every fault', () => {
  it('is told of each, by its admin, with what replaces it by a grant', async () => {
    const who = await world.person();
    const file = join(who.home, 'config');
    const admin = JSON.parse(await readFile(faulty.adminKubeconfig, 'utf8')) as { users: object[] };
    const authority = await createAuthority();
    const stranger = await authority.issueClient('stranger', ['dev']);
    const jwt = (claims: object) =>
      ['{"alg":"RS256"}', JSON.stringify(claims), 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.');
    const canary = 'canary-of-a-user';
    const users = [
      { name: 'static', user: { token: canary } },
      {
        name: 'forever',
        user: {
          token: jwt({
            sub: 'system:serviceaccount:ci:deployer',
            canary,
            'kubernetes.io/serviceaccount/namespace': 'ci',
            'kubernetes.io/serviceaccount/secret.name': 'used',
          }),
        },
      },
      { name: 'ended', user: { token: jwt({ exp: 1 }) } },
      { name: 'basic\u001b[2J', user: { username: 'a', password: canary } },
      { name: 'other', user: { 'client-certificate-data': Buffer.from(stranger.cert).toString('base64') } },
      { name: 'lost', user: { tokenFile: 'nowhere' } },
    ];
    await writeFile(file, JSON.stringify({ ...admin, users: [...admin.users, ...users] }));
    const seen = await examine(who, ['--kubeconfig', file]);
    expect(seen.code).toBe(6);
    expect(seen.stdout).not.toContain('canary');
    expect(seen.of('version')).toMatchObject([{ severity: 'ok' }]);
    expect(seen.of('kubeconfig')).toMatchObject([
      {
        code: 'kubeconfig_certificate',
        what: expect.stringMatching(/admin in system:masters that ends 20/),
        next: expect.stringContaining('kleis kubeconfig migrate test'),
      },
      {
        code: 'kubeconfig_token',
        what: expect.stringContaining('does not say when it ends'),
        next: expect.stringContaining('kubectl config delete-user static'),
      },
      {
        code: 'kubeconfig_token',
        what: expect.stringContaining('without an end'),
        next: expect.stringContaining('kubectl -n ci delete secret used'),
      },
      { code: 'kubeconfig_token_ended' },
      { code: 'kubeconfig_password' },
      { code: 'kubeconfig_certificate', what: expect.stringContaining('stranger in dev') },
      { severity: 'unknown', why: expect.stringContaining('does not exist') },
    ]);
    expect(seen.of('anonymous')).toMatchObject([
      { severity: 'error', code: 'anonymous_reads', what: expect.stringContaining('/api/v1/nodes') },
      { code: 'anonymous_binding', next: expect.stringContaining('delete clusterrolebinding public') },
    ]);
    expect(seen.of('rbac')).toMatchObject([{ severity: 'ok' }]);
    expect(seen.of('oidc')).toMatchObject([{ code: 'oidc_off', next: expect.stringContaining('kleis setup') }]);
    expect(seen.of('encryption')).toMatchObject([{ code: 'unencrypted' }]);
    const accounts = seen.of('accounts');
    expect(accounts.map(({ code, severity }) => `${severity} ${code}`).toSorted()).toEqual([
      'error everybody_reaches',
      'warning account_cluster_admin',
      'warning account_reaches_admin',
      'warning person_cluster_admin',
    ]);
    expect(accounts.map(({ what }) => what).join()).not.toContain('deployer');
    const people = accounts.find(({ code }) => code === 'person_cluster_admin');
    expect(parse(people?.grant ?? '')).toEqual({
      'cluster-admin': expect.objectContaining({
        where: { groups: { contains: 'oidc:admins' } },
        access: [{ clusterRole: 'cluster-admin', scope: 'cluster' }],
      }),
    });
    expect(seen.codes('secrets')).toEqual(['token_in_use', 'token_unused', 'token_invalid']);
    const [used] = seen.of('secrets');
    expect(used).toMatchObject({
      what: expect.stringContaining('last used 2026-11-20'),
      next: expect.stringContaining('-n ci delete secret used'),
    });
    expect(parse(used?.grant ?? '')).toEqual({
      deployer: expect.objectContaining({
        cluster: 'test',
        access: [
          { namespace: 'default', clusterRole: 'view' },
          { clusterRole: 'node-reader', scope: 'cluster' },
        ],
      }),
    });
    // What the API server was asked for of a Secret is its metadata.
    const asked = (await faulty.audit()).filter(({ uri, user }) => uri.includes('/secrets?') && user === 'admin');
    expect(asked.every(({ uri }) => uri.includes('type%3Dkubernetes.io%2Fservice-account-token'))).toBe(true);
  });

  it('is told where everybody may do everything, and of the static tokens that a pod of the server shows', async () => {
    const who = await world.person();
    await open.request('POST', '/api/v1/namespaces/kube-system/pods', {
      metadata: { name: 'kube-apiserver', labels: { component: 'kube-apiserver' } },
      spec: {
        nodeName: 'master',
        containers: [
          {
            name: 'a',
            image: 'a',
            command: ['kube-apiserver', '--token-auth-file=/t', '--oidc-issuer-url=https://login.example.com'],
          },
        ],
      },
    });
    const seen = await examine(who, [], { KUBECONFIG: open.adminKubeconfig });
    expect(seen.code).toBe(6);
    expect(seen.of('version')).toMatchObject([
      { code: 'version_unsupported', what: expect.stringContaining('on 2025-07-15, as known on') },
    ]);
    expect(seen.of('rbac')).toMatchObject([{ severity: 'error', code: 'rbac_off' }]);
    expect(seen.of('anonymous')).toMatchObject([{ severity: 'ok', what: expect.stringContaining('401') }]);
    expect(seen.of('oidc')).toMatchObject([
      { severity: 'ok', what: expect.stringContaining('login.example.com') },
      { code: 'static_token_file' },
    ]);
    expect(seen.codes('secrets')).toEqual(['token_in_use', 'token_unused', 'token_invalid']);
    const table = await who.run('kleis', ['doctor', '--cluster'], { env: { KUBECONFIG: open.adminKubeconfig } });
    expect(table.stdout).toMatch(/^failed {3}rbac {8}Everybody may do everything/m);
    expect(table.stdout).toMatch(/\n +grant:\n +deployer:\n +issuer: github\n/);
  });
});

describe.skipIf(kube === undefined || old === undefined)('a cluster that is as it should be', () => {
  it('has no failure and no warning but that its admin has a certificate', async () => {
    const who = await world.person();
    const seen = await examine(who, [], { KUBECONFIG: clean.adminKubeconfig });
    const odd = seen.findings.filter(({ severity }) => severity !== 'ok');
    expect(odd).toMatchObject([{ code: 'kubeconfig_certificate' }]);
    expect(seen.code).toBe(0);
    expect(seen.of('encryption')).toMatchObject([{ what: expect.stringContaining('secretbox') }]);
    expect(seen.of('oidc')).toMatchObject([{ what: expect.stringContaining(world.provider.issuer) }]);
  });

  it('tells somebody who may read little what is not known, why, and who knows; it signs nobody in', async () => {
    const who = await world.person();
    await who.addContext('prod', clean, [...world.flags, '--certificate-authority', who.providerCaFile]);
    const refused = join(who.home, 'refused');
    const whole = JSON.parse(await readFile(clean.adminKubeconfig, 'utf8')) as object;
    await writeFile(refused, JSON.stringify({ ...whole, users: [{ name: 'admin', user: { token: 'canary' } }] }));
    const unknown = await examine(who, ['--kubeconfig', refused]);
    expect(unknown.code).toBe(6);
    expect(unknown.of('identity')).toMatchObject([{ severity: 'error', what: expect.stringContaining('401') }]);
    expect(unknown.of('cluster')).toMatchObject([{ severity: 'unknown' }]);

    const stranger = await examine(who);
    expect(stranger.of('cluster')).toMatchObject([{ severity: 'unknown' }]);
    expect(stranger.of('identity')).toMatchObject([
      { severity: 'unknown', next: expect.stringContaining('kleis login') },
    ]);
    expect(await who.windows()).toEqual([]);
    const seen = await examine(who, ['--sign-in']);
    expect(await who.windows()).toHaveLength(1);
    expect(seen.code).toBe(0);
    expect(seen.of('identity')).toMatchObject([
      { severity: 'ok', what: expect.stringContaining('oidc:alice@example.com') },
    ]);
    expect(seen.of('kubeconfig')).toMatchObject([{ severity: 'ok' }]);
    expect(seen.of('version')).toMatchObject([{ severity: 'ok' }]);
    if (kubectl !== undefined) {
      const PATH = `${dirname(kubectl)}:${who.env['PATH']}`;
      const { stdout } = await who.run('kleis', ['doctor', '-o', 'json'], { env: { PATH } });
      const { findings } = JSON.parse(stdout) as { findings: DoctorFinding[] };
      expect(findings.find(({ about }) => about === 'kubectl')?.what).toContain('the API server v1.36');
    }
    expect(seen.of('oidc')).toMatchObject([{ severity: 'ok', what: expect.stringContaining(world.provider.issuer) }]);
    expect(seen.of('rbac')).toMatchObject([{ severity: 'ok', what: expect.stringContaining('names the binding') }]);
    for (const about of ['encryption', 'accounts', 'secrets']) {
      expect(seen.of(about), about).toMatchObject([
        { severity: 'unknown', why: expect.stringMatching(/forbidden|403/), next: expect.anything() },
      ]);
    }
  });
});

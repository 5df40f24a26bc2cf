import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from './certificates.ts';
import { startCluster, type Cluster, type ClusterOptions } from './cluster.ts';
import { needs } from './needs.ts';
import { startProvider, type TestProvider } from './provider.ts';
import { run as runProgram, start } from './run.ts';
import { startStandInCluster } from './stand-in/cluster.ts';

const kubectls = { '1.32': needs('kubectl'), '1.36': needs('kubectl-new') };
const kinds: readonly { title: string; options: ClusterOptions; how: 'flags' | 'config'; skip: boolean }[] = [
  { title: 'the stand-in', options: { kind: 'stand-in' }, how: 'flags', skip: false },
  { title: 'kube-apiserver 1.36 with flags', options: { kind: '1.36' }, how: 'flags', skip: !needs('kube') },
  {
    title: 'kube-apiserver 1.30 with a configuration',
    options: { kind: '1.30' },
    how: 'config',
    skip: !needs('kube-1.30'),
  },
];

let provider: TestProvider;
let ca: string;
let home: string;

beforeAll(async () => {
  const authority = await createAuthority();
  ca = authority.cert;
  home = await mkdtemp(join(tmpdir(), 'kleis-home-'));
  provider = await startProvider({ tls: { ...(await authority.issueServer(['localhost'])), ca } });
});

afterAll(async () => {
  await provider.stop();
  await rm(home, { recursive: true });
});

/** An ID token by the code flow, without Kleis. */
async function idToken(login: string): Promise<string> {
  const verifier = randomBytes(32).toString('base64url');
  const redirectUri = 'http://localhost:8000';
  const url = new URL(`${provider.issuer}/auth`);
  url.search = new URLSearchParams({
    client_id: 'kleis',
    response_type: 'code',
    scope: 'openid email groups',
    redirect_uri: redirectUri,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString();
  const { location } = await provider.browser({ login }).visit(url);
  const response = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    dispatcher: new Agent({ connect: { ca }, keepAliveTimeout: 10 }),
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: 'kleis',
      code: location?.searchParams.get('code') ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
    }),
  });
  return ((await response.json()) as { id_token: string }).id_token;
}

for (const { title, options, how, skip } of kinds) {
  describe.skipIf(skip)(`on ${title}`, () => {
    let cluster: Cluster;
    let token: string;

    beforeAll(async () => {
      const oidc = { issuerUrl: provider.issuer, clientId: 'kleis', caPem: ca, how };
      [cluster, token] = await Promise.all([startCluster({ ...options, oidc }), idToken('alice')]);
    });
    afterAll(() => cluster?.stop());

    for (const [version, kubectl] of Object.entries(kubectls)) {
      describe.skipIf(!kubectl)(`as kubectl ${version} sees it`, () => {
        const command = (args: readonly string[], bearer: string) => [
          `--server=${cluster.server}`,
          `--certificate-authority=${cluster.caFile}`,
          `--token=${bearer}`,
          `--cache-dir=${home}/cache-${version}-${cluster.kind}`,
          ...args,
        ];
        const env = { PATH: process.env['PATH'] ?? '', HOME: home, KUBECONFIG: '/dev/null' };
        const run = (args: readonly string[], stdin = '', bearer = token) =>
          runProgram(kubectl ?? '', command(args, bearer), { env, stdin });
        const name = `settings-${version.replace('.', '-')}`;
        const manifest = (data: Record<string, string>) =>
          JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

        it('lists namespaces as a table', async () => {
          const { stdout, stderr } = await run(['get', 'ns']);
          expect(stderr).toBe('');
          expect(stdout).toMatch(/^NAME +STATUS +AGE\ndefault +Active +\d+s\n/);
        });

        it('applies, applies again, patches, reads and deletes an object', async () => {
          expect(await run(['apply', '-f', '-'], manifest({ a: '1' }))).toMatchObject({
            stdout: `configmap/${name} created\n`,
            stderr: '',
          });
          expect((await run(['apply', '-f', '-'], manifest({ a: '1' }))).stdout).toBe(`configmap/${name} unchanged\n`);
          expect(await run(['apply', '-f', '-'], manifest({ b: '2' }))).toMatchObject({
            stdout: `configmap/${name} configured\n`,
            stderr: '',
          });
          await run(['patch', 'cm', name, '--type=merge', '-p', '{"data":{"c":"3"}}']);
          expect((await run(['get', 'cm', name, '-o', 'jsonpath={.data}'])).stdout).toBe('{"b":"2","c":"3"}');
          expect((await run(['delete', 'cm', name])).stdout).toMatch(/^configmap "settings[-\d]+" deleted/);
          expect((await run(['get', 'cm', name])).stderr).toBe(
            `Error from server (NotFound): configmaps "${name}" not found\n`,
          );
        });

        it('says who the caller is, and what they may do', async () => {
          const { stdout } = await run([
            'auth',
            'whoami',
            '-o',
            'jsonpath={.status.userInfo.username} {.status.userInfo.groups}',
          ]);
          expect(stdout).toBe('oidc:alice ["oidc:developers","system:authenticated"]');
          expect(await run(['auth', 'can-i', 'create', 'configmaps'])).toMatchObject({ code: 0, stdout: 'yes\n' });
          expect(await run(['auth', 'can-i', 'get', 'secrets'])).toMatchObject({ code: 1, stdout: 'no\n' });
          expect((await run(['get', 'secrets'])).stderr).toContain(
            'Error from server (Forbidden): secrets is forbidden',
          );
        });

        it('refuses what is no token of the issuer', async () => {
          const changed = `${token.slice(0, -4)}${token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
          for (const bad of ['nothing', changed]) {
            const { code, stderr } = await run(['get', '--raw', '/api'], '', bad);
            expect({ code, stderr }).toEqual({
              code: 1,
              stderr: 'error: You must be logged in to the server (Unauthorized)\n',
            });
          }
        });

        it('watches: what is made later is told', async () => {
          const watched = `watched-${version.replace('.', '-')}`;
          const child = start(kubectl ?? '', command(['get', 'cm', '--watch', '-o', 'name'], token), { env });
          try {
            const seen = async () => (await cluster.audit()).some(({ uri }) => /configmaps.*watch=true/.test(uri));
            // Before the watch runs, the list that comes first would show it.
            await expect.poll(seen, { timeout: 10_000 }).toBe(true);
            await cluster.request('POST', '/api/v1/namespaces/default/configmaps', {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name: watched },
            });
            await child.waitFor(new RegExp(`^configmap/${watched}$`, 'm'));
          } finally {
            child.kill();
          }
        });
      });
    }

    it('keeps a count of versions: an update of an old one is refused', async () => {
      const path = '/api/v1/namespaces/default/configmaps';
      const first = await cluster.request('POST', path, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'counted' },
      });
      await cluster.request('PUT', `${path}/counted`, { ...first, data: { a: '1' } });
      await expect(cluster.request('PUT', `${path}/counted`, { ...first, data: { a: '2' } })).rejects.toThrow(
        /409 .*Conflict/,
      );
      await expect(
        cluster.request('POST', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'counted' } }),
      ).rejects.toThrow(/409 .*AlreadyExists/);
      await expect(
        cluster.request('DELETE', `${path}/counted`, {
          preconditions: { uid: '00000000-0000-4000-8000-000000000000' },
        }),
      ).rejects.toThrow(/409 .*precondition/i);
    });

    it('tells who asked', async () => {
      await expect
        .poll(async () => (await cluster.audit()).some(({ user }) => user === 'oidc:alice'))
        .toBe(Boolean(kubectls['1.32'] ?? kubectls['1.36']));
    });
  });
}

describe('the stand-in', () => {
  it('refuses a token from the moment that it is told to', async () => {
    const cluster = await startStandInCluster({
      oidc: { issuerUrl: provider.issuer, clientId: 'kleis', caPem: ca },
    });
    try {
      const token = await idToken('bob');
      const dispatcher = new Agent({ connect: { ca: cluster.caPem }, keepAliveTimeout: 10 });
      const ask = async () =>
        (await fetch(`${cluster.server}/api`, { dispatcher, headers: { authorization: `Bearer ${token}` } })).status;
      expect(await ask()).toBe(200);
      cluster.standIn.refuse(token);
      expect(await ask()).toBe(401);
    } finally {
      await cluster.stop();
    }
  });
});

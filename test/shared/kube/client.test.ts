import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { apiPath, type KubeClient, type KubeOptions, openCluster } from '../../../shared/kube/client.ts';
import type { KubeCredentials } from '../../../shared/kube/connection.ts';
import type { KleisError } from '../../../shared/errors.ts';
import { KubeError } from '../../../shared/kube/error.ts';
import { createAuthority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';
import { freePorts } from '../../support/processes.ts';
import { until } from '../../support/wait.ts';
import { startStandInCluster, type StandInCluster } from '../../support/stand-in/cluster.ts';
import { clusterConfig } from '../../broker/leases/world.ts';

const maps = apiPath('v1', 'default', 'configmaps');
const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });

let cluster: StandInCluster;
let folder: string;
let kube: KubeClient;
const opened: KubeClient[] = [];

function open(credentials: KubeCredentials, more: Partial<KubeOptions> = {}): KubeClient {
  const client = openCluster({ credentials, env: {}, now: Date.now, ...more });
  opened.push(client);
  return client;
}

beforeAll(async () => {
  cluster = await startStandInCluster();
  folder = await mkdtemp(join(tmpdir(), 'kleis-kube-'));
  kube = open({ kubeconfig: cluster.adminKubeconfig });
});
afterEach(() => {
  cluster.standIn.fault = undefined;
  cluster.standIn.clockOffset = 0;
});
afterAll(async () => {
  for (const client of opened) client.close();
  await cluster.stop();
  await rm(folder, { recursive: true });
});

async function refusal(promise: Promise<unknown>): Promise<KubeError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof KubeError) return error;
    throw error;
  }
  throw new Error('it should have failed');
}

async function file(name: string, content: string | object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
  return path;
}

/** A token of an account that may do nothing but be recognized. */
async function accountToken(name: string): Promise<string> {
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  await cluster.request('POST', accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
  const answer = await cluster.request('POST', `${accounts}/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  });
  return (answer['status'] as { token: string }).token;
}

const whoami = async (client: KubeClient) => {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const answer = await client.request<{ status: { userInfo: { username: string } } }>('POST', path, { body });
  return answer.body.status.userInfo.username;
};

describe('credentials', () => {
  it('of a pod: its folder and its environment, read again when kubelet renewed them', async () => {
    const url = new URL(cluster.server);
    const [old, renewed] = [await accountToken('pod-a'), await accountToken('pod-b')];
    await file('token', `${old}\n`);
    await file('ca.crt', cluster.caPem);
    let now = Date.now();
    const env = { KUBERNETES_SERVICE_HOST: url.hostname, KUBERNETES_SERVICE_PORT: url.port };
    const client = open({ inCluster: true }, { env, serviceAccountFolder: folder, now: () => now });
    expect(await whoami(client)).toBe('system:serviceaccount:default:pod-a');
    await file('token', renewed);
    now += 11_000;
    // What is new counts when it was seen twice.
    expect(await whoami(client)).toBe('system:serviceaccount:default:pod-a');
    now += 300;
    expect(await whoami(client)).toBe('system:serviceaccount:default:pod-b');
  });

  it('of a pod that has none yet name the file and who puts it there, and are found as soon as it is there', async () => {
    const url = new URL(cluster.server);
    const env = { KUBERNETES_SERVICE_HOST: url.hostname, KUBERNETES_SERVICE_PORT: url.port };
    const late = join(folder, 'late');
    await mkdir(late);
    const client = open({ inCluster: true }, { env, serviceAccountFolder: late });
    const told = async () =>
      client.request('GET', '/version').catch((error: KleisError) => `${error.message} ${error.hint}`);
    expect(await told()).toMatch(/late\/(token|ca\.crt) cannot be read: it does not exist\. The kubelet puts it there/);
    await writeFile(join(late, 'ca.crt'), cluster.caPem);
    await writeFile(join(late, 'token'), '');
    expect(await told()).toMatch(/There is no token in .*late\/token\. The kubelet puts it there: mount the token/);
    await writeFile(join(late, 'token'), await accountToken('pod-late'));
    expect(await whoami(client)).toBe('system:serviceaccount:default:pod-late');
  });

  it.each([
    ['vanishes', async (path: string) => rm(path)],
    ['is empty for a moment', async (path: string) => writeFile(path, '')],
    ['is half written', async (path: string, text: string) => writeFile(path, text.slice(0, -40))],
  ])('whose file %s stay in use until it is whole again', async (what, damage) => {
    const [one, other] = ['one', 'other'].map((name) => `pod-${what.replaceAll(' ', '-')}-${name}`) as [string, string];
    const [old, renewed] = [await accountToken(one), await accountToken(other)];
    const tokenFile = await file('token', old);
    let now = Date.now();
    const client = open(
      { tokenFile },
      { server: cluster.server, certificateAuthority: cluster.caFile, now: () => now },
    );
    expect(await whoami(client)).toBe(`system:serviceaccount:default:${one}`);
    await damage(tokenFile, renewed);
    now += 11_000;
    expect(await whoami(client)).toBe(`system:serviceaccount:default:${one}`);
    await writeFile(tokenFile, renewed);
    await until('the new one is in use', async () => {
      now += 300;
      return (await whoami(client)) === `system:serviceaccount:default:${other}`;
    });
    expect(client.fault()).toBeUndefined();
  });

  it('are read again at once when the API server takes them no more', async () => {
    const [old, renewed] = [await accountToken('file-a'), await accountToken('file-b')];
    const tokenFile = await file('remote.token', old);
    const client = open({ tokenFile }, { server: cluster.server, certificateAuthority: cluster.caFile });
    expect(await whoami(client)).toBe('system:serviceaccount:default:file-a');
    await file('remote.token', renewed);
    cluster.standIn.refuse(old);
    expect(await whoami(client)).toBe('system:serviceaccount:default:file-b');
    cluster.standIn.refuse(renewed);
    expect(await refusal(whoami(client))).toMatchObject({ status: 401, ambiguous: false });
  });

  it('stay what they were while their file is broken, and say so', async () => {
    const tokenFile = await file('broken.token', await accountToken('broken'));
    let now = Date.now();
    const client = open(
      { tokenFile },
      { server: cluster.server, certificateAuthority: cluster.caFile, now: () => now },
    );
    await whoami(client);
    await file('broken.token', 'two words of a secret');
    now += 11_000;
    expect(await whoami(client)).toBe('system:serviceaccount:default:broken');
    expect(client.fault()?.message).toBe(`There is no token in ${tokenFile}.`);
  });

  it.each([
    ['a program', { user: { exec: { command: 'evil' } } }, 'runs a program (exec)'],
    ['an auth-provider', { user: { 'auth-provider': { name: 'gcp' } } }, 'uses an auth-provider'],
    ['impersonation', { user: { token: 'hush', as: 'root' } }, 'impersonates somebody (as)'],
    ['a password', { user: { username: 'a', password: 'hush' } }, 'has a user name and password'],
    ['nothing', { user: {} }, 'neither a token nor a client certificate'],
    ['no TLS', { user: { token: 'hush' }, cluster: { server: 'http://10.0.0.1' } }, 'is no https:// URL'],
    [
      'any certificate',
      { user: { token: 'hush' }, cluster: { server: 'https://x', 'insecure-skip-tls-verify': true } },
      'insecure-skip-tls-verify',
    ],
    [
      'a private key beside its authority, which the broker tells everybody',
      {
        user: { token: 'hush' },
        cluster: {
          server: 'https://x',
          'certificate-authority-data': Buffer.from('-----BEGIN PRIVATE KEY-----\nhush').toString('base64'),
        },
      },
      'holds a private key',
    ],
    ['another context', { user: { token: 'hush' }, current: 'other' }, 'has no context named "other"'],
  ])('of a kubeconfig with %s are refused', async (_, parts: Record<string, unknown>, words) => {
    const path = await file('refused.yaml', {
      'current-context': parts['current'] ?? 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: parts['cluster'] ?? { server: cluster.server } }],
      users: [{ name: 'u', user: parts['user'] }],
    });
    const error = await failure(open({ kubeconfig: path }).request('GET', maps));
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(error.message).toContain(words);
    expect(`${error.message}${error.hint}`).not.toContain('hush');
  });

  it('that are not there are named', async () => {
    for (const credentials of [{ kubeconfig: '/nowhere' }, { tokenFile: '/nowhere' }]) {
      const error = await failure(open(credentials, { server: cluster.server }).request('GET', maps));
      expect(error.message).toBe('/nowhere cannot be read: it does not exist.');
    }
    expect((await failure(open({ inCluster: true }).request('GET', maps))).message).toContain('is no pod');
  });
});

describe('the certificate of the API server', () => {
  it('is for the name that the configuration says', async () => {
    const options = { server: cluster.server, certificateAuthority: cluster.caFile };
    const tokenFile = await file('tls.token', await accountToken('tls'));
    await whoami(open({ tokenFile }, { ...options, tlsServerName: 'localhost' }));
    const error = await refusal(whoami(open({ tokenFile }, { ...options, tlsServerName: 'other.example' })));
    expect(error).toMatchObject({ status: undefined, ambiguous: false, retryable: false });
    expect(error.message).toContain('its certificate is for another host');
  });

  it('is signed by the authority that the configuration names', async () => {
    const certificateAuthority = await file('other.crt', (await createAuthority()).cert);
    const tokenFile = await file('ca.token', 'x');
    const error = await refusal(whoami(open({ tokenFile }, { server: cluster.server, certificateAuthority })));
    expect(error).toMatchObject({ ambiguous: false, retryable: false });
    expect(error.message).toContain('not trusted here');
  });
});

describe('a call that failed', () => {
  const asked = (path: string) => cluster.standIn.requests.filter(({ uri }) => uri === path).length;

  it('and never reached the server has changed nothing', async () => {
    const [port] = await freePorts(1);
    const tokenFile = await file('refused.token', 'x');
    const client = open({ tokenFile }, { server: `https://127.0.0.1:${port}` });
    const error = await refusal(client.request('POST', maps, { body: map('x') }));
    expect(error).toMatchObject({ status: undefined, ambiguous: false, retryable: true });
    expect(error.message).toContain('the connection was refused');
  });

  it.each([
    ['dropped', false],
    ['dropped after it was carried out', true],
  ])('may have been carried out when the connection was %s, and is not repeated', async (_, after) => {
    const name = `dropped-${after}`;
    let times = 0;
    cluster.standIn.fault = () => {
      times += 1;
      return { kind: 'drop', after };
    };
    const error = await refusal(kube.request('POST', maps, { body: map(name) }));
    expect(error).toMatchObject({ status: undefined, ambiguous: true, retryable: true });
    expect(error.message).toContain('the connection was cut');
    expect(times).toBe(1);
    cluster.standIn.fault = undefined;
    const found = await kube.request('GET', `${maps}/${name}`).catch((cause: unknown) => cause);
    expect(found).toMatchObject({ status: after ? 200 : 404 });
  });

  it('may have been carried out when no answer came in time', async () => {
    cluster.standIn.fault = () => ({ kind: 'hang', after: true });
    const began = performance.now();
    const error = await refusal(kube.request('POST', maps, { body: map('hung'), timeout: 200 }));
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(error).toMatchObject({ ambiguous: true, retryable: true });
    expect(error.message).toContain('it did not answer in time');
    expect(await refusal(kube.request('GET', maps, { timeout: 200 }))).toMatchObject({ ambiguous: false });
  });

  it('is repeated where that is harmless', async () => {
    let left = 2;
    cluster.standIn.fault = () => (left-- > 0 ? { kind: 'drop' } : undefined);
    expect((await kube.request('GET', maps)).status).toBe(200);
    left = 1;
    expect((await kube.request('POST', maps, { body: map('repeated'), repeatable: true })).status).toBe(201);
    left = 9;
    await refusal(kube.request('GET', maps));
    expect(left).toBe(6);
  });

  it('since the server is busy was not carried out, and is repeated when it says so', async () => {
    let busy = 1;
    let retryAfter = '1';
    cluster.standIn.fault = () =>
      busy-- > 0 ? { kind: 'answer', status: 429, headers: { 'retry-after': retryAfter } } : undefined;
    const began = performance.now();
    expect((await kube.request('POST', maps, { body: map('busy') })).status).toBe(201);
    expect(performance.now() - began).toBeGreaterThan(900);
    [busy, retryAfter] = [9, '30'];
    const error = await refusal(kube.request('POST', maps, { body: map('busier') }));
    expect(error).toMatchObject({ status: 429, retryAfter: 30, ambiguous: false, retryable: true });
    expect(busy).toBe(8);
  });

  it('says what the API server says', async () => {
    expect(await refusal(kube.request('GET', `${maps}/nobody`))).toMatchObject({
      status: 404,
      reason: 'NotFound',
      about: { kind: 'configmaps', name: 'nobody' },
      ambiguous: false,
      retryable: false,
      message: 'GET /api/v1/namespaces/default/configmaps/nobody: HTTP 404: configmaps "nobody" not found',
    });
    await kube.request('POST', maps, { body: map('twice') });
    expect(await refusal(kube.request('POST', maps, { body: map('twice') }))).toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
      ambiguous: false,
      retryable: false,
    });
    expect(await refusal(kube.request('POST', maps, { body: map('Not_A_Name') }))).toMatchObject({ status: 422 });
  });

  it.each([500, 502, 503, 504])('with HTTP %i may have been carried out if it was a write', async (status) => {
    cluster.standIn.fault = () => ({ kind: 'answer', status, body: '<html>\u001b[31m' });
    const error = await refusal(kube.request('POST', maps, { body: map('x') }));
    expect(error).toMatchObject({ status, reason: undefined, ambiguous: true, retryable: true });
    expect(error.message).not.toContain('\u001b');
    expect(await refusal(kube.request('GET', maps, { timeout: 1500 }))).toMatchObject({ status, ambiguous: false });
  });

  it('with a redirect leads nowhere', async () => {
    cluster.standIn.fault = ({ path }) =>
      path === maps ? { kind: 'answer', status: 307, headers: { location: `${cluster.server}/version` } } : undefined;
    const before = asked('/version');
    expect(await refusal(kube.request('GET', maps))).toMatchObject({ status: 307, retryable: false });
    expect(asked('/version')).toBe(before);
  });

  it('with what is no JSON, or too much of it, is none', async () => {
    for (const body of ['[', '"text"', `{"a":"${'x'.repeat(2_000)}"}`]) {
      cluster.standIn.fault = () => ({ kind: 'answer', status: 200, body });
      await refusal(kube.request('GET', maps, { maxBody: 1_000, timeout: 500 }));
    }
  });

  it('since it was given up ends at once', async () => {
    let calls = 0;
    cluster.standIn.fault = () => {
      calls += 1;
      return { kind: 'hang' };
    };
    const error = await refusal(kube.request('GET', maps, { signal: AbortSignal.timeout(50) }));
    expect(error.message).toContain('it was given up');
    const aborted = AbortSignal.abort();
    expect(await refusal(kube.request('POST', maps, { body: map('x'), signal: aborted }))).toMatchObject({
      ambiguous: false,
    });
    expect(calls).toBe(1);
  });
});

describe('an answer', () => {
  it('brings its warnings, cleaned', async () => {
    cluster.standIn.fault = () => ({
      kind: 'answer',
      status: 200,
      headers: { warning: ['299 - "deprecated, \\"really\\""', '299 - "a\x9b31mred one", 299 - "third"', 'nonsense'] },
    });
    const { warnings } = await kube.request('GET', maps);
    expect(warnings).toEqual(['deprecated, "really"', 'a 31mred one', 'third']);
  });

  it('tells what the clocks differ by, when they certainly do', async () => {
    const skew = async (offset: number) => {
      cluster.standIn.clockOffset = offset;
      await kube.request('GET', maps);
      return kube.skew();
    };
    expect(await skew(0)).toBe(0);
    expect(Math.abs((await skew(60_000))! - 60_000)).toBeLessThan(2_000);
    expect(Math.abs((await skew(-60_000))! + 60_000)).toBeLessThan(2_000);
    // Errors tell the time as well.
    cluster.standIn.clockOffset = 0;
    await refusal(kube.request('GET', `${maps}/nobody`));
    expect(kube.skew()).toBe(0);
  });

  it('comes over connections that are kept', async () => {
    const client = open({ kubeconfig: cluster.adminKubeconfig });
    await client.request('GET', maps);
    const first = client.connectedAt();
    for (let index = 0; index < 5; index += 1) await client.request('GET', maps);
    expect(client.connectedAt()).toBe(first);
  });
});

describe('the health of a cluster', () => {
  const clock = { now: Date.now };
  const config = () => clusterConfig(cluster.adminKubeconfig, { identityNamespace: 'default' });

  it('says whether the policy is in force, by a dry run that leaves nothing', async () => {
    const clusters = openClusters({ prod: config() }, { clock, env: {} });
    const prod = clusters.get('prod')!;
    expect(prod.health()).toMatchObject({ reachable: false, policy: 'unknown', probedAt: undefined });
    expect(await prod.probe()).toMatchObject({ reachable: true, policy: 'missing', skew: 0 });
    expect(prod.health().problem).toContain('not in force');
    cluster.standIn.fault = () => ({
      kind: 'answer',
      status: 422,
      body: {
        kind: 'Status',
        reason: 'Invalid',
        message:
          "secrets \"kleis-probe\" is forbidden: ValidatingAdmissionPolicy 'kleis-broker' with binding 'kleis-broker' denied request: only empty Secrets",
      },
    });
    expect(await prod.probe()).toMatchObject({ reachable: true, policy: 'in_force', problem: undefined });
    cluster.standIn.fault = undefined;
    const secrets = await cluster.request('GET', '/api/v1/namespaces/default/secrets');
    expect(secrets['items']).toEqual([]);
    clusters.close();
  });

  it('says what is wrong, and by how much the clock is', async () => {
    const clusters = openClusters({ prod: config() }, { clock, env: {} });
    const prod = clusters.get('prod')!;
    cluster.standIn.fault = () => ({ kind: 'answer', status: 403, body: { kind: 'Status', message: 'no rights' } });
    cluster.standIn.clockOffset = 90_000;
    const health = await prod.probe();
    expect(health).toMatchObject({ reachable: true, policy: 'unknown' });
    expect(health.problem).toContain('HTTP 403: no rights');
    cluster.standIn.fault = undefined;
    expect((await prod.probe()).skew).toBeGreaterThan(80_000);
    const [port] = await freePorts(1);
    const dead = {
      ...config(),
      credentials: { tokenFile: await file('dead.token', 'x') },
      server: `https://127.0.0.1:${port}`,
    };
    clusters.update({ prod: dead });
    expect(clusters.get('prod')).not.toBe(prod);
    expect(await clusters.get('prod')!.probe()).toMatchObject({ reachable: false, policy: 'unknown' });
    clusters.close();
  });

  it('keeps what did not change with a new configuration', () => {
    const clusters = openClusters({ a: config(), b: config() }, { clock, env: {} });
    const { a, b } = { a: clusters.get('a'), b: clusters.get('b') };
    clusters.update({ a: config(), b: { ...config(), audiences: ['x'] } });
    expect(clusters.get('a')).toBe(a);
    expect(clusters.get('b')).not.toBe(b);
    clusters.update({});
    expect(clusters.get('a')).toBeUndefined();
    clusters.close();
  });
});

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeUnverified } from '../../shared/jwt.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { runPod } from './kubelet.ts';
import { needs } from './needs.ts';

const deployments = '/apis/apps/v1/namespaces/web/deployments';

/** Serves what it is asked for, and tells about itself. */
const program = `
const { createServer } = require('node:http');
const { readFileSync, writeFileSync } = require('node:fs');
const tried = (work) => { try { return work(); } catch (error) { return error.code; } };
createServer(async (request, response) => {
  const path = decodeURI(request.url.slice(1));
  const status = readFileSync('/proc/self/status', 'utf8');
  if (path === 'self') response.end(JSON.stringify({
    ids: [process.getuid(), process.getgid(), process.getgroups()],
    effective: /CapEff:\\s+(\\w+)/.exec(status)[1], noNewPrivs: /NoNewPrivs:\\s+(\\w+)/.exec(status)[1],
    env: process.env.TOLD, root: tried(() => writeFileSync('/tmp/x', '')), volume: tried(() => writeFileSync('/config/x', '')),
    work: tried(() => writeFileSync('/work/x', 'x')) }));
  else if (path.startsWith('http:')) response.end(await fetch(path).then((r) => r.text(), (e) => 'error: ' + e.cause.code));
  else response.end(tried(() => readFileSync('/' + path, 'utf8')));
}).listen(8080);
process.on('SIGTERM', () => process.exit(7));
`;

describe.skipIf(!needs('kube') || !needs('pods'))('a kubelet for one pod', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ kind: '1.36' });
    await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'web' } });
    await cluster.request('POST', '/api/v1/namespaces/web/serviceaccounts', { metadata: { name: 'web' } });
    await configMap('POST', '1');
  }, 120_000);
  afterAll(() => cluster?.stop(), 30_000);

  const configMap = async (method: 'POST' | 'PUT', text: string) => {
    const path = `/api/v1/namespaces/web/configmaps${method === 'PUT' ? '/web' : ''}`;
    await cluster.request(method, path, { metadata: { name: 'web' }, data: { a: text, b: text } });
  };
  const deploy = async (name: string, spec: object, container: object = {}) => {
    const labels = { app: name };
    const own = {
      name: 'web',
      image: 'example.com/web',
      command: ['node', '-e', program],
      env: [{ name: 'TOLD', value: 'so' }],
      ports: [{ name: 'http', containerPort: 8080 }],
      readinessProbe: { httpGet: { path: '/self', port: 'http' } },
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
      volumeMounts: [
        { name: 'config', mountPath: '/config', readOnly: true },
        { name: 'token', mountPath: '/var/run/token', readOnly: true },
        { name: 'work', mountPath: '/work' },
      ],
      ...container,
    };
    const template = {
      metadata: { labels },
      spec: {
        serviceAccountName: 'web',
        securityContext: { runAsUser: 65532, runAsGroup: 65532, fsGroup: 65533 },
        containers: [own],
        volumes: [
          { name: 'config', configMap: { name: 'web' } },
          { name: 'work', emptyDir: {} },
          {
            name: 'token',
            projected: {
              sources: [{ serviceAccountToken: { path: 'token', audience: 'kleis', expirationSeconds: 900 } }],
            },
          },
        ],
        ...spec,
      },
    };
    await cluster.request('POST', deployments, {
      metadata: { name },
      spec: { selector: { matchLabels: labels }, template },
    });
  };

  it('runs it as its own user without rights, with its files, in a network that has what it may reach', async () => {
    await deploy('web', {});
    const server = createServer((_, response) => response.end('reached')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const pod = await runPod(cluster, { namespace: 'web', deployment: 'web', reach: [port], syncEvery: 3_600_000 });
    try {
      await pod.ready();
      const get = async (path: string) => (await fetch(`http://127.0.0.1:${pod.portOf('http')}/${path}`)).text();
      expect(JSON.parse(await get('self'))).toEqual({
        ids: [65532, 65532, [65533, 65532]],
        effective: '0000000000000000',
        noNewPrivs: '1',
        env: 'so',
        root: 'EROFS',
        volume: 'EROFS',
      });
      const { claims } = decodeUnverified(await get('var/run/token/token'));
      expect(claims).toMatchObject({ aud: ['kleis'], sub: 'system:serviceaccount:web:web' });
      expect(Number(claims.exp) - Number(claims.iat)).toBe(900);
      expect(claims['kubernetes.io']).toMatchObject({ pod: { name: pod.name } });

      expect(await get(`http://127.0.0.1:${port}/`)).toBe('reached');
      pod.block(true);
      expect(await get(`http://127.0.0.1:${port}/`)).toMatch(/^error: /);
      pod.block(false);
      expect(await get(`http://127.0.0.1:${new URL(cluster.etcd!).port}/`)).toBe('error: ECONNREFUSED');

      expect(await get('config/a')).toBe('1');
      await configMap('PUT', '2');
      expect(await get('config/a')).toBe('1');
      await pod.sync();
      expect([await get('config/a'), await get('config/..data/b')]).toEqual(['2', '2']);
      expect((await cluster.request('GET', `/api/v1/namespaces/web/pods/${pod.name}`))['status']).toMatchObject({
        phase: 'Running',
      });
    } finally {
      server.close();
      expect(await pod.stop()).toBe(7);
    }
  }, 60_000);

  it('waits for what is not there yet, and says what that is', async () => {
    await deploy('late', { volumes: [{ name: 'config', secret: { secretName: 'tls' } }] }, { volumeMounts: [] });
    await expect(runPod(cluster, { namespace: 'web', deployment: 'late', timeout: 500 })).rejects.toThrow(
      /cannot be created: .*secrets .{0,2}tls.{0,2} not found/,
    );
  });

  it('refuses what it would have to ignore', async () => {
    await deploy('host', { hostNetwork: true }, { ports: [] });
    await expect(runPod(cluster, { namespace: 'web', deployment: 'host' })).rejects.toThrow(
      'pod: hostNetwork is not known',
    );
    await deploy('added', {}, { securityContext: { capabilities: { add: ['NET_ADMIN'] } } });
    await expect(runPod(cluster, { namespace: 'web', deployment: 'added' })).rejects.toThrow('added capabilities');
  });
});

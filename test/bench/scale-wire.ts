import { createConnection, createServer, type Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { Cluster } from '../support/cluster.ts';

/** Bytes, TLS and all. */
export interface Wire {
  readonly up: number;
  readonly down: number;
}

export interface CountingProxy {
  /** https://127.0.0.1:PORT, with the certificate of whom it stands before. */
  readonly url: string;
  count(): Wire;
  close(): void;
}

/** Passes connections on, and counts what goes through. */
export async function countBefore(server: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(server);
  let [up, down] = [0, 0];
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = createConnection(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (chunk: Buffer) => (up += chunk.length));
    far.on('data', (chunk: Buffer) => (down += chunk.length));
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `https://127.0.0.1:${address.port}`,
    count: () => ({ up, down }),
    close() {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export interface Watcher {
  /** Bytes of events since it began. */
  bytes(): number;
  close(): void;
}

const metadataOnly = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

/** Watches what begins from now on; `metadata`: as the garbage collector does, though in JSON. */
export async function watch(cluster: Cluster, path: string, how: 'whole' | 'metadata'): Promise<Watcher> {
  const list = await cluster.request('GET', `${path}?limit=1`);
  const { resourceVersion = '' } = list.metadata as { resourceVersion?: string };
  const admin = clientOf(cluster);
  let bytes = 0;
  const call = https.get(`${cluster.server}${path}?watch=1&resourceVersion=${resourceVersion}`, {
    ...admin,
    agent: false,
    headers: { accept: how === 'metadata' ? metadataOnly : 'application/json' },
  });
  await new Promise<void>((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (message) => {
      if (message.statusCode !== 200) reject(new Error(`watch ${path}: ${message.statusCode}`));
      message.on('data', (chunk: Buffer) => (bytes += chunk.length));
      message.on('error', () => undefined);
      resolve();
    });
  });
  return { bytes: () => bytes, close: () => call.destroy() };
}

function clientOf({ adminKubeconfig, caPem }: Cluster): { ca: string; cert: Buffer; key: Buffer } {
  const { users } = JSON.parse(readFileSync(adminKubeconfig, 'utf8')) as {
    users: readonly { user: { 'client-certificate-data': string; 'client-key-data': string } }[];
  };
  const { user } = users[0]!;
  const decode = (text: string) => Buffer.from(text, 'base64');
  return { ca: caPem, cert: decode(user['client-certificate-data']), key: decode(user['client-key-data']) };
}

/** The sum of a metric of Prometheus over all labels that `matches` lets through. */
export function sumOf(text: string, name: string, matches: (labels: string) => boolean = () => true): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name || !matches(match[2] ?? '')) continue;
    sum += Number(match[3]);
  }
  return sum;
}

/** `/metrics` of the API server. */
export async function apiServerMetrics(cluster: Cluster): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = https.get(`${cluster.server}/metrics`, { ...clientOf(cluster), agent: false }, (message) => {
      const chunks: Buffer[] = [];
      message.on('data', (chunk: Buffer) => chunks.push(chunk));
      message.once('end', () => resolve(Buffer.concat(chunks).toString()));
      message.once('error', reject);
    });
    call.once('error', reject);
  });
}

export async function etcdMetrics({ etcd }: Cluster): Promise<string> {
  if (etcd === undefined) throw new Error('this cluster has no etcd');
  const response = await fetch(`${etcd}/metrics`);
  return response.text();
}

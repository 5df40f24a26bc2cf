import { withStage } from './scale-scene.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweep } from '../../broker/leases/sweep.ts';
import type { Cluster } from '../support/cluster.ts';
import { connect, load } from './broker-client.ts';
import { ask } from './broker-mints.ts';
import { type BrokerScene, type Cost, costs } from './broker-scene.ts';
import { withAdmins } from './scale-crowd.ts';
import { openLeases } from './scale-leases.ts';
import type { Part } from './scale-part.ts';
import {
  apiServerMetrics,
  type CountingProxy,
  countBefore,
  etcdMetrics,
  sumOf,
  watch,
  type Watcher,
} from './scale-wire.ts';

const mints = 300;
const concurrency = 16;
const warmUp = 40;

interface Spent {
  /** Bytes. */
  readonly wal: number;
  readonly fromEtcd: number;
  readonly up: number;
  readonly down: number;
  readonly watchedWhole: number;
  readonly watchedMetadata: number;
  /** Milliseconds of processor time. */
  readonly apiCpu: number;
  readonly etcdCpu: number;
}

/** What API server and etcd have done so far. */
interface Meter extends Spent {
  /** Of the API server, by verb and resource. */
  readonly requests: ReadonlyMap<string, number>;
  readonly revision: number;
  readonly puts: number;
  readonly deletes: number;
  /** Bytes of etcd's file. */
  readonly inUse: number;
}

/** One kind of work, for one mint of it. */
export interface UnitCost extends Spent, Record<string, unknown> {
  readonly what: string;
  readonly calls: string;
  readonly revisions: number;
  /** Bytes that stay in etcd's file until it is compacted. */
  readonly stays: number;
}

const kinds: readonly { readonly name: string; readonly grant: string; readonly issuer: Cost['issuer'] }[] = [
  ...costs,
  { name: 'a lease, an account and its RoleBinding (ephemeral)', grant: 'ephemeral', issuer: 'ci' },
];

/** What one mint, its revocation and its end cost an API server and etcd: read from their own counters. */
export async function measureCosts(): Promise<Part> {
  return withStage(async ({ open, undo }) => {
    const scene = await open();
    const { cluster } = scene;
    const proxy = await countBefore(cluster.server);
    undo(() => proxy.close());
    const broker = await scene.start((config) => ({
      ...withAdmins(config),
      clusters: { prod: { ...config.clusters.prod, server: proxy.url } },
    }));
    undo(() => broker.stop());
    const client = connect(broker.url);
    undo(() => client.close());
    const leases = await openLeases(broker.configFile);
    undo(() => leases.close());
    const paths = [
      '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases',
      '/api/v1/namespaces/kleis-identities/secrets',
    ];
    const watchers = { whole: [] as Watcher[], metadata: [] as Watcher[] };
    for (const path of paths) {
      watchers.whole.push(await watch(cluster, path, 'whole'));
      watchers.metadata.push(await watch(cluster, path, 'metadata'));
    }
    undo(() => [...watchers.whole, ...watchers.metadata].forEach((each) => each.close()));

    const meter = async () => read(cluster, proxy, watchers);
    const rows: UnitCost[] = [];
    for (const kind of kinds) {
      const mint = async () => {
        const { status, text, body } = await ask(client, scene.subjectToken(kind as Cost), kind);
        if (status !== 200) throw new Error(`${kind.grant}: ${status} ${text}`);
        return body;
      };
      if (kind.issuer === 'once') scene.prepare(mints + warmUp);
      await load(warmUp, concurrency, async () => void (await mint()));
      const got: string[] = [];
      rows.push(
        await weigh(`mint: ${kind.name}`, mints, meter, async () => {
          await load(mints, concurrency, async () => {
            const { lease } = await mint();
            if (typeof lease === 'string') got.push(lease);
          });
        }),
      );
      if (kind.grant === 'revocable') {
        const authorization = `Bearer ${scene.subjectToken(costs[0]!)}`;
        const half = got.slice(0, mints / 2);
        rows.push(
          await weigh('revocation of one of them', half.length, meter, async () => {
            await load(half.length, concurrency, async () => {
              const { status, text } = await client.send('DELETE', `/leases/${half.pop()}`, { authorization }, '');
              if (status !== 200) throw new Error(`DELETE /leases: ${status} ${text}`);
            });
          }),
        );
      }
    }
    rows.push(await weighEnd(leases, meter));
    const stored = await weighStored(scene, leases);
    return describe(rows, stored);
  });
}

/** Everything has ended, two hours later. */
async function weighEnd(
  { services }: Awaited<ReturnType<typeof openLeases>>,
  meter: () => Promise<Meter>,
): Promise<UnitCost> {
  const { store } = services;
  const later = { ...services, store: { ...store, now: async () => ((await store.now()) ?? NaN) + 7_200_000 } };
  let removed = 0;
  const before = await meter();
  for (;;) {
    const round = await sweep(later);
    removed += round.removed;
    if (round.fault !== undefined) throw round.fault;
    if (!round.more) break;
  }
  await sleep(500);
  return compare('sweep: the end of one of all these leases', removed, before, await meter());
}

/** Bytes of a live lease: what 5 000 add to etcd's file and to the API server's memory. */
async function weighStored({ cluster }: BrokerScene, leases: Awaited<ReturnType<typeof openLeases>>) {
  const count = 2_000;
  const look = async () => {
    const [etcd, api] = await Promise.all([etcdMetrics(cluster), apiServerMetrics(cluster)]);
    return {
      inUse: sumOf(etcd, 'etcd_mvcc_db_total_size_in_use_in_bytes'),
      api: sumOf(api, 'process_resident_memory_bytes'),
    };
  };
  const before = await look();
  await leases.fill(count);
  await sleep(1_000);
  const after = await look();
  return { etcd: (after.inUse - before.inUse) / count, apiServer: (after.api - before.api) / count };
}

async function weigh(
  what: string,
  count: number,
  meter: () => Promise<Meter>,
  work: () => Promise<void>,
): Promise<UnitCost> {
  const before = await meter();
  await work();
  await sleep(300);
  return compare(what, count, before, await meter());
}

async function read(
  cluster: Cluster,
  proxy: CountingProxy,
  watchers: { readonly whole: readonly Watcher[]; readonly metadata: readonly Watcher[] },
): Promise<Meter> {
  const [etcd, api] = await Promise.all([etcdMetrics(cluster), apiServerMetrics(cluster)]);
  const requests = new Map<string, number>();
  for (const [, labels = '', value] of api.matchAll(/^apiserver_request_total(\{.*\}) (\S+)$/gm)) {
    const label = (name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
    if (label('dry_run') !== '' || !['POST', 'PUT', 'DELETE', 'GET', 'LIST'].includes(label('verb'))) continue;
    const key = `${label('verb')} ${label('resource')}${label('subresource') && `/${label('subresource')}`}`;
    requests.set(key, (requests.get(key) ?? 0) + Number(value));
  }
  const bytes = (list: readonly Watcher[]) => list.reduce((sum, each) => sum + each.bytes(), 0);
  return {
    requests,
    revision: sumOf(etcd, 'etcd_debugging_mvcc_current_revision'),
    puts: sumOf(etcd, 'etcd_mvcc_put_total'),
    deletes: sumOf(etcd, 'etcd_mvcc_delete_total'),
    wal: sumOf(etcd, 'etcd_disk_wal_write_bytes_total'),
    inUse: sumOf(etcd, 'etcd_mvcc_db_total_size_in_use_in_bytes'),
    fromEtcd: sumOf(etcd, 'etcd_network_client_grpc_sent_bytes_total'),
    ...proxy.count(),
    watchedWhole: bytes(watchers.whole),
    watchedMetadata: bytes(watchers.metadata),
    apiCpu: sumOf(api, 'process_cpu_seconds_total') * 1000,
    etcdCpu: sumOf(etcd, 'process_cpu_seconds_total') * 1000,
  };
}

function compare(what: string, count: number, before: Meter, after: Meter): UnitCost {
  const each = (key: Exclude<keyof Meter, 'requests'>) => (after[key] - before[key]) / count;
  const calls = Array.from(after.requests, ([name, total]) => ({
    name,
    per: (total - (before.requests.get(name) ?? 0)) / count,
  }))
    .filter(({ per }) => per > 0.2)
    .map(({ name, per }) => (per > 0.9 && per < 1.1 ? name : `${per.toFixed(1)} ${name}`));
  return {
    what,
    calls: calls.join(', '),
    revisions: each('revision'),
    wal: each('wal'),
    stays: each('inUse'),
    fromEtcd: each('fromEtcd'),
    up: each('up'),
    down: each('down'),
    watchedWhole: each('watchedWhole'),
    watchedMetadata: each('watchedMetadata'),
    apiCpu: each('apiCpu'),
    etcdCpu: each('etcdCpu'),
  };
}

function describe(rows: readonly UnitCost[], stored: { readonly etcd: number; readonly apiServer: number }): Part {
  const kilobytes = (bytes: number) => (bytes / 1000).toFixed(1);
  const head = [
    'kB and ms for one',
    'revisions',
    'WAL',
    'stays',
    'etcd sends',
    'broker sends',
    'gets',
    'watch',
    'watch (metadata)',
    'API server CPU',
    'etcd CPU',
  ];
  return {
    title: `What one costs an API server and etcd (${mints} each, ${concurrency} at once; events off, no other work)`,
    tables: [
      [
        head,
        ...rows.map((row) => [
          row.what,
          row.revisions.toFixed(2),
          ...[row.wal, row.stays, row.fromEtcd, row.up, row.down, row.watchedWhole, row.watchedMetadata].map(kilobytes),
          row.apiCpu.toFixed(2),
          row.etcdCpu.toFixed(2),
        ]),
      ],
      [['', 'calls'], ...rows.map(({ what, calls }) => [what, calls])],
    ],
    notes: [
      `A lease takes ${(stored.etcd / 1000).toFixed(2)} kB of etcd's file and ${(stored.apiServer / 1000).toFixed(1)} kB of the API server's memory.`,
    ],
    goals: [],
    figures: { rows, stored },
  };
}

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { clusterFault } from '../../../broker/cluster/fault.ts';
import type { KubeClient } from '../../../shared/kube/client.ts';
import { createPager, eachPage } from '../../../shared/kube/pages.ts';
import { startStandInCluster, type StandInCluster } from '../../support/stand-in/cluster.ts';
import { clusterConfig } from '../../broker/leases/world.ts';

interface Named {
  readonly metadata: { readonly name: string };
}

const maps = '/api/v1/namespaces/default/configmaps';
const listed = { groupVersion: 'v1', namespace: 'default', resource: 'configmaps' };

let cluster: StandInCluster;
let clusters: ReturnType<typeof openClusters>;
let kube: KubeClient;
/** Of the lists that were asked for. */
let limits: number[] = [];

beforeAll(async () => {
  cluster = await startStandInCluster();
  clusters = openClusters({ prod: clusterConfig(cluster.adminKubeconfig) }, { clock: { now: Date.now }, env: {} });
  kube = clusters.get('prod')!.kube;
  for (let index = 10; index < 30; index += 1) {
    // Three large ones next to each other.
    const data = { text: 'x'.repeat(index >= 15 && index < 18 ? 100_000 : 10) };
    const metadata = { name: `m-${index}`, namespace: 'default' };
    await cluster.request('POST', maps, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  }
});
afterEach(() => {
  cluster.standIn.fault = undefined;
});
afterAll(async () => {
  clusters?.close();
  await cluster?.stop();
});

const all = Array.from({ length: 20 }, (_, index) => `m-${index + 10}`);

async function read(limit: number, maxBody: number, answer?: (limit: number) => object | undefined): Promise<string[]> {
  limits = [];
  cluster.standIn.fault = ({ path, query }) => {
    if (path !== maps) return undefined;
    limits.push(Number(new URLSearchParams(query).get('limit')));
    const body = answer?.(limits.at(-1)!);
    return body && { kind: 'answer', status: 200, body };
  };
  const names: string[] = [];
  const readPage = createPager<Named>(kube, listed, { maxBody: () => maxBody });
  for await (const page of eachPage(readPage, { limit })) names.push(...page.map(({ metadata }) => metadata.name));
  return names;
}

describe('a list', () => {
  it('takes no more calls than it has pages where nothing is too large', async () => {
    expect(await read(8, 1024 * 1024)).toEqual(all);
    expect(limits).toEqual([8, 8, 8]);
  });

  it('is read to its end, each object once, past objects of which each is larger than a page', async () => {
    expect(await read(8, 20_000)).toEqual(all);
    // Smaller where the large ones are, and as wanted again behind them.
    expect(limits).toEqual([8, 4, 8, 4, 2, 1, 2, 1, 2, 1, 2, 1, 2, 4, 8]);
  });

  it('of an object that is larger than any may be ends with an error that says where it is and what to do', async () => {
    const huge = { items: [{ metadata: { name: 'huge' }, data: 'x'.repeat(11 * 1024 * 1024) }] };
    const error = await read(5, 20_000, () => huge).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'KubeError', tooLarge: true, retryable: false, ambiguous: false });
    expect((error as Error).message).toBe(
      'One of the configmaps in the namespace default is longer than 10485760 bytes, so those behind it cannot be ' +
        'read. Look for it with kubectl get configmaps -n default -o json, and delete it.',
    );
    expect(clusterFault('prod', error)).toMatchObject({ reason: 'unavailable', retryable: false });
    expect(limits).toEqual([5, 2, 1]);
  });

  it('that fails for another reason is not asked for again with a smaller page', async () => {
    const asked: (string | undefined)[] = [];
    cluster.standIn.fault = ({ path, query }) => {
      if (path === maps) asked.push(query);
      return path === maps ? { kind: 'answer', status: 413, body: '' } : undefined;
    };
    const readPage = createPager<Named>(kube, listed, { maxBody: () => 20_000 });
    await expect(readPage({ limit: 8 })).rejects.toMatchObject({ name: 'KubeError', status: 413, tooLarge: false });
    expect(asked).toEqual(['limit=8']);
  });
});

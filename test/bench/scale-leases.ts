import { openClusters } from '../../broker/cluster/clusters.ts';
import { loadConfig } from '../../broker/config/load.ts';
import { createKubernetesStore } from '../../broker/leases/kubernetes.ts';
import { type LeaseRequest, randomLeaseName } from '../../broker/leases/lease.ts';
import type { LeaseServices } from '../../broker/leases/lifecycle.ts';
import { load } from './broker-client.ts';

/** The leases of a broker's configuration, by the broker's own code and credentials. */
export interface OpenLeases {
  readonly services: LeaseServices;
  /** Takes so many that live for two hours; gives the milliseconds. */
  fill(count: number): Promise<number>;
  /** Takes so many that ended an hour ago, and may be removed. */
  takeEnded(count: number): Promise<number>;
  close(): void;
}

const atOnce = 64;
const hour = 3_600_000;
const grants = 400;
const holders = 5_000;

export async function openLeases(configFile: string): Promise<OpenLeases> {
  const { config } = await loadConfig(configFile);
  const clusters = openClusters(config.clusters, { clock: { now: () => Date.now() }, env: {} });
  const { kube } = clusters.get('prod')!;
  // So many at once may wait for one another longer than a broker would.
  const store = createKubernetesStore({ kube, cluster: 'prod', namespace: 'kleis-state', timeout: 60_000 });
  let taken = 0;
  const take = async (count: number, now: number, endsAt: number) => {
    const { took } = await load(count, atOnce, async () => {
      await store.acquire(requestOf((taken += 1), now, endsAt));
    });
    return took;
  };
  return {
    services: { store, clusters },
    fill: async (count) => take(count, Date.now(), Date.now() + 2 * hour),
    takeEnded: async (count) => take(count, Date.now() - 2 * hour, Date.now() - hour),
    close: () => clusters.close(),
  };
}

/** Of many jobs of many repositories; half of them revocable, though without their Secrets. */
function requestOf(index: number, now: number, endsAt: number): LeaseRequest {
  const grant = `deploy-${index % grants}`;
  return {
    name: randomLeaseName(),
    grant,
    cluster: 'prod',
    account: { namespace: 'kleis-identities', name: `deploy-${index % 20}` },
    bound: index % 2 === 0 ? 'secret' : 'none',
    holder: `https://ci.example.com repo:acme/service-${index % holders}:environment:production`,
    subjectHash: index.toString(16).padStart(43, '0'),
    subjectExpiresAt: endsAt,
    endsAt,
    singleUse: index % 2 === 1,
    now,
  };
}

import { KleisError } from '../../shared/errors.ts';
import { maxSkew } from '../../shared/kube/time.ts';
import type { Cluster } from '../cluster/clusters.ts';
import type { CompiledGrant } from '../policy/compile.ts';
import { lackingRights } from './rights.ts';
import type { Services } from './services.ts';

const probing = new WeakMap<Cluster, Promise<unknown>>();

/**
 * The cluster of the grant, if it confines the broker as the configuration demands, and lets it do all that the grant
 * needs. Asks it only where that was never asked, or was not so. Throws `cluster_unavailable`, `broker_not_ready`.
 */
export async function fitCluster(services: Services, grant: CompiledGrant): Promise<Cluster> {
  const cluster = services.leases.clusters.get(grant.cluster);
  if (cluster === undefined) {
    throw new KleisError('cluster_unavailable', 'The cluster of the grant is not there at the moment.', {
      detail: `cluster ${grant.cluster}: the configuration has just changed`,
      retryAfter: 2,
    });
  }
  if (cluster.health().probedAt !== undefined && faultOf(services, cluster, grant) === undefined) return cluster;
  const probe = probing.get(cluster) ?? cluster.probe().finally(() => probing.delete(cluster));
  probing.set(cluster, probe);
  await probe;
  const fault = faultOf(services, cluster, grant);
  if (fault !== undefined) throw fault;
  return cluster;
}

/** Why no token of the grant may be minted there. */
function faultOf({ loaded: { config }, leases }: Services, cluster: Cluster, grant: CompiledGrant) {
  const { policy, problem = 'the admission policy is not in force', skew = 0 } = cluster.health();
  // A subject token is judged by our clock: where the cluster's is another, nobody can tell what has ended.
  if (Math.abs(skew) > maxSkew) {
    return new KleisError('broker_not_ready', 'The clocks of the broker and of the cluster differ.', {
      detail: `cluster ${cluster.name}: ${Math.round(Math.abs(skew) / 1000)} s`,
      retryAfter: 30,
    });
  }
  // Where the policy is required, an unknown state counts as not in force.
  const confined = config.admissionPolicy === 'optional' || policy === 'in_force';
  const rights = lackingRights(leases.clusters, config, grant.config);
  if (confined && rights.length === 0) return undefined;
  return new KleisError('broker_not_ready', 'The cluster of the grant is not set up so that tokens may be minted.', {
    detail: `cluster ${cluster.name}: ${rights.length > 0 ? `the broker may not ${rights.slice(0, 5).join(', ')}` : problem}`,
    retryAfter: policy === 'unknown' ? 5 : 30,
  });
}

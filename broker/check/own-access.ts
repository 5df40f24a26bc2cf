import type { Finding } from '../../shared/findings.ts';
import type { Cluster, Clusters } from '../cluster/clusters.ts';
import type { BrokerConfig, ClusterConfig } from '../config/broker-config.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Whether the credentials of a cluster may be here: a pod's own are where a pod is. `files`: those that are named are. */
export function isHere({ credentials }: ClusterConfig, files: boolean, env: Env): boolean {
  return 'inCluster' in credentials ? Boolean(env['KUBERNETES_SERVICE_HOST']) : files;
}

/** Asks every cluster whose credentials are here, as the broker will: by its own account, with a dry run. */
export async function checkOwnAccess(
  clusters: Clusters,
  { admissionPolicy }: Pick<BrokerConfig, 'admissionPolicy'>,
  wanted: (config: ClusterConfig) => boolean,
): Promise<Finding[]> {
  const asked = clusters.all().filter(({ config }) => wanted(config));
  return Promise.all(asked.map(async (cluster) => judge(cluster, admissionPolicy === 'required')));
}

async function judge(cluster: Cluster, policyDemanded: boolean): Promise<Finding> {
  const { reachable, policy, problem } = await cluster.probe();
  const place = { about: `clusters.${cluster.name}` };
  if (reachable && policy === 'in_force') {
    const what = 'It answers the broker, and the policy that confines the broker is in force.';
    return { ...place, severity: 'ok', code: 'cluster', what };
  }
  return {
    ...place,
    severity: reachable && !policyDemanded ? 'warning' : 'error',
    code: 'cluster-unusable',
    what: problem ?? 'It does not answer.',
    why: `The broker ${reachable && !policyDemanded ? 'is not confined' : 'mints nothing'} there.`,
  };
}

import type { PolicyFault } from '../policy/parse-where.ts';
import type { BrokerConfig, ClusterConfig, WriterConfig } from './broker-config.ts';

/** Where it writes: in the cluster that it names, else where the broker runs. */
export function clustersOf({ cluster: name }: WriterConfig, { clusters }: BrokerConfig): ClusterConfig[] {
  return Object.values(clusters).filter((cluster) =>
    name === undefined ? 'inCluster' in cluster.credentials : cluster.name === name,
  );
}

/** What is wrong with one entry of `namespaces.writers`, by paths within it. `own`: Kleis's namespaces there. */
export function writerFaults(
  writer: WriterConfig,
  config: BrokerConfig,
  own: readonly (readonly [namespace: string, field: string])[],
): PolicyFault[] {
  const { account, secrets, configMaps } = writer;
  const faults: PolicyFault[] = [];
  if (secrets.length + configMaps.length === 0) {
    faults.push({ path: [], message: 'names neither secrets nor configMaps: say what it may write' });
  }
  if (writer.cluster === undefined && clustersOf(writer, config).length === 0) {
    faults.push({ path: [], message: 'says no cluster, and none has credentials inCluster: say where it writes' });
  }
  const at = ['serviceAccount'];
  if (account.namespace === 'kube-system') {
    faults.push({
      path: at,
      message: 'is of kube-system, whose accounts the policy lets in anyway: leave the entry out',
    });
  }
  const [, field] = own.find(([namespace]) => namespace === account.namespace) ?? [];
  if (field !== undefined) {
    const message = `is an account of ${account.namespace}, the ${field}: a token of a grant or of the broker would write the broker's own files`;
    faults.push({ path: at, message });
  }
  return faults;
}

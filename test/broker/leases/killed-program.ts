// A broker that is killed right after its N-th answer from the API server, somewhere on the way from lease to revocation.
import { openClusters, type Cluster } from '../../../broker/cluster/clusters.ts';
import { mint } from '../../../broker/cluster/mint.ts';
import { createKubernetesStore } from '../../../broker/leases/kubernetes.ts';
import { openLease } from '../../../broker/leases/lifecycle.ts';
import { revokeLease } from '../../../broker/leases/revocation.ts';
import { clusterConfig, leaseRequest } from './world.ts';

const [, , kubeconfig = '', bound = '', killAt = ''] = process.argv;
const clusters = openClusters({ prod: clusterConfig(kubeconfig) }, { clock: Date, env: {} });
const real = clusters.get('prod')!;
let answers = 0;
const prod: Cluster = {
  ...real,
  kube: {
    ...real.kube,
    async request(...args) {
      const answer = await real.kube.request<never>(...args);
      answers += 1;
      if (answers === Number(killAt)) process.kill(process.pid, 'SIGKILL');
      return answer;
    },
  },
};
const store = createKubernetesStore({ kube: prod.kube, cluster: 'prod', namespace: 'kleis-state' });
const services = { store, clusters: { ...clusters, get: () => prod }, clock: Date };
const access =
  bound === 'account'
    ? ['web', 'api'].map((namespace) => ({ kind: 'Role' as const, namespace, name: 'deployer' }))
    : [];
const more =
  bound === 'account' ? { bound: 'account' as const, account: { namespace: 'kleis-ephemeral', name: 'any' } } : {};
const opened = await openLease(services, leaseRequest(Date.now(), more), access);
if (opened.kind === 'replayed') throw new Error('replayed');
await mint(prod, { ...opened.target, ttl: 600 });
await revokeLease(services, opened.lease.name, 'by hand');
console.log(`not killed: ${answers} answers`);
process.exit(0);

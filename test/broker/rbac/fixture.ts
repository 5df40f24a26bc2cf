import type { LoadedConfig } from '../../../broker/config/load.ts';
import { isNamespaced, type NamespacedAccess } from '../../../broker/policy/access.ts';
import type { KubeObject } from '../../../shared/rbac/kinds.ts';
import { buildManifests } from '../../../broker/rbac/manifests.ts';
import { type ClusterNeeds, findNeeds } from '../../../broker/rbac/needs.ts';
import { printYaml } from '../../../broker/rbac/print.ts';
import { loadDocument } from '../policy/fixture.ts';

export const audience = 'https://kubernetes.default.svc';
const where = { repository_id: '1', environment: 'production', event_name: 'push' };
const common = { issuer: 'github', where, cluster: 'prod' };
export const ttl = { default: '10m', max: '1h' };

/** One grant of each kind: in the identity namespace with and without revocation, elsewhere, ephemeral, with ClusterRoles. */
export const everyGrant = {
  'deploy-web': { ...common, serviceAccount: 'deploy-web', access: [{ namespace: 'web', role: 'deployer' }], ttl },
  plain: { ...common, serviceAccount: 'plain', revocable: false, access: [{ namespace: 'web', role: 'viewer' }], ttl },
  elsewhere: {
    ...common,
    serviceAccount: { namespace: 'web', name: 'deployer' },
    killSwitch: 'kleis-kill-deployer',
    ttl: { default: '10m', max: '15m' },
  },
  unbound: { ...common, serviceAccount: { namespace: 'web', name: 'builder' }, ttl: { default: '10m', max: '15m' } },
  lease: {
    ...common,
    ephemeral: true,
    access: [
      { namespace: 'web', role: 'deployer' },
      { namespace: 'web', clusterRole: 'observer' },
    ],
    ttl,
  },
  reader: {
    ...common,
    serviceAccount: 'reader',
    access: [
      { namespaces: ['web', 'default'], clusterRole: 'observer' },
      { clusterRole: 'node-reader', scope: 'cluster' },
    ],
    ttl,
  },
};

/** What an account of a lease of that grant is bound to. */
export function leaseAccess(grant: string, loaded = load()): readonly NamespacedAccess[] {
  return (loaded.config.grants[grant]?.access ?? []).filter(isNamespaced);
}

export function load(grants: Record<string, unknown> = everyGrant, parts: Record<string, unknown> = {}): LoadedConfig {
  const clusters = { prod: { credentials: { inCluster: true }, audiences: [audience] } };
  return loadDocument({ clusters, grants, ...parts });
}

export function needsOf(
  loaded: LoadedConfig,
  audiences: readonly string[] = [audience],
  cluster = 'prod',
): ClusterNeeds {
  return findNeeds(loaded.config, loaded.config.clusters[cluster]!, audiences);
}

export function objectsOf(needs: ClusterNeeds): KubeObject[] {
  return buildManifests(needs).flatMap(({ manifests }) => manifests.map(({ object }) => object));
}

export function yamlOf(needs: ClusterNeeds): string {
  return printYaml(buildManifests(needs), needs);
}

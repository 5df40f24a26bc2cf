import { readConnection } from '../../shared/kube/connection.ts';
import type { WellKnownCluster } from '../../shared/protocol.ts';
import type { ClusterConfig } from '../config/broker-config.ts';

/** How those who get tokens reach the clusters: as the broker does, of which nothing is secret but its credentials. */
export interface ClusterPlaces {
  /** Clusters whose files cannot be read now are left out. */
  describe(
    clusters: Readonly<Record<string, ClusterConfig>>,
    names: ReadonlySet<string>,
  ): Promise<readonly WellKnownCluster[]>;
}

/** Milliseconds; a cluster's authority changes once in years. */
const maxAge = 60_000;

export function createClusterPlaces(
  env: Readonly<Record<string, string | undefined>>,
  now: () => number,
): ClusterPlaces {
  const known = new WeakMap<ClusterConfig, { readonly at: number; readonly place: WellKnownCluster }>();
  return {
    async describe(clusters, names) {
      const found: WellKnownCluster[] = [];
      for (const name of names) {
        const config = clusters[name];
        if (config === undefined) continue;
        const old = known.get(config);
        const fresh = old !== undefined && Math.abs(now() - old.at) < maxAge;
        const place = fresh ? old.place : await locate(config, env).catch(() => old?.place);
        if (place === undefined) continue;
        known.set(config, { at: fresh ? old.at : now(), place });
        found.push(place);
      }
      return found;
    },
  };
}

async function locate(
  { name, credentials, server, certificateAuthority, tlsServerName }: ClusterConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<WellKnownCluster> {
  const found = await readConnection({ credentials, server, certificateAuthority, tlsServerName, env });
  return {
    name,
    server: found.server.href.replace(/\/$/, ''),
    ...(found.ca !== undefined && { certificate_authority: found.ca }),
    ...(found.tlsServerName !== undefined && { tls_server_name: found.tlsServerName }),
  };
}

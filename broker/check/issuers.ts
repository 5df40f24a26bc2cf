import { clean } from '../../shared/text.ts';
import type { Clusters } from '../cluster/clusters.ts';
import type { IssuerConfig } from '../config/schema.ts';
import { discoveredKeys, type DiscoveryDeps, fileKeys } from '../issuers/discovery.ts';
import { parseKeySet, type VerificationKey } from '../issuers/keys.ts';
import type { Finding } from './findings.ts';

/** Asks every issuer for its keys, as the broker will. */
export async function checkIssuers(
  issuers: readonly IssuerConfig[],
  clusters: Clusters,
  deps: DiscoveryDeps,
): Promise<Finding[]> {
  return Promise.all(
    issuers.map(async (issuer): Promise<Finding> => {
      const about = `issuers.${issuer.name}`;
      try {
        const keys = await keysOf(issuer, clusters, deps);
        if (keys.length === 0) throw new Error('it publishes no key that can be used');
        const what = `It gives ${keys.length === 1 ? 'one key' : `${keys.length} keys`} that can be used.`;
        return { severity: 'ok', code: 'issuer', about, what };
      } catch (error) {
        return {
          severity: 'error',
          code: 'issuer-keys',
          about,
          what: `No keys of it: ${clean((error as Error).message, 600).replace(/\.$/, '')}.`,
          why: 'Without keys no token of it can be verified.',
          next: 'Correct its url, name what vouches for it in certificateAuthority, or give its keys with jwks or cluster.',
        };
      }
    }),
  );
}

async function keysOf(
  { url, cluster, jwks, certificateAuthority }: IssuerConfig,
  clusters: Clusters,
  deps: DiscoveryDeps,
): Promise<readonly VerificationKey[]> {
  if (cluster !== undefined) {
    const { body } = await clusters.get(cluster)!.kube.request('GET', '/openid/v1/jwks');
    return parseKeySet(JSON.stringify(body));
  }
  const load = jwks === undefined ? discoveredKeys({ url: url!, certificateAuthority }, deps) : fileKeys(jwks);
  return (await load()).keys;
}

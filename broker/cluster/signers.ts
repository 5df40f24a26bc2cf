import { KleisError } from '../../shared/errors.ts';
import type { UnverifiedJwt } from '../../shared/jwt.ts';
import { createKeySource, type KeySource } from '../issuers/key-source.ts';
import { readClusterKeys } from '../issuers/cluster-keys.ts';
import { verifySignature } from '../issuers/keys.ts';
import type { Cluster } from './clusters.ts';

const keySources = new WeakMap<Cluster, KeySource>();

/**
 * The clusters whose keys signed it: several if they share them. Not by a TokenReview: the API server would then remember
 * for ten more seconds that the token is good.
 */
export async function signersOf(
  jwt: UnverifiedJwt,
  clusters: readonly Cluster[],
  now: () => number,
): Promise<Cluster[]> {
  const { alg, kid } = jwt.header;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return [];
  const own: Cluster[] = [];
  let unsure: KleisError | undefined;
  for (const cluster of clusters) {
    const source = keySources.get(cluster) ?? keysOf(cluster, now);
    keySources.set(cluster, source);
    try {
      const fits = (key: Parameters<typeof verifySignature>[0]) =>
        verifySignature(key, alg, jwt.signingInput, jwt.signature);
      await source.prove({ kid, algorithm: alg, fits });
      own.push(cluster);
    } catch (error) {
      if (!(error instanceof KleisError)) throw error;
      if (error.code === 'issuer_unavailable') unsure = error;
    }
  }
  if (own.length === 0 && unsure !== undefined) {
    throw new KleisError('cluster_unavailable', 'Whether the token is of one of the clusters cannot be told now.', {
      detail: unsure.detail ?? unsure.message,
      retryAfter: unsure.retryAfter ?? 30,
      cause: unsure,
    });
  }
  return own;
}

/** API servers change their keys when somebody restarts them. Milliseconds. */
const keysMaxAge = 10 * 60_000;

function keysOf({ name, kube }: Cluster, now: () => number): KeySource {
  return createKeySource({ name }, async () => ({ keys: await readClusterKeys(kube), maxAge: keysMaxAge }), now);
}

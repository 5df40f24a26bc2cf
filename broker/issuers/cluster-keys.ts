import type { KubeRequest } from '../../shared/kube/call.ts';
import { isObject } from '../../shared/json.ts';
import { isStatus } from '../../shared/kube/error.ts';
import { clean } from '../../shared/text.ts';
import type { KeyLoader } from './discovery.ts';
import { KeySetFault, parseKeySet, type VerificationKey } from './keys.ts';

/** What is needed of the connection to a cluster. */
export interface ClusterConnection {
  request(method: 'GET', path: string, wanted: KubeRequest): Promise<{ readonly body: unknown }>;
}

/** API servers say an hour in Cache-Control; their keys change when somebody restarts them. Milliseconds. */
const maxAge = 10 * 60_000;
const timeout = 5000;
/** Whose discovery document it is cannot be a longer text. */
const maxUrl = 2048;

/**
 * The keys that an API server signs service-account tokens with, through the broker's own connection: from outside a
 * stock API server answers 403, and its URL need not resolve. `jwks_uri` is not followed: it is where others look.
 */
export async function readClusterKeys(cluster: ClusterConnection): Promise<readonly VerificationKey[]> {
  const body = await get(cluster, '/openid/v1/jwks', 'application/jwk-set+json, application/json');
  return parseKeySet(JSON.stringify(body));
}

/** With who it says it is; that must be `url` if one is given. */
export function clusterKeys(cluster: ClusterConnection, url: string | undefined): KeyLoader {
  let last: { readonly text: string; readonly keys: readonly VerificationKey[] } | undefined;
  return async () => {
    const document = await get(cluster, '/.well-known/openid-configuration', 'application/json');
    const issuer = isObject(document) ? document['issuer'] : undefined;
    if (typeof issuer !== 'string' || issuer === '' || issuer.length > maxUrl) {
      throw new KeySetFault('the API server does not say who it is (issuer)');
    }
    if (url !== undefined && issuer !== url) {
      throw new KeySetFault(`the API server is another issuer, ${clean(JSON.stringify(issuer))}`);
    }
    const keys = await readClusterKeys(cluster);
    // The same keys stay the same objects, so that nothing that was learned about them is forgotten.
    const text = JSON.stringify(keys.map(({ kid, thumbprint, algorithms }) => [kid, thumbprint, algorithms]));
    if (last?.text !== text) last = { text, keys };
    return { issuer, keys: last.keys, maxAge };
  };
}

async function get(cluster: ClusterConnection, path: string, accept: string): Promise<unknown> {
  try {
    return (await cluster.request('GET', path, { headers: { accept }, timeout })).body;
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    throw new KeySetFault(`${error.message} (ClusterRole system:service-account-issuer-discovery allows it)`, {
      cause: error,
    });
  }
}

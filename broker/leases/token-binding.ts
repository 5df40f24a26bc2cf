import { isObject } from '../../shared/json.ts';
import type { JsonObject } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import type { Cluster } from '../cluster/clusters.ts';
import type { Grant } from '../policy/grant.ts';

/** What a minted token says of itself. */
export interface TokenBinding {
  readonly namespace: string | undefined;
  readonly account: string | undefined;
  /** The Secret, or the account where there is none. */
  readonly object: { readonly name: string; readonly uid: string | undefined } | undefined;
}

export function readBinding(claims: JsonObject): TokenBinding {
  const kube = part(claims, 'kubernetes.io');
  const account = part(kube, 'serviceaccount');
  const secret = part(kube, 'secret');
  const object = typeof secret['name'] === 'string' ? secret : account;
  const { name, uid } = object;
  const namespace = typeof kube['namespace'] === 'string' ? kube['namespace'] : undefined;
  return {
    namespace,
    account: typeof account['name'] === 'string' ? clean(`${namespace}/${account['name']}`) : undefined,
    object: typeof name === 'string' ? { name, uid: typeof uid === 'string' ? uid : undefined } : undefined,
  };
}

function part(value: JsonObject, name: string): JsonObject {
  const found = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(found) ? found : {};
}

/** Tokens of other namespaces are none of ours, and no reason to ask a cluster for anything. */
export function mayBeOf(
  { config }: Cluster,
  namespace: string | undefined,
  grants: Readonly<Record<string, Grant>>,
): boolean {
  if (namespace === undefined) return false;
  if (namespace === config.identityNamespace || namespace === config.ephemeralNamespace) return true;
  return Object.values(grants).some(
    ({ cluster, account }) => cluster === config.name && account.namespace === namespace,
  );
}

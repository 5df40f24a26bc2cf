import { isObject } from '../../shared/json.ts';
import type { JsonObject } from '../../shared/jwt.ts';
import type { Cluster } from '../cluster/clusters.ts';
import type { Grant } from '../policy/grant.ts';
import { boundName, type Lease } from './lease.ts';

/** What a minted token says of itself: nothing of it is known to be so but that a cluster signed it. */
export interface TokenBinding {
  readonly namespace: string | undefined;
  /** Name of the service account. */
  readonly account: string | undefined;
  /** What it dies with, as far as the broker makes such things; undefined if that is a Pod or a Node. */
  readonly object:
    | { readonly kind: 'secret' | 'account'; readonly name: string; readonly uid: string | undefined }
    | undefined;
}

export function readBinding(claims: JsonObject): TokenBinding {
  const kube = part(claims, 'kubernetes.io');
  const account = part(kube, 'serviceaccount');
  const kind = kube['secret'] === undefined ? 'account' : 'secret';
  const { name, uid } = kind === 'secret' ? part(kube, 'secret') : account;
  const ofOther = kube['pod'] !== undefined || kube['node'] !== undefined;
  return {
    namespace: text(kube['namespace']),
    account: text(account['name']),
    object: typeof name !== 'string' || ofOther ? undefined : { kind, name, uid: text(uid) },
  };
}

/** Whether the token says that it was minted for that turn of the lease. */
export function isOfTurn({ namespace, account, object }: TokenBinding, lease: Lease, turn: number): boolean {
  const name = boundName(lease, turn);
  return (
    turn <= lease.turn &&
    object?.kind === lease.bound &&
    object.name === name &&
    namespace === lease.account.namespace &&
    account === (lease.bound === 'account' ? name : lease.account.name)
  );
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

function part(value: JsonObject, name: string): JsonObject {
  const found = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(found) ? found : {};
}

/** A token of another namespace is not the broker's, so no cluster is asked about it. */
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

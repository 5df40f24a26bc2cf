/** A Role or ClusterRole that an account has in one namespace. */
export interface NamespacedAccess {
  readonly kind: 'Role' | 'ClusterRole';
  readonly name: string;
  readonly namespace: string;
}

/** A ClusterRole that an account has in the whole cluster. */
interface ClusterAccess {
  readonly kind: 'ClusterRole';
  readonly name: string;
  readonly namespace: undefined;
}

/** One binding of an account: RBAC has none other. */
export type Access = NamespacedAccess | ClusterAccess;

export function isNamespaced(access: Access): access is NamespacedAccess {
  return access.namespace !== undefined;
}

/** Two entries of one key give the same. Neither names of namespaces nor of Roles have a slash. */
export function keyOfAccess({ kind, name, namespace = '' }: Access): string {
  return `${kind} ${namespace}/${name}`;
}

/** Where all of it is; undefined where that is more than one namespace. */
export function onlyNamespace(access: readonly Access[] | undefined): string | undefined {
  const namespaces = new Set(access?.map(({ namespace }) => namespace));
  return namespaces.size === 1 ? [...namespaces][0] : undefined;
}

const mostNamespaces = 5;

/** For people, a part for each Role: `deployer in web`, `view in api and web`, `node-reader in the whole cluster`. */
export function accessInWords(access: readonly Access[]): string[] {
  const places = new Map<string, { readonly name: string; readonly namespaces: (string | undefined)[] }>();
  for (const { kind, name, namespace } of access) {
    const key = `${kind} ${name}`;
    const entry = places.get(key) ?? { name, namespaces: [] };
    places.set(key, entry);
    entry.namespaces.push(namespace);
  }
  return [...places.values()].map(({ name, namespaces }) => `${name} in ${placesInWords(namespaces)}`);
}

function placesInWords(namespaces: readonly (string | undefined)[]): string {
  // Whatever is said beside it adds nothing.
  if (namespaces.includes(undefined)) return 'the whole cluster';
  const shown = namespaces.slice(0, namespaces.length > mostNamespaces ? mostNamespaces - 1 : mostNamespaces);
  const left = namespaces.length - shown.length;
  const parts = left === 0 ? shown : [...shown, `${left} more namespaces`];
  return parts.length === 1 ? `${parts[0]}` : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

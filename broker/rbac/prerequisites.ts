import { type ClusterNeeds, compare, keyOf } from './needs.ts';

export interface Prerequisite {
  readonly what: string;
  readonly names: readonly string[];
}

/** What the printed objects name and is not Kleis's to make: the admin's, or Kubernetes' own. Each list is sorted. */
export function findPrerequisites({ identities, elsewhere, ephemeral }: ClusterNeeds): Prerequisite[] {
  const access = [...[...identities, ...elsewhere].flatMap((account) => account.access), ...(ephemeral?.access ?? [])];
  const namespaces = [...access, ...elsewhere].flatMap(({ namespace }) => namespace ?? []);
  const roles = access.filter(({ kind }) => kind === 'Role').map(({ namespace, name }) => `${namespace}/${name}`);
  const clusterRoles = access.filter(({ kind }) => kind === 'ClusterRole').map(({ name }) => name);
  return [
    { what: 'namespaces', names: namespaces },
    { what: 'Roles', names: roles },
    { what: 'ClusterRoles', names: clusterRoles },
    { what: 'ServiceAccounts', names: elsewhere.map(keyOf) },
  ]
    .filter(({ names }) => names.length > 0)
    .map(({ what, names }) => ({ what, names: [...new Set(names)].toSorted(compare) }));
}

import type { Subject } from './kinds.ts';

/** Somebody as the API server sees him. */
export interface Holder {
  readonly user: string;
  readonly groups: readonly string[];
}

export function toHolder({ kind, name, namespace }: Subject): Holder {
  if (kind === 'Group') return { user: 'kleis-check', groups: [name, 'system:authenticated'] };
  if (kind === 'User') return { user: name, groups: ['system:authenticated'] };
  return serviceAccount(String(namespace), name);
}

/** As the API server sees a service account. */
export function serviceAccount(namespace: string, name: string): Holder {
  return {
    user: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  };
}

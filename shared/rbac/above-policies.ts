import { userOf } from './bindings.ts';
import { toHolder } from './holders.ts';
import type { Binding, RbacState, Subject } from './kinds.ts';
import { findPowers } from './powers.ts';

// The words of powers, by their ids.
export const minter: Readonly<Record<string, string>> = {
  mint: 'create serviceaccounts/token',
  pods: 'start pods',
  workloads: 'start workloads',
  exec: 'enter pods',
};
/** What makes somebody another one, among them whoever may remove the policies; or goes past admission altogether. */
const becoming: Readonly<Record<string, string>> = {
  ...minter,
  impersonate: 'impersonate others',
  secrets: 'read Secrets',
};
const beyond: Readonly<Record<string, string>> = {
  ...becoming,
  admission: 'change admission policies or webhooks',
  escalate: 'give themselves any right',
  csr: 'approve or sign certificates',
  'nodes-proxy': 'talk to kubelets',
  nodes: 'write Nodes',
  apiservices: 'register API servers',
};

/** A binding of somebody who is neither the control plane nor the broker. */
export interface Held {
  readonly binding: Binding;
  readonly subjects: readonly Subject[];
  readonly ids: ReadonlySet<string>;
}

export interface Above {
  /** By any of its bindings, or those of its groups, or since it is exempt; whoever may impersonate anybody counts. */
  has(subject: Subject): boolean;
  /** It may change the policies itself. */
  writes(subject: Subject): boolean;
  /** What about the binding puts its subjects there, in words; undefined if nothing does. */
  reasonOf(binding: Binding, ids: ReadonlySet<string>): string | undefined;
}

/**
 * Who can get around the admission policies. They bind whoever is himself and cannot change them; not whoever may become
 * an account that can: the controllers of kube-system may remove everything.
 */
export function findAbove(bindings: readonly Held[], live: RbacState): Above {
  const strong = strongNamespaces(live);
  const everywhere = strong.has('');
  const reasonOf = ({ kind, namespace = '' }: Binding, ids: ReadonlySet<string>) => {
    if (kind === 'ClusterRoleBinding') return listOf(beyond, ids);
    return everywhere || strong.has(namespace) ? listOf(becoming, ids) : undefined;
  };
  const keys = new Set<string>();
  const writers = new Set<string>();
  for (const { binding, subjects, ids } of bindings) {
    for (const key of subjects.map(userOf)) {
      if (reasonOf(binding, ids) !== undefined || ids.has('impersonate')) keys.add(key);
      if (binding.kind === 'ClusterRoleBinding' && ids.has('admission')) writers.add(key);
    }
  }
  return {
    has: (subject) => isExempt(subject) || allKeys(subject).some((key) => keys.has(key)),
    writes: (subject) => allKeys(subject).some((key) => writers.has(key)),
    reasonOf,
  };
}

/** Whom the policy takes for the control plane; see `namespacesPolicy`. */
export function isExempt(subject: Subject): boolean {
  return allKeys(subject).some((key) =>
    /^(user system:(kube-|serviceaccount:kube-system:)|group system:(nodes|serviceaccounts:kube-system)$)/.test(key),
  );
}

/** Namespaces with an account that may change admission policies; '' if every account may. */
function strongNamespaces(live: RbacState): ReadonlySet<string> {
  const found = new Set(['kube-system']);
  for (const binding of live.bindings) {
    if (binding.kind !== 'ClusterRoleBinding' || !powersOf(binding, live).has('admission')) continue;
    for (const subject of binding.subjects) {
      const user = userOf(subject);
      const [, namespace] = /^(?:user system:serviceaccount:|group system:serviceaccounts:)([^:]+)/.exec(user) ?? [];
      if (namespace !== undefined) found.add(namespace);
      if (user === 'group system:serviceaccounts' || user === 'group system:authenticated') found.add('');
    }
  }
  return found;
}

/** What bindings may call a subject: its own name, and the groups that are known to have it. */
function allKeys(subject: Subject): string[] {
  const own = userOf(subject);
  const { groups } = toHolder(subject);
  return [own, ...(own.startsWith('user ') ? groups.map((group) => `group ${group}`) : [])];
}

function listOf(table: Readonly<Record<string, string>>, ids: ReadonlySet<string>): string | undefined {
  const words = Object.keys(table).flatMap((id) => (ids.has(id) ? [table[id]] : []));
  return words.length === 0 ? undefined : words.join(', ');
}

export function powersOf(binding: Binding, live: RbacState): ReadonlySet<string> {
  const scope = binding.kind === 'ClusterRoleBinding' ? 'cluster' : 'namespace';
  return new Set(findPowers(live.rulesOf(binding), scope).map(({ id }) => id));
}

import type { Subject } from '../rbac/kinds.ts';
import { type ClusterNeeds, keyOf } from '../rbac/needs.ts';
import { about, describeBinding, describeRole, userOf } from './accounts.ts';
import type { Finding } from './findings.ts';
import type { Binding, Live } from './live.ts';
import { findPowers } from './powers.ts';

interface Holder {
  readonly user: string;
  readonly groups: readonly string[];
}

interface Others {
  readonly findings: readonly Finding[];
  /** Somebody whom nothing but the admission policy keeps from creating Secrets in Kleis's namespaces. */
  readonly stopped: Holder | undefined;
}

const writing = ['mint', 'secrets', 'secrets-create', 'rbac', 'escalate', 'pods', 'workloads', 'exec'];
/** What gets at an account's token where no policy of Kleis is: its namespace is the application's. */
const minting = ['mint', 'pods', 'workloads', 'exec'];
const minter: Readonly<Record<string, string>> = {
  mint: 'create serviceaccounts/token',
  pods: 'start pods',
  workloads: 'start workloads',
  exec: 'enter pods',
};

/** Who else, besides the control plane, has power over the namespaces and accounts that Kleis relies on. */
export function checkOthers(needs: ClusterNeeds, live: Live): Others {
  const findings: Finding[] = [];
  const place = { about: `clusters.${needs.cluster.name}` } as const;
  const policyWriters = new Set<string>();
  const writers: { readonly subject: Subject; readonly key: string }[] = [];
  for (const binding of live.bindings) {
    const isCluster = binding.kind === 'ClusterRoleBinding';
    if (!isCluster && !needs.namespaces.includes(binding.namespace ?? '')) continue;
    const subjects = binding.subjects.filter(
      (subject) => !isKubernetesOwn(binding, subject) && !isBroker(subject, needs),
    );
    if (subjects.length === 0) continue;
    const ids = new Set(findPowers(live.rulesOf(binding), isCluster ? 'cluster' : 'namespace').map(({ id }) => id));
    const by = `${listSubjects(subjects)}, by ${describeBinding(binding)} (${describeRole(binding)}),`;
    if (ids.has('impersonate')) {
      findings.push({
        ...place,
        severity: 'warning',
        code: 'others-impersonate',
        what: `${by} may impersonate others ${isCluster ? 'in the whole cluster' : `in ${binding.namespace}`}.`,
        why: 'As an account of a grant they need no token; what they do is in the audit log of the API server alone.',
        next: 'Make sure that they may.',
      });
    }
    if (ids.has('admission')) {
      for (const subject of subjects) policyWriters.add(userOf(subject));
      findings.push({
        ...place,
        severity: 'warning',
        code: 'others-policies',
        what: `${by} may change admission policies or webhooks.`,
        why: 'What confines the broker and keeps others out is theirs to remove.',
        next: 'Make sure that they may.',
      });
    } else if (writing.some((id) => ids.has(id))) {
      findings.push({
        ...place,
        severity: 'ok',
        code: 'others-write',
        what: `${by} could write ${isCluster ? "in Kleis's namespaces too" : `in ${binding.namespace}`}: the policy ${needs.namespacesPolicy} refuses it.`,
      });
      if (isCluster && ids.has('secrets-create')) {
        writers.push(...subjects.map((subject) => ({ subject, key: userOf(subject) })));
      }
    }
  }
  const stopped = writers.find(({ key }) => !policyWriters.has(key));
  return {
    findings: [...findings, ...checkElsewhere(needs, live)],
    stopped: stopped === undefined ? undefined : toHolder(stopped.subject),
  };
}

/** An account outside of the identity namespace is as safe as its namespace: no policy of Kleis is there. */
function checkElsewhere(needs: ClusterNeeds, live: Live): Finding[] {
  const namespaces = new Set(needs.elsewhere.map(({ namespace }) => namespace));
  return [...namespaces].flatMap((namespace) => {
    const accounts = needs.elsewhere.filter((account) => account.namespace === namespace);
    const grants = accounts.flatMap((account) => account.grants);
    return live.bindings.flatMap((binding): Finding[] => {
      if (binding.kind === 'RoleBinding' && binding.namespace !== namespace) return [];
      const subjects = binding.subjects.filter(
        (subject) => !isKubernetesOwn(binding, subject) && !isBroker(subject, needs),
      );
      if (subjects.length === 0) return [];
      const scope = binding.kind === 'RoleBinding' ? 'namespace' : 'cluster';
      const ids = findPowers(live.rulesOf(binding), scope).map(({ id }) => id);
      const how = minting.filter((id) => ids.includes(id)).map((id) => minter[id]);
      if (how.length === 0) return [];
      return [
        {
          ...about({ grants }),
          severity: 'warning',
          code: 'others-mint',
          what: `${listSubjects(subjects)} may ${how.join(', ')} in ${namespace}, by ${describeBinding(binding)} (${describeRole(binding)}), and so get tokens of ${accounts.map(keyOf).slice(0, 5).join(', ')} without Kleis.`,
          why: 'An account outside of the identity namespace is guarded by the RBAC of its namespace alone.',
          next: 'Make sure that they may, or use an account in the identity namespace.',
        },
      ];
    });
  });
}

/** What every cluster comes with: the control plane, and the group that certificates of its admins have. */
function isKubernetesOwn({ object }: Binding, subject: Subject): boolean {
  if (object.metadata.labels?.['kubernetes.io/bootstrapping'] !== 'rbac-defaults') return false;
  return subject.kind === 'ServiceAccount' ? subject.namespace === 'kube-system' : subject.name.startsWith('system:');
}

function isBroker(subject: Subject, needs: ClusterNeeds): boolean {
  return userOf(subject) === `user ${needs.brokerUser}`;
}

function listSubjects(subjects: readonly Subject[]): string {
  const names = subjects.map(
    ({ kind, name, namespace }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
  );
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

function toHolder({ kind, name, namespace }: Subject): Holder {
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

import { findAbove, type Held, isExempt, minter, powersOf } from '../../shared/rbac/above-policies.ts';
import { describeBinding, describeRole, isKubernetesOwn, listSubjects, userOf } from '../../shared/rbac/bindings.ts';
import { type Holder, toHolder } from '../../shared/rbac/holders.ts';
import type { Binding, Subject } from '../../shared/rbac/kinds.ts';
import { type ClusterNeeds, keyOf, userOf as userOfAccount } from '../rbac/needs.ts';
import { about } from './accounts.ts';
import type { Finding } from '../../shared/findings.ts';
import type { Live } from './cluster-objects.ts';

interface Others {
  readonly findings: readonly Finding[];
  /** Somebody whom nothing but the admission policy keeps from creating Secrets in Kleis's namespaces. */
  readonly stopped: Holder | undefined;
}

const writing = ['mint', 'secrets', 'secrets-create', 'rbac', 'escalate', 'pods', 'workloads', 'exec', 'namespaces'];
/** What gets at an account's token where no policy of Kleis is: its namespace is the application's. */
const minting = ['mint', 'pods', 'workloads', 'exec'];
/** Who else, besides the control plane, has power over the namespaces and accounts that Kleis relies on. */
export function checkOthers(needs: ClusterNeeds, live: Live): Others {
  const bindings = live.bindings.flatMap((binding) => heldBy(binding, needs, live));
  const above = findAbove(bindings, live);
  const writers: Subject[] = [];
  const findings = bindings.flatMap(({ binding, subjects, ids }): Finding[] => {
    const isCluster = binding.kind === 'ClusterRoleBinding';
    const reaches = isCluster || needs.namespaces.includes(binding.namespace ?? '');
    const found = aboveFindings(needs, { binding, subjects, ids }, above.reasonOf(binding, ids), reaches);
    if (!reaches || !writing.some((id) => ids.has(id))) return found;
    if (isCluster && ids.has('secrets-create') && !ids.has('admission')) writers.push(...subjects);
    const exempt = found.length > 0 ? [] : subjects.filter(isExempt);
    if (exempt.length > 0) found.push(exemptFinding(needs, binding, exempt));
    // Of whoever stands above the policy, by this binding or another, nothing is said to be refused.
    const below = subjects.filter((subject) => !above.has(subject));
    if (below.length === 0) return found;
    const but = below.some((subject) => isWriter(subject, needs)) ? ', but for what namespaces.writers names' : '';
    return [
      ...found,
      {
        about: `clusters.${needs.cluster.name}`,
        severity: 'ok',
        code: 'others-write',
        what: `${nameHolders(binding, below)} could write ${isCluster ? "in Kleis's namespaces too" : `in ${binding.namespace}`}: the policy ${needs.namespacesPolicy} refuses it${but}.`,
      },
    ];
  });
  const stopped = writers.find((subject) => !above.has(subject)) ?? writers.find((subject) => !above.writes(subject));
  return {
    findings: [...findings, ...checkElsewhere(needs, live)],
    stopped: stopped === undefined ? undefined : toHolder(stopped),
  };
}

function heldBy(binding: Binding, needs: ClusterNeeds, live: Live): Held[] {
  const subjects = binding.subjects.filter(
    (subject) => !isKubernetesOwn(binding, subject) && !isBroker(subject, needs),
  );
  if (subjects.length === 0) return [];
  return [{ binding, subjects, ids: powersOf(binding, live) }];
}

function aboveFindings(
  needs: ClusterNeeds,
  { binding, subjects, ids }: Held,
  reason: string | undefined,
  reaches: boolean,
): Finding[] {
  const place = {
    about: `clusters.${needs.cluster.name}`,
    severity: 'warning',
    next: 'Make sure that they may.',
  } as const;
  const by = nameHolders(binding, subjects);
  const where = binding.kind === 'ClusterRoleBinding' ? 'in the whole cluster' : `in ${binding.namespace}`;
  const findings: Finding[] = [];
  if (ids.has('impersonate') && (reaches || reason !== undefined)) {
    findings.push({
      ...place,
      code: 'others-impersonate',
      what: `${by} may impersonate others ${where}.${reason === undefined ? '' : ' They stand above the policies.'}`,
      why: 'As an account of a grant they need no token; what they do is in the audit log of the API server alone.',
    });
  }
  if (ids.has('admission')) {
    findings.push({
      ...place,
      code: 'others-policies',
      what: `${by} may change admission policies or webhooks. They stand above the policies.`,
      why: 'What confines the broker and keeps others out is theirs to remove.',
    });
  } else if (reason !== undefined) {
    findings.push({
      ...place,
      code: 'others-above',
      what: `${by} may, ${where}: ${reason}. They stand above the policies.`,
      why: 'So they can become an account that may remove the policies, such as a controller of kube-system: nothing of Kleis stops them.',
    });
  }
  return findings;
}

function exemptFinding(needs: ClusterNeeds, binding: Binding, subjects: readonly Subject[]): Finding {
  return {
    about: `clusters.${needs.cluster.name}`,
    severity: 'warning',
    code: 'others-above',
    what: `${nameHolders(binding, subjects)} could write in Kleis's namespaces, and the policy ${needs.namespacesPolicy} takes them for the control plane.`,
    why: 'Controllers of kube-system and nodes do their work everywhere.',
    next: 'Make sure that they may.',
  };
}

function nameHolders(binding: Binding, subjects: readonly Subject[]): string {
  return `${listSubjects(subjects)}, by ${describeBinding(binding)} (${describeRole(binding)}),`;
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
      const ids = powersOf(binding, live);
      const how = minting.filter((id) => ids.has(id)).map((id) => minter[id]);
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

function isBroker(subject: Subject, needs: ClusterNeeds): boolean {
  return userOf(subject) === `user ${needs.brokerUser}`;
}

function isWriter(subject: Subject, needs: ClusterNeeds): boolean {
  return needs.writers.some((writer) => userOf(subject) === `user ${userOfAccount(writer)}`);
}

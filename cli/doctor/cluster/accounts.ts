import { findAbove, type Held } from '../../../shared/rbac/above-policies.ts';
import { describeBinding, describeRole, isKubernetesOwn, listSubjects, userOf } from '../../../shared/rbac/bindings.ts';
import type { Binding, RbacState, Rule, Subject } from '../../../shared/rbac/kinds.ts';
import { findPowers, type Power } from '../../../shared/rbac/powers.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';
import { danger } from './danger.ts';
import { type BindingsOf, grantForAccount, grantForPeople } from './grants.ts';
import { removal, type Words } from './words.ts';

const about = 'accounts';
/** In one namespace: what makes somebody another account of it. */
const becoming = new Set(['mint', 'impersonate', 'escalate', 'secrets']);
const everybody = new Set([
  'group system:authenticated',
  'group system:serviceaccounts',
  'user system:anonymous',
  'group system:unauthenticated',
]);
const mostReasons = 3;

type Reach = 'everything' | 'anybody' | 'namespace';

interface Reason {
  readonly reach: Reach;
  readonly binding: Binding;
  /** In words; what `everything` allows needs none. */
  readonly may: string;
}

interface Holder {
  readonly subject: Subject;
  readonly reasons: Reason[];
}

const order: readonly Reach[] = ['everything', 'anybody', 'namespace'];

/** Who reaches cluster-admin, or gets tokens of others, but for what every cluster comes with. */
export function checkAccounts(rbac: RbacState, bindingsOf: BindingsOf, words: Words): DoctorFinding[] {
  const powersOf = remember((rules: readonly Rule[], scope: 'namespace' | 'cluster') => findPowers(rules, scope));
  const held = rbac.bindings.flatMap((binding): (Held & { readonly powers: readonly Power[] })[] => {
    const subjects = binding.subjects.filter((subject) => !isKubernetesOwn(binding, subject));
    if (subjects.length === 0) return [];
    const powers = powersOf(rbac.rulesOf(binding), binding.kind === 'ClusterRoleBinding' ? 'cluster' : 'namespace');
    return powers.length === 0 ? [] : [{ binding, subjects, powers, ids: new Set(powers.map(({ id }) => id)) }];
  });
  const above = findAbove(held, rbac);
  const holders = new Map<string, Holder>();
  for (const { binding, subjects, powers, ids } of held) {
    const reason = reasonOf(binding, powers, above.reasonOf(binding, ids), rbac.rulesOf(binding));
    if (reason === undefined) continue;
    for (const subject of subjects) {
      const key = userOf(subject);
      const holder = holders.get(key) ?? { subject, reasons: [] };
      holders.set(key, holder);
      holder.reasons.push(reason);
    }
  }
  const rank = ({ reasons }: Holder) => order.findIndex((reach) => reasons.some((reason) => reason.reach === reach));
  const sorted = [...holders.values()].toSorted((a, b) => rank(a) - rank(b));
  if (sorted.length === 0)
    return [ok(about, 'Nobody but the control plane reaches cluster-admin or mints tokens for others.')];
  return sorted.map((holder) => toFinding(holder, order[rank(holder)] ?? 'namespace', bindingsOf, words));
}

function reasonOf(
  binding: Binding,
  powers: readonly Power[],
  above: string | undefined,
  rules: readonly Rule[],
): Reason | undefined {
  const isCluster = binding.kind === 'ClusterRoleBinding';
  if (isCluster && rules.some(isEverything)) return { reach: 'everything', binding, may: '' };
  const creates = isCluster && powers.some(({ id }) => id === 'secrets-create');
  const may = [...(above === undefined ? [] : [above]), ...(creates && above === undefined ? ['create Secrets'] : [])];
  if (may.length > 0) return { reach: 'anybody', binding, may: may.join(', ') };
  const own = powers.filter(({ id, severity }) => becoming.has(id) && severity === 'error');
  return own.length === 0 ? undefined : { reach: 'namespace', binding, may: own.map((power) => power.may).join('; ') };
}

function isEverything({ apiGroups = [], resources = [], verbs, resourceNames = [] }: Rule): boolean {
  return [apiGroups, resources, verbs].every((list) => list.includes('*')) && resourceNames.length === 0;
}

/** `kleis-broker rbac` says so by itself; what helm makes, helm calls its own. */
function isOfBroker(labels: Readonly<Record<string, string>> = {}): boolean {
  const manager = labels['app.kubernetes.io/managed-by'];
  return manager === 'kleis-broker' || (manager === 'Helm' && labels['app.kubernetes.io/part-of'] === 'kleis');
}

function toFinding({ subject, reasons }: Holder, reach: Reach, bindingsOf: BindingsOf, words: Words): DoctorFinding {
  const worst = reasons.filter((reason) => reason.reach === reach);
  const [{ binding }] = worst as [Reason];
  const who = listSubjects([subject]);
  const by = worst.slice(0, mostReasons).map((each) => {
    const { namespace } = each.binding;
    const through = reach === 'anybody' ? ', where an account reaches it' : '';
    const where = namespace === undefined ? 'in the whole cluster' : `in ${namespace}${through}`;
    const name = `by ${describeBinding(each.binding)} (${describeRole(each.binding)})`;
    return reach === 'everything' ? name : `${where}: ${each.may}, ${name}`;
  });
  const list = `${by.join('; ')}${worst.length > mostReasons ? `; and ${worst.length - mostReasons} more` : ''}`;
  const what = {
    everything: `${who} may do everything, ${list}.`,
    anybody: `${who} reaches cluster-admin: may, ${list}.`,
    namespace: `${who} gets tokens of others: may, ${list}.`,
  }[reach];
  if (isOfBroker(binding.object.metadata.labels) && reach === 'namespace') {
    return unknown(about, what, {
      why: 'By its label it is a broker of Kleis, which is to mint.',
      next: 'Whether its admission policies confine it: kleis-broker check',
    });
  }
  const isAccount = subject.kind === 'ServiceAccount';
  const end = removal(binding, words);
  const more = {
    why: `${isAccount ? 'Whoever gets one token of it, or starts a pod as it,' : 'Whoever signs in so'} can get tokens that outlive every sign-in.`,
    next: isAccount
      ? `Give its job a grant with a Role of its own (kleis-broker rbac --role deployer prints one to begin with), then: ${end}`
      : `Give them a grant, whose tokens end (kleis-broker rbac binds it), then: ${end}`,
  };
  const grant = isAccount
    ? grantForAccount(subject.name, ordinary(bindingsOf(subject.namespace ?? '', subject.name), reasons), words)
    : grantForPeople(subject.name, binding, words);
  if (everybody.has(userOf(subject))) return { ...danger(about, 'everybody_reaches', what, more), grant };
  const code = { everything: 'cluster_admin', anybody: 'reaches_admin', namespace: 'mints_for_others' }[reach];
  return { ...warning(about, isAccount ? `account_${code}` : `person_${code}`, what, more), grant };
}

/** What the account has beside it. */
function ordinary(bindings: readonly Binding[], reasons: readonly Reason[]): Binding[] {
  const bad = new Set(reasons.map(({ binding }) => binding));
  return bindings.filter((binding) => !bad.has(binding));
}

/** Thousands of bindings share a few Roles. */
function remember(find: (rules: readonly Rule[], scope: 'namespace' | 'cluster') => readonly Power[]): typeof find {
  const known = {
    namespace: new Map<readonly Rule[], readonly Power[]>(),
    cluster: new Map<readonly Rule[], readonly Power[]>(),
  };
  return (rules, scope) => {
    const found = known[scope].get(rules) ?? find(rules, scope);
    known[scope].set(rules, found);
    return found;
  };
}

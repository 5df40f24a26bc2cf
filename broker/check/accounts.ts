import { type Access, accessInWords, keyOfAccess } from '../policy/access.ts';
import { type Account, type ClusterNeeds, keyOf, type MintedAccount } from '../rbac/needs.ts';
import type { Finding } from '../../shared/findings.ts';
import { describeBinding, describeRole, userOf } from '../../shared/rbac/bindings.ts';
import type { Binding } from '../../shared/rbac/kinds.ts';
import { findPowers, type Power } from '../../shared/rbac/powers.ts';
import type { Live } from './cluster-objects.ts';

// Kubernetes gives these to everybody who is signed in: to review one's own access, to discover the API.
const everybodys = [
  'system:basic-user',
  'system:discovery',
  'system:public-info-viewer',
  'system:service-account-issuer-discovery',
];
const stock = ['cluster-admin', 'admin', 'edit', 'view'];

/** The accounts of the grants: are they there, and may they do what `access` says, no more and no less. */
export function checkAccounts(needs: ClusterNeeds, live: Live): Finding[] {
  const index = indexBindings(live);
  const there = new Set(live.accounts.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const roles = rolesThere(live);
  const switches = new Set(live.killSwitches.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const findings: Finding[] = [];
  for (const account of [...needs.identities, ...needs.elsewhere]) {
    const found: Finding[] = [];
    const isElsewhere = account.namespace !== needs.identityNamespace;
    if (!there.has(keyOf(account))) found.push(missingAccount(account, isElsewhere));
    if (account.killSwitch !== undefined && !switches.has(`${account.namespace}/${account.killSwitch}`)) {
      found.push({
        ...about(account),
        severity: 'error',
        code: 'kill-switch-missing',
        what: `The kill switch, Secret ${account.namespace}/${account.killSwitch} of type kleis.dev/kill-switch, is not there.`,
        why: 'Nothing is minted for the account without it: somebody pulled it, or it was never made.',
        next: 'If tokens may be minted again, apply what `kleis-broker rbac` prints.',
      });
    }
    const bindings = index.of(account);
    for (const access of account.access) found.push(...checkAccess(account, access, bindings, roles));
    found.push(...checkBindings(account, bindings, live, isElsewhere && account.access.length === 0));
    if (!found.some(({ severity }) => severity !== 'ok')) found.push(allWell(account));
    findings.push(...found);
  }
  return [...findings, ...checkEphemeral(needs, live, index, roles), ...checkGroups(needs, live, index)];
}

/** Keys of `roleKey`. */
function rolesThere({ roles, clusterRoles }: Live): ReadonlySet<string> {
  return new Set([
    ...roles.map(({ metadata: { namespace, name } }) => roleKey({ kind: 'Role', name, namespace: namespace! })),
    ...clusterRoles.map(({ metadata: { name } }) => roleKey({ kind: 'ClusterRole', name, namespace: undefined })),
  ]);
}

/** A ClusterRole is one and the same wherever it is bound. */
function roleKey(access: Access): string {
  return keyOfAccess(
    access.kind === 'Role' ? access : { kind: 'ClusterRole', name: access.name, namespace: undefined },
  );
}

export function about({ grants }: Pick<MintedAccount, 'grants'>): Pick<Finding, 'about'> {
  return { about: grants.length === 1 ? `grants.${grants[0]}` : `grants.${grants[0]} and ${grants.length - 1} more` };
}

function missingAccount(account: MintedAccount, isElsewhere: boolean): Finding {
  return {
    ...about(account),
    severity: 'error',
    code: 'account-missing',
    what: `ServiceAccount ${keyOf(account)} is not there.`,
    why: 'No token can be minted for it.',
    next: isElsewhere ? 'Create it, or correct the grant.' : 'Apply what `kleis-broker rbac` prints.',
  };
}

function allWell(account: MintedAccount): Finding {
  const words = accessInWords(account.access);
  const may =
    words.length === 0 ? 'is there' : `has exactly ${words.slice(0, 5).join('; ')}${words.length > 5 ? '; …' : ''}`;
  return {
    ...about(account),
    severity: 'ok',
    code: 'account',
    what: `${keyOf(account)} ${may}; no way to more was found.`,
  };
}

function checkAccess(
  account: MintedAccount,
  access: Access,
  bindings: readonly Binding[],
  roles: ReadonlySet<string>,
): Finding[] {
  const { kind, name, namespace } = access;
  const findings: Finding[] = [];
  if (!roles.has(roleKey(access))) findings.push(missingRole(account.grants, access));
  if (!bindings.some((binding) => gives(binding, access))) {
    findings.push({
      ...about(account),
      severity: 'error',
      code: 'binding-missing',
      what: `No ${namespace === undefined ? 'ClusterRoleBinding' : `RoleBinding in ${namespace}`} gives ${keyOf(account)} the ${kind} ${name}.`,
      why: 'Its tokens can do less than `access` says.',
      next: 'Apply what `kleis-broker rbac` prints.',
    });
  }
  return findings;
}

function missingRole(names: readonly string[], { kind, name, namespace }: Access): Finding {
  const isRole = kind === 'Role';
  return {
    ...about({ grants: names }),
    severity: 'error',
    code: 'role-missing',
    what: `${kind} ${isRole ? `${namespace}/` : ''}${name} is not there.`,
    why: `${kind}s of \`access\` are yours to write; a binding to one that is missing gives nothing.`,
    next: `Create the ${kind} ${name}${isRole ? ` in ${namespace}` : ''}, or correct \`access\`.`,
  };
}

function gives({ kind, namespace, roleRef }: Binding, access: Access): boolean {
  return (
    kind === (access.namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding') &&
    namespace === access.namespace &&
    roleRef.kind === access.kind &&
    roleRef.name === access.name
  );
}

/** `unsaid`: the grant says no access, so there is nothing to compare with. */
function checkBindings(account: MintedAccount, bindings: readonly Binding[], live: Live, unsaid: boolean): Finding[] {
  return bindings.flatMap((binding) => {
    const extra = !account.access.some((access) => gives(binding, access));
    const powers = findPowers(live.rulesOf(binding), binding.kind === 'RoleBinding' ? 'namespace' : 'cluster');
    return [
      ...(extra ? [extraBinding(account, binding, unsaid)] : []),
      ...powerFindings(about(account).about, keyOf(account), binding, powers),
    ];
  });
}

function extraBinding(account: MintedAccount, binding: Binding, unsaid: boolean): Finding {
  return {
    ...about(account),
    severity: unsaid ? 'warning' : 'error',
    code: 'binding-extra',
    what: `${describeBinding(binding)} gives ${keyOf(account)} ${describeRole(binding)}, which \`access\` does not say.`,
    why: 'Its tokens can do more than whoever reads the grant believes.',
    next: 'Remove the binding, or add it to `access`.',
  };
}

/** One finding for each severity: what is dangerous about a Role, all in one place. */
function powerFindings(place: string, who: string, binding: Binding, powers: readonly Power[]): Finding[] {
  return (['error', 'warning'] as const).flatMap((severity) => {
    const may = powers.filter((power) => power.severity === severity).map((power) => power.may);
    if (may.length === 0) return [];
    const where = binding.kind === 'RoleBinding' ? `in ${binding.namespace}` : 'in the whole cluster';
    const isStock = binding.roleRef.kind === 'ClusterRole' && stock.includes(binding.roleRef.name);
    return {
      about: place,
      severity,
      code: severity === 'error' ? 'escape' : 'escape-by-pods',
      what: `${who} may ${where}, by ${describeBinding(binding)} (${describeRole(binding)}): ${may.join('; ')}.`,
      why:
        severity === 'error'
          ? 'Whoever holds one of its tokens can get others, which live on when that one has ended or was revoked.'
          : 'Through pods, a Secret by name, or what others go by, a token reaches other accounts and Secrets.',
      next: isStock
        ? `The stock role ${binding.roleRef.name} holds this by design: write a Role with only the resources that the job changes.`
        : severity === 'error'
          ? `Take it out of the ${binding.roleRef.kind}, or list the objects in resourceNames where that is enough.`
          : 'If the job needs it, keep nothing more powerful than the job in that namespace.',
    };
  });
}

function checkEphemeral(
  { ephemeral }: ClusterNeeds,
  live: Live,
  index: BindingIndex,
  roles: ReadonlySet<string>,
): Finding[] {
  if (ephemeral === undefined) return [];
  const place = about(ephemeral).about;
  const findings: Finding[] = [];
  for (const access of ephemeral.access) {
    if (!roles.has(roleKey(access))) findings.push(missingRole(ephemeral.grants, access));
    const binding: Binding = {
      kind: 'RoleBinding',
      namespace: access.namespace,
      name: 'the one of each lease',
      roleRef: { kind: access.kind, name: access.name },
      subjects: [],
      object: { apiVersion: '', kind: '', metadata: { name: '' } },
    };
    const powers = findPowers(live.rulesOf(binding), 'namespace');
    findings.push(...powerFindings(place, `Accounts of ${ephemeral.namespace}`, binding, powers));
  }
  for (const [account, bindings] of index.in(ephemeral.namespace)) {
    for (const binding of bindings) {
      const ours = binding.name.startsWith('kleis-') && ephemeral.access.some((access) => gives(binding, access));
      if (ours) continue;
      findings.push({
        about: place,
        severity: 'error',
        code: 'binding-extra',
        what: `${describeBinding(binding)} gives ${ephemeral.namespace}/${account} ${describeRole(binding)}, which no \`access\` says.`,
        why: 'Accounts there are made for one lease and bound by the broker alone.',
        next: 'Remove the binding.',
      });
    }
  }
  if (findings.length === 0) {
    findings.push({
      about: place,
      severity: 'ok',
      code: 'account',
      what: 'The Roles of ephemeral accounts are there; no way to more was found.',
    });
  }
  return findings;
}

/** What every account of a namespace, or everybody, has: said once, not for each grant. */
function checkGroups(needs: ClusterNeeds, live: Live, index: BindingIndex): Finding[] {
  const homes = new Set([
    ...needs.identities.map(({ namespace }) => namespace),
    ...needs.elsewhere.map(({ namespace }) => namespace),
    ...(needs.ephemeral === undefined ? [] : [needs.ephemeral.namespace]),
  ]);
  const groups = [...homes].map((namespace) => `system:serviceaccounts:${namespace}`);
  return ['system:authenticated', 'system:serviceaccounts', ...groups].flatMap((group) =>
    index.ofGroup(group).flatMap((binding) => {
      const powers = findPowers(live.rulesOf(binding), binding.kind === 'RoleBinding' ? 'namespace' : 'cluster');
      if (powers.length === 0 && binding.roleRef.kind === 'ClusterRole' && everybodys.includes(binding.roleRef.name))
        return [];
      const extra: Finding = {
        about: `clusters.${needs.cluster.name}`,
        severity: 'warning',
        code: 'group-binding',
        what: `${describeBinding(binding)} gives the group ${group}, and with it accounts of grants, ${describeRole(binding)}.`,
        why: 'No `access` says so, and every account that is added later has it too.',
        next: 'Bind the accounts that need it by name.',
      };
      return [extra, ...powerFindings(`clusters.${needs.cluster.name}`, `The group ${group}`, binding, powers)];
    }),
  );
}

interface BindingIndex {
  /** Those that name the account itself. */
  of(account: Account): readonly Binding[];
  ofGroup(group: string): readonly Binding[];
  /** By account. */
  in(namespace: string): ReadonlyMap<string, readonly Binding[]>;
}

/** So that five hundred grants look at each binding once. */
export function indexBindings(live: Live): BindingIndex {
  const users = new Map<string, Map<string, Binding[]>>();
  const groups = new Map<string, Binding[]>();
  for (const binding of live.bindings) {
    for (const subject of new Set(binding.subjects.map(userOf))) {
      if (subject.startsWith('group ')) push(groups, subject.slice('group '.length), binding);
      const [namespace, name] = accountOf(subject);
      if (namespace === undefined || name === undefined) continue;
      const names = users.get(namespace) ?? new Map<string, Binding[]>();
      users.set(namespace, names);
      push(names, name, binding);
    }
  }
  return {
    of: ({ namespace, name }) => users.get(namespace)?.get(name) ?? [],
    ofGroup: (group) => groups.get(group) ?? [],
    in: (namespace) => users.get(namespace) ?? new Map<string, Binding[]>(),
  };
}

function accountOf(subject: string): [namespace?: string, name?: string] {
  const prefix = 'user system:serviceaccount:';
  if (!subject.startsWith(prefix)) return [];
  const [namespace, name] = subject.slice(prefix.length).split(':');
  return namespace === undefined || name === undefined ? [] : [namespace, name];
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

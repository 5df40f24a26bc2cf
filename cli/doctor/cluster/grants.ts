import { describeRole, userOf } from '../../../shared/rbac/bindings.ts';
import type { Binding, RbacState } from '../../../shared/rbac/kinds.ts';
import type { Words } from './words.ts';

const mostAccess = 8;

/** What a grant has to name of a service account, by namespace and name: from the bindings that name it. */
export type BindingsOf = (namespace: string, name: string) => readonly Binding[];

export function indexBindings({ bindings }: RbacState): BindingsOf {
  const found = new Map<string, Binding[]>();
  for (const binding of bindings) {
    for (const key of new Set(binding.subjects.map(userOf))) {
      const list = found.get(key);
      if (list === undefined) found.set(key, [binding]);
      else list.push(binding);
    }
  }
  return (namespace, name) => found.get(`user system:serviceaccount:${namespace}:${name}`) ?? [];
}

/** The grant that gives a job what an account has now, with an end: a few lines for the configuration of a broker. */
export function grantForAccount(name: string, bindings: readonly Binding[], { cluster }: Words): string {
  const access = bindings.slice(0, mostAccess).map((binding) => `    - ${accessOf(binding)}`);
  const more = bindings.length > mostAccess ? [`    # and ${bindings.length - mostAccess} more bindings`] : [];
  return [
    ...head(name, { issuer: 'github', where: '{ repository_id: "123456", environment: production }', cluster }),
    '  access:',
    ...(access.length === 0 ? ['    - { namespace: web, role: deployer }'] : [...access, ...more]),
  ].join('\n');
}

/** The grant by which people get a ClusterRole for an hour at most. */
export function grantForPeople(group: string, binding: Binding, { cluster }: Words): string {
  const name = describeRole(binding).split(' ')[1] ?? 'admin';
  return [
    ...head(name, { issuer: 'sso', where: `{ groups: { contains: ${plain(group)} } }`, cluster }),
    `  access: [${accessOf(binding)}]`,
    '  ttl: { max: 1h }',
  ].join('\n');
}

/** What a binding gives, as `access` of a grant has it. */
function accessOf({ roleRef, namespace }: Binding): string {
  const role = `${roleRef.kind === 'Role' ? 'role' : 'clusterRole'}: ${plain(roleRef.name)}`;
  return `{ ${namespace === undefined ? `${role}, scope: cluster` : `namespace: ${plain(namespace)}, ${role}`} }`;
}

function head(
  name: string,
  { issuer, where, cluster }: { readonly issuer: string; readonly where: string; readonly cluster: string },
): string[] {
  const grant =
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, '-')
      .replaceAll(/^-+|-+$/g, '') || 'deploy';
  return [
    `${plain(grant)}:`,
    `  issuer: ${issuer}`,
    `  where: ${where}`,
    `  cluster: ${plain(cluster)}`,
    `  serviceAccount: ${plain(grant)}`,
  ];
}

/** A text that YAML takes for text, whatever it looks like. */
function plain(text: string): string {
  return /^[a-z][a-z0-9.-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/.test(text)
    ? text
    : JSON.stringify(text);
}

import { createHash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import { clean, shown } from '../../shared/text.ts';
import { type Advice, warning } from './advice.ts';

/** A group of the provider, what it may do, and where. */
export interface Binding {
  /** As the provider calls it. */
  readonly group: string;
  readonly kind: 'Role' | 'ClusterRole';
  readonly role: string;
  /** Undefined: everywhere. */
  readonly namespace: string | undefined;
}

const maxName = 253;
// The last `=` divides: groups of an LDAP hold some. Names of Roles are path segments (RFC 3986), in which Kubernetes
// takes neither `/` nor `%`.
const written = /^(?<group>.+)=(?:(?<kind>role|clusterrole)\/)?(?<role>[^=@/%\s]+)(?:@(?<namespaces>[^=@]+))?$/isu;
const namespaceName = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** `GROUP=ROLE`, `GROUP=ROLE@NAMESPACE,…`; `role/NAME` is a Role, anything else a ClusterRole. Throws `usage`. */
export function readBinding(text: string): readonly Binding[] {
  const refuse = (why: string) =>
    new KleisError('usage', `--bind ${shown(text, 120)} ${why}.`, {
      hint: 'Write GROUP=view for everywhere, GROUP=edit@NAMESPACE for one namespace, GROUP=role/NAME@NAMESPACE for a Role of yours.',
    });
  const { group = '', kind = '', role = '', namespaces } = written.exec(text)?.groups ?? {};
  if (group === '') throw refuse('is not GROUP=ROLE or GROUP=ROLE@NAMESPACE');
  if ([group, role].some((name) => name.length > maxName || clean(name, maxName) !== name)) {
    throw refuse('holds a name that is too long, or with what cannot be seen');
  }
  const isRole = kind.toLowerCase() === 'role';
  if (isRole && namespaces === undefined) throw refuse('names a Role and no namespace, and a Role is of one');
  const list = namespaces?.split(',').map((each) => each.trim());
  const wrong = list?.find((each) => !namespaceName.test(each));
  if (wrong !== undefined) throw refuse(`names ${shown(wrong, 80)}, which is no namespace`);
  const binding = { group, role, kind: isRole ? 'Role' : 'ClusterRole' } as const;
  return (list ?? [undefined]).map((namespace) => ({ ...binding, namespace }));
}

/** @param seen groups of who signed in, as the provider calls them; undefined where nobody did */
export function judgeBindings(
  bindings: readonly Binding[],
  prefix: string,
  seen: readonly string[] | undefined,
): Advice[] {
  return bindings.flatMap(({ group, kind, role, namespace }) => {
    const name = clean(group, 80);
    const found: Advice[] = [];
    if (kind === 'ClusterRole' && namespace === undefined && wide.has(role)) {
      found.push(
        warning(
          'bindings',
          'binding_wide',
          `Everybody in ${name} gets ${role} in every namespace.`,
          role === 'cluster-admin'
            ? 'They may do everything.'
            : 'They may read every Secret, those of kube-system too.',
          `Name a namespace: --bind GROUP=${role}@NAMESPACE.`,
        ),
      );
    }
    if (prefix !== '' && group.startsWith(prefix)) {
      found.push(
        warning(
          'bindings',
          'binding_prefix',
          `${name} begins with ${clean(prefix, 80)} already.`,
          'The prefix is put before it once more.',
          'Write the group as the provider calls it.',
        ),
      );
    } else if (seen !== undefined && seen.length > 0 && !seen.includes(group)) {
      found.push(
        warning(
          'bindings',
          'group_unseen',
          `Who signed in is not in ${name}.`,
          `They are in ${clean(seen.slice(0, 10).join(', '), 300)}.`,
        ),
      );
    }
    return found;
  });
}

const wide = new Set(['cluster-admin', 'admin', 'edit']);

const api = 'rbac.authorization.k8s.io';

/** The object that gives it. @param prefix what the API server puts before the name of the group */
export function bindingObject({ group, kind, role, namespace }: Binding, prefix: string): Record<string, unknown> {
  return {
    apiVersion: `${api}/v1`,
    kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name: nameOf({ group, kind, role }), ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup: api, kind, name: role },
    subjects: [{ apiGroup: api, kind: 'Group', name: `${prefix}${group}` }],
  };
}

/** The same for the same: applied twice it is one. A binding cannot come to refer to another Role, so that is in its name. */
function nameOf({ group, kind, role }: Pick<Binding, 'group' | 'kind' | 'role'>): string {
  const words = group.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80);
  const name = `kleis:${words}:${kind === 'Role' ? 'role=' : ''}${role}`;
  if (words === group && name.length <= maxName) return name;
  const mark = createHash('sha256')
    .update(JSON.stringify([group, role]))
    .digest('hex')
    .slice(0, 8);
  return `${name.slice(0, maxName - 9)}:${mark}`;
}

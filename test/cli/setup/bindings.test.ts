import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bindingObject, judgeBindings, readBinding } from '../../../cli/setup/bindings.ts';

const of = (group: string, role: string, namespace?: string, kind: 'Role' | 'ClusterRole' = 'ClusterRole') => ({
  group,
  role,
  kind,
  namespace,
});

describe('--bind', () => {
  it.each([
    ['developers=view', [of('developers', 'view')]],
    ['developers=edit@web', [of('developers', 'edit', 'web')]],
    ['developers=edit@web,api', [of('developers', 'edit', 'web'), of('developers', 'edit', 'api')]],
    ['developers=role/deployer@web', [of('developers', 'deployer', 'web', 'Role')]],
    ['developers=ClusterRole/own', [of('developers', 'own')]],
    ['cn=admins,ou=x@y=system:aggregate-to-view', [of('cn=admins,ou=x@y', 'system:aggregate-to-view')]],
    ['/team/a b=view', [of('/team/a b', 'view')]],
  ])('%s', (written, bindings) => {
    expect(readBinding(written)).toEqual(bindings);
  });

  it.each([
    'developers',
    '=view',
    'developers=',
    'developers=view@',
    'developers=view@Web',
    'developers=view@a,,b',
    'developers=role/x',
    'developers=a/b/c',
    'a\nb=view',
    'a=vi ew',
    `${'x'.repeat(254)}=view`,
    'a=view@-x',
    '',
  ])('refuses %j and says how to write it', (written) => {
    expect(() => readBinding(written)).toThrow(
      expect.objectContaining({ code: 'usage', hint: expect.stringContaining('GROUP=edit@NAMESPACE') }),
    );
  });
});

describe('a binding', () => {
  it('gives the group, as the API server calls it, what the Role says', () => {
    expect(bindingObject(of('developers', 'deployer', 'web', 'Role'), 'oidc:')).toEqual({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'kleis:developers:role=deployer', namespace: 'web' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'deployer' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'oidc:developers' }],
    });
    expect(bindingObject(of('developers', 'view'), '')).toMatchObject({ kind: 'ClusterRoleBinding' });
  });

  it('has a name that Kubernetes takes, and that no other group or Role has', () => {
    const name = (group: string, role: string, kind: 'Role' | 'ClusterRole') =>
      (bindingObject(of(group, role, 'web', kind), '')['metadata'] as { name: string }).name;
    const group = fc.oneof(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.constantFrom('a:b', 'a', 'a b', 'a/b', '..', 'x'.repeat(253)),
    );
    const role = fc.stringMatching(/^[a-z:.-]{1,253}$/);
    const kind = fc.constantFrom('Role', 'ClusterRole');
    fc.assert(
      fc.property(group, role, kind, group, role, kind, (...[one, itsRole, itsKind, other, otherRole, otherKind]) => {
        const made = name(one, itsRole, itsKind);
        expect(made).toMatch(/^[A-Za-z0-9:=._-]{1,253}$/);
        const isSame = one === other && itsRole === otherRole && itsKind === otherKind;
        expect(made === name(other, otherRole, otherKind)).toBe(isSame);
      }),
    );
    expect(name('a', 'role:b', 'ClusterRole')).not.toBe(name('a', 'b', 'Role'));
  });

  it('is warned of where it reaches everywhere, has the prefix twice, or is of a group that nobody has seen', () => {
    const codes = (bindings: ReturnType<typeof of>[], seen?: string[]) =>
      judgeBindings(bindings, 'oidc:', seen).map(({ code }) => code);
    expect(codes([of('a', 'cluster-admin')])).toEqual(['binding_wide']);
    expect(codes([of('a', 'edit', 'web'), of('a', 'view')])).toEqual([]);
    expect(codes([of('oidc:a', 'view')])).toEqual(['binding_prefix']);
    expect(codes([of('a', 'view')], ['b'])).toEqual(['group_unseen']);
    expect(codes([of('b', 'view')], ['b'])).toEqual([]);
  });
});

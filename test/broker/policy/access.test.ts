import { describe, expect, it } from 'vitest';
import { type Access, accessInWords, keyOfAccess } from '../../../broker/policy/access.ts';

const role = (name: string, namespace: string): Access => ({ kind: 'Role', name, namespace });
const clusterRole = (name: string, namespace: string): Access => ({ kind: 'ClusterRole', name, namespace });
const everywhere = (name: string): Access => ({ kind: 'ClusterRole', name, namespace: undefined });

describe('access in words', () => {
  it.each([
    [[], []],
    [[role('deployer', 'web')], ['deployer in web']],
    [
      [role('deployer', 'web'), clusterRole('view', 'web'), clusterRole('view', 'api'), everywhere('node-reader')],
      ['deployer in web', 'view in web and api', 'node-reader in the whole cluster'],
    ],
    [['a', 'b', 'c'].map((namespace) => clusterRole('view', namespace)), ['view in a, b and c']],
    [
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((namespace) => role('view', namespace)),
      ['view in a, b, c, d and 3 more namespaces'],
    ],
    [[clusterRole('view', 'web'), everywhere('view')], ['view in the whole cluster']],
    [
      [role('view', 'web'), clusterRole('view', 'api')],
      ['view in web', 'view in api'],
    ],
  ])('%j', (access, words) => expect(accessInWords(access)).toEqual(words));
});

it('a Role, a ClusterRole in a namespace and in the whole cluster are three things', () => {
  const keys = [role('view', 'web'), clusterRole('view', 'web'), everywhere('view')].map(keyOfAccess);
  expect(new Set(keys).size).toBe(3);
});

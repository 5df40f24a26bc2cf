import { stringify } from 'yaml';
import type { KubeObject, Rule } from '../../shared/rbac/kinds.ts';
import { roleKind } from './kinds.ts';

const read = ['get', 'list', 'watch'];
const write = [...read, 'create', 'update', 'patch'];

interface StarterRole {
  readonly comment: readonly string[];
  readonly rules: readonly Rule[];
}

/** Roles to begin with, by name. */
export const starterRoles: Readonly<Record<string, StarterRole>> = {
  deployer: {
    comment: [
      'A Role to begin with, for a job that rolls out Deployments. Make it smaller: leave out what the job does not change.',
      'It reads no Secret, enters no pod, deletes nothing and gives no rights. Whoever may change Deployments starts pods, and',
      'these may use any account and Secret of the namespace: `kleis-broker check` warns of that alone. Keep nothing in the',
      'namespace that is more powerful than the job.',
    ],
    rules: [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: write },
      { apiGroups: [''], resources: ['services', 'configmaps'], verbs: write },
      // What `kubectl rollout status` and a look at what went wrong need.
      { apiGroups: ['apps'], resources: ['replicasets'], verbs: read },
      { apiGroups: [''], resources: ['pods', 'pods/log', 'events'], verbs: read },
    ],
  },
};

/** One for each namespace; without any, one for the namespace that kubectl is in. */
export function starterRoleObjects(name: string, namespaces: readonly string[]): KubeObject[] {
  const { rules } = starterRoles[name]!;
  return (namespaces.length === 0 ? [undefined] : namespaces).map((namespace) => ({
    ...roleKind,
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    rules,
  }));
}

export function printStarterRoleYaml(name: string, namespaces: readonly string[]): string {
  const head = starterRoles[name]!.comment.map((line) => `# ${line}\n`).join('');
  const documents = starterRoleObjects(name, namespaces).map((object) =>
    stringify(object, { lineWidth: 120, aliasDuplicateObjects: false, flowCollectionPadding: true }),
  );
  return `${head}${documents.join('---\n')}`;
}

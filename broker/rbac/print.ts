import { stringify } from 'yaml';
import type { KubeObject } from '../../shared/rbac/kinds.ts';
import type { Section } from './kinds.ts';
import type { ClusterNeeds } from './needs.ts';
import { findPrerequisites, type Prerequisite } from './prerequisites.ts';

/** YAML to read and to apply; the same for the same configuration, byte for byte. */
export function printYaml(sections: readonly Section[], needs: ClusterNeeds): string {
  const { cluster, audiences } = needs;
  const head = [
    `# What Kleis's broker needs on the cluster "${cluster.name}", and nothing else. Apply it again after each change of`,
    '# the configuration, before the broker gets that (after, where grants are dropped):',
    `#     kleis-broker rbac --config … --cluster ${cluster.name} | kubectl apply -f -`,
    `# Tokens are minted for: ${audiences.map((audience) => JSON.stringify(audience)).join(', ')}.`,
    ...prerequisiteLines(findPrerequisites(needs)),
  ];
  const documents = sections.flatMap(({ title, manifests }, section) =>
    manifests.map(({ comment, object }, index) => {
      const lines = [
        ...(index === 0 ? [`# ${section + 1}. ${title}`] : []),
        ...(comment === '' ? [] : [`# ${comment}`]),
      ];
      return `${lines.map((line) => `${line}\n`).join('')}${stringify(object, { lineWidth: 120, aliasDuplicateObjects: false })}`;
    }),
  );
  return `${head.join('\n')}\n---\n${documents.join('---\n')}`;
}

const longestLine = 118;

/** Names are of Kubernetes: without spaces and line breaks. */
function prerequisiteLines(prerequisites: readonly Prerequisite[]): string[] {
  if (prerequisites.length === 0) return [];
  const how: Readonly<Record<string, string>> = {
    namespaces: 'kubectl create namespace NAME; what belongs into one that is missing is refused',
    Roles: 'yours to write; to begin with: kleis-broker rbac --role deployer --namespace NAME',
    ClusterRoles: "yours to write, or Kubernetes' own (view)",
    ServiceAccounts: 'accounts of grants that are not in the identity namespace',
  };
  return [
    '#',
    '# These are not made here, and must be there:',
    ...prerequisites.flatMap(({ what, names }) => [`# ${what} (${how[what]}):`, ...wrap(names)]),
  ];
}

function wrap(names: readonly string[]): string[] {
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + name.length + 2 <= longestLine)
      lines[lines.length - 1] = `${last}, ${name}`;
    else lines.push(`#     ${name}`);
  }
  return lines;
}

/** One `List`, as kubectl takes it. */
export function printJson(items: readonly KubeObject[]): string {
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`;
}

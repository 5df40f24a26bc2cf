import { stringify } from 'yaml';
import type { Section } from './kinds.ts';
import type { ClusterNeeds } from './needs.ts';

/** YAML to read and to apply; the same for the same configuration, byte for byte. */
export function printYaml(sections: readonly Section[], { cluster, audiences }: ClusterNeeds): string {
  const head = [
    `# What Kleis's broker needs on the cluster "${cluster.name}", and nothing else. Apply it again after each change of`,
    '# the configuration, before the broker gets that (after, where grants are dropped):',
    `#     kleis-broker rbac --config … --cluster ${cluster.name} | kubectl apply -f -`,
    `# Tokens are minted for: ${audiences.map((audience) => JSON.stringify(audience)).join(', ')}.`,
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

/** One `List`, as kubectl takes it. */
export function printJson(sections: readonly Section[]): string {
  const items = sections.flatMap(({ manifests }) => manifests.map(({ object }) => object));
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`;
}

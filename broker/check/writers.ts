import type { Finding } from '../../shared/findings.ts';
import { describeWriter } from '../rbac/namespaces-policy.ts';
import { type ClusterNeeds, keyOf } from '../rbac/needs.ts';
import type { Live } from './cluster-objects.ts';

/** Whom `namespaces.writers` lets in. Of an account that is not there, whoever makes it has that right. */
export function checkWriters(needs: ClusterNeeds, live: Live): Finding[] {
  const there = new Set(live.accounts.map(({ metadata: { namespace = '', name } }) => keyOf({ namespace, name })));
  return needs.writers.map((writer): Finding => {
    const place = { about: `clusters.${needs.cluster.name}` } as const;
    if (there.has(keyOf(writer))) {
      const what = `The policy ${needs.namespacesPolicy} keeps others out, ${describeWriter(writer, needs)}.`;
      return { ...place, severity: 'ok', code: 'writer', what };
    }
    return {
      ...place,
      severity: 'warning',
      code: 'writer-missing',
      what: `namespaces.writers names the account ${keyOf(writer)}, which is not there.`,
      why: "Whoever may make it would have its right to write the broker's files.",
      next: `Correct the name, or take it out of namespaces.writers. These are there: ${near(writer.namespace, live)}.`,
    };
  });
}

function near(namespace: string, { accounts }: Live): string {
  const names = accounts.flatMap(({ metadata }) =>
    metadata.namespace === namespace && metadata.name !== 'default' ? [metadata.name] : [],
  );
  return names.length === 0 ? `none in ${namespace}` : names.slice(0, 10).join(', ');
}

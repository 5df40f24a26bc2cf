import { describePlan } from '../kubeconfig/change.ts';
import { mergeKubeconfigs } from '../kubeconfig/merge.ts';
import type { KubeconfigMergeFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { filesOf, tellUnwritten } from './kubeconfig-add.ts';

/** `kleis kubeconfig merge FILE…` */
export async function kubeconfigMerge(
  files: readonly string[],
  flags: KubeconfigMergeFlags,
  deps: Deps,
): Promise<void> {
  const { outcome, plan } = await mergeKubeconfigs(files, flags, deps);
  if (outcome === 'dry-run') deps.stdout.write(describePlan(plan));
  if (outcome !== 'written') return tellUnwritten(outcome, deps);
  const counts = (['context', 'user', 'cluster'] as const).flatMap((kind) => {
    const count = plan.changes.filter(({ what }) => what === kind).length;
    return count === 0 ? [] : [`${count} ${kind}${count === 1 ? '' : 's'}`];
  });
  deps.report.info(`Wrote ${counts.join(', ')} to ${filesOf(plan)}. See: kleis kubeconfig list`);
}

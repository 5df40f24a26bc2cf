import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import { describePlan } from '../kubeconfig/change.ts';
import { readExec } from '../kubeconfig/entry.ts';
import { kubeconfigSources, loadKubeconfig } from '../kubeconfig/load.ts';
import { removeContexts } from '../kubeconfig/remove.ts';
import type { KubeconfigChangeFlags } from '../settings/flags.ts';
import { readEntryFlags } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import { filesOf, tellUnwritten } from './kubeconfig-add.ts';

/** `kleis kubeconfig remove NAME…`: sessions stay, and it is said how to end them. */
export async function kubeconfigRemove(
  names: readonly string[],
  flags: KubeconfigChangeFlags,
  deps: Deps,
): Promise<void> {
  const { outcome, plan } = await removeContexts(names, flags, deps);
  if (outcome === 'dry-run') deps.stdout.write(describePlan(plan));
  if (outcome !== 'written') return tellUnwritten(outcome, deps);
  const gone = plan.changes.filter(({ what }) => what !== 'current-context');
  const list = gone.map(({ what, name }) => `the ${what} "${clean(name)}"`);
  deps.report.info(`Removed ${list.join(', ')} from ${filesOf(plan)}.`);
  if (gone.length < plan.changes.length) await tellCurrent(flags.kubeconfig, deps);
  const issuers = new Set(plan.users.flatMap((body) => readEntryFlags(readExec(body)?.args ?? [])?.issuerUrl ?? []));
  for (const issuer of issuers) {
    deps.report.info(
      `You are not signed out of ${clean(issuer)}: kleis logout --issuer-url ${shellWord(issuer, deps.platform)} does that.`,
    );
  }
}

async function tellCurrent(kubeconfig: string | undefined, deps: Deps): Promise<void> {
  const { currentContext } = await loadKubeconfig(kubeconfigSources(kubeconfig, deps));
  deps.report.info(
    currentContext === ''
      ? 'There is no current context now: kleis kubeconfig use NAME makes one.'
      : `The current context is "${clean(currentContext)}" now.`,
  );
}

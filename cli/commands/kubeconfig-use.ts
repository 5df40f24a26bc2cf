import { clean } from '../../shared/text.ts';
import { changeKubeconfig, PlanBuilder } from '../kubeconfig/change.ts';
import { contextNamed } from '../kubeconfig/find.ts';
import type { KubeconfigFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { filesOf } from './kubeconfig-add.ts';

/** `kleis kubeconfig use NAME`: makes it the current context. */
export async function kubeconfigUse(name: string, flags: KubeconfigFlags, deps: Deps): Promise<void> {
  const { outcome, plan } = await changeKubeconfig(
    flags,
    (kubeconfig) => {
      contextNamed(kubeconfig, name);
      const builder = new PlanBuilder(kubeconfig);
      builder.setCurrent(name);
      return builder;
    },
    deps,
  );
  if (outcome === 'written') deps.report.info(`"${clean(name)}" is the current context now, in ${filesOf(plan)}.`);
  else deps.report.info(`"${clean(name)}" is the current context already.`);
}

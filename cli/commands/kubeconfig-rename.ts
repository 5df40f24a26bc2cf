import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { changeKubeconfig, describePlan, type Plan, PlanBuilder } from '../kubeconfig/change.ts';
import { checkName } from '../kubeconfig/cluster-fields.ts';
import { contextNamed } from '../kubeconfig/find.ts';
import { entriesOf, type Kubeconfig } from '../kubeconfig/load.ts';
import type { KubeconfigChangeFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { filesOf, tellUnwritten } from './kubeconfig-add.ts';

/** `kleis kubeconfig rename OLD NEW`: the context alone; a current context of that name follows. */
export async function kubeconfigRename(
  old: string,
  next: string,
  flags: KubeconfigChangeFlags,
  deps: Deps,
): Promise<void> {
  checkName('The new name', next);
  const { outcome, plan } = await changeKubeconfig(flags, (kubeconfig) => planRename(kubeconfig, old, next), deps);
  if (outcome === 'dry-run') deps.stdout.write(describePlan(plan));
  if (outcome !== 'written') return tellUnwritten(outcome, deps);
  const current = plan.changes.some(({ what }) => what === 'current-context') ? ' It is still the current one.' : '';
  deps.report.info(`The context "${clean(old)}" is called "${clean(next)}" now, in ${filesOf(plan)}.${current}`);
}

function planRename(kubeconfig: Kubeconfig, old: string, next: string): Plan {
  const { file } = contextNamed(kubeconfig, old);
  const plan = new PlanBuilder(kubeconfig);
  if (old === next) return plan;
  const all = kubeconfig.files.flatMap((each) => entriesOf(each, 'contexts'));
  const taken = all.find(({ name }) => name === next);
  if (taken !== undefined) {
    throw new KleisError('usage', `${clean(taken.file.path, 400)} has a context "${clean(next)}" already.`, {
      hint: 'Give another name, or remove that one first: kleis kubeconfig remove NAME. Nothing was changed.',
    });
  }
  plan.rename('contexts', old, next);
  plan.replaceCurrent(old, next);
  const hidden = all.find((each) => each.name === old && each.file !== file);
  if (hidden === undefined) return plan;
  const where = clean(hidden.file.path, 400);
  const notes = [`${where} has a context "${clean(old)}" too, which keeps that name and counts from then on.`];
  return { changes: plan.changes, values: plan.values, notes };
}

import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type Changed, type ChangeOptions, changeKubeconfig, type Plan, PlanBuilder } from './change.ts';
import { bodyKey, type Mapping, type Section, textOf } from './document.ts';
import { contextNamed } from './find.ts';
import { entriesOf, type Kubeconfig, type KubeconfigEntry } from './load.ts';

export interface RemovalPlan extends Plan {
  /** The bodies of the users that go. */
  readonly users: readonly Mapping[];
}

/**
 * Removes contexts, and the users and clusters that no other context uses. A current context that goes leaves none.
 * Throws as `changeKubeconfig`, and `kubeconfig_invalid` for a context that does not exist.
 */
export async function removeContexts(
  names: readonly string[],
  options: ChangeOptions,
  deps: Deps,
): Promise<Changed<RemovalPlan>> {
  return changeKubeconfig(options, (kubeconfig) => planRemoval(kubeconfig, names), deps);
}

function planRemoval(kubeconfig: Kubeconfig, names: readonly string[]): RemovalPlan {
  const gone = [...new Set(names)].map((name) => contextNamed(kubeconfig, name));
  // Those too that are hidden now: one of them may be seen when the one before it is gone.
  const left = kubeconfig.files
    .flatMap((file) => entriesOf(file, 'contexts'))
    .filter((entry) => !gone.some(({ file, index }) => file === entry.file && index === entry.index));
  const plan = new PlanBuilder(kubeconfig);
  const notes: string[] = [];
  const users: Mapping[] = [];
  const remove = (section: Section, name: string) => {
    const entry = kubeconfig.entries[section].get(name);
    if (entry === undefined) return;
    plan.remove(section, name);
    if (section === 'users') users.push(entry.body);
    notes.push(...hiddenOnes(kubeconfig, section, entry));
  };
  for (const { name } of gone) remove('contexts', name);
  for (const section of ['users', 'clusters'] as const) {
    const key = bodyKey(section);
    for (const name of new Set(gone.map(({ body }) => textOf(body[key])))) {
      const others = left.filter(({ body }) => body[key] === name);
      if (others.length === 0) remove(section, name);
      else if (kubeconfig.entries[section].has(name))
        notes.push(`The ${key} "${clean(name)}" stays: ${using(others)}.`);
    }
  }
  for (const { name } of gone) plan.replaceCurrent(name, '');
  return { changes: plan.changes, values: plan.values, notes, users };
}

function using(contexts: readonly KubeconfigEntry[]): string {
  const [first, ...more] = [...new Set(contexts.map(({ name }) => name))];
  const rest = more.length === 0 ? '' : ` and ${more.length} more`;
  return `the context "${clean(first)}"${rest} ${more.length === 0 ? 'uses' : 'use'} it`;
}

function hiddenOnes(kubeconfig: Kubeconfig, section: Section, entry: KubeconfigEntry): string[] {
  const { name } = entry;
  return kubeconfig.files
    .flatMap((file) => entriesOf(file, section))
    .filter((other) => other.name === name && other.file !== entry.file)
    .slice(0, 1)
    .map(
      ({ file }) =>
        `${clean(file.path, 400)} has a ${bodyKey(section)} "${clean(name)}" too, which stays and counts from then on.`,
    );
}

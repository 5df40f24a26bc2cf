import { dirname, resolve, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type Changed, type ChangeOptions, changeKubeconfig, differences, type Plan, PlanBuilder } from './change.ts';
import { checkName } from './cluster-fields.ts';
import { bodyKey, invalid, type Mapping, type Section, sections, textOf } from './document.ts';
import { entriesOf, type Kubeconfig, type KubeconfigFile, loadKubeconfig } from './load.ts';
import { methodOf, pluginName } from './method.ts';

export interface MergeOptions extends ChangeOptions {
  /** Before every name of the files that are merged. */
  readonly prefix?: string | undefined;
  /** What is there under the same name with other content gives way. */
  readonly overwrite?: boolean | undefined;
}

/**
 * Takes the entries of other kubeconfigs over. Paths in them stay what they were, whatever folder they are read from now.
 * Throws as `changeKubeconfig`, and `usage` where an entry of the same name says something else.
 */
export async function mergeKubeconfigs(
  paths: readonly string[],
  options: MergeOptions,
  deps: Deps,
): Promise<Changed<Plan>> {
  const { files } = await loadKubeconfig({ paths: [...new Set(paths)], explicit: true }, 2000);
  for (const file of files) checkSource(file, files);
  const { prefix = '', overwrite = false, ...rest } = options;
  const plan = (mine: Kubeconfig) => planMerge(mine, files, prefix, overwrite);
  // Whoever says --overwrite has been asked.
  return changeKubeconfig({ ...rest, yes: overwrite }, plan, deps);
}

function checkSource(file: KubeconfigFile, all: readonly KubeconfigFile[]): void {
  const name = clean(file.path, 400);
  if (!file.exists) throw new KleisError('kubeconfig_invalid', `There is no kubeconfig: ${name} does not exist.`);
  if (file.severalDocuments) {
    throw invalid(file.path, '1:1', 'it holds several YAML documents, of which kubectl reads only the first');
  }
  for (const { body, name: context, index } of entriesOf(file, 'contexts')) {
    for (const section of ['users', 'clusters'] as const) {
      const wanted = textOf(body[bodyKey(section)]);
      if (wanted === '' || all.some((each) => entriesOf(each, section).some((entry) => entry.name === wanted)))
        continue;
      const place = file.place('contexts', index, 'context', bodyKey(section));
      throw new KleisError(
        'kubeconfig_invalid',
        `${name}:${place}: the context "${clean(context)}" names the ${bodyKey(section)} "${clean(wanted)}", which is not in it.`,
        { hint: 'It would get whatever has that name in your own kubeconfig. Correct the file. Nothing was changed.' },
      );
    }
  }
}

interface Wanted {
  readonly section: Section;
  readonly name: string;
  readonly body: Mapping;
}

function planMerge(mine: Kubeconfig, files: readonly KubeconfigFile[], prefix: string, overwrite: boolean): Plan {
  const plan = new PlanBuilder(mine);
  const wanted = files.flatMap((file) => wantedOf(file, prefix));
  const seen = new Map<string, Mapping>();
  const conflicts: string[] = [];
  for (const { section, name, body } of wanted) {
    const key = JSON.stringify([section, name]);
    const existing = mine.entries[section].get(name);
    const old = existing && absolute(section, existing.body, existing.file.path);
    const before = seen.get(key) ?? old;
    seen.set(key, body);
    if (isDeepStrictEqual(before, body)) continue;
    const what = bodyKey(section);
    // Two files that differ: which of them is meant nobody has said.
    if (before !== undefined && (!overwrite || before !== old)) {
      conflicts.push(`the ${what} "${clean(name)}"${differences({ what, name, file: '', before, after: body })}`);
    } else plan.set(section, name, body);
  }
  if (conflicts.length > 0) throw conflicting(conflicts);
  const current = textOf(files[0]?.value['current-context']);
  if (mine.currentContext === '' && seen.has(JSON.stringify(['contexts', prefix + current]))) {
    plan.setCurrent(prefix + current);
  }
  return { changes: plan.changes, values: plan.values, notes: notesOn(plan) };
}

function conflicting(conflicts: readonly string[]): KleisError {
  const more = conflicts.length > 10 ? ` and ${conflicts.length - 10} more` : '';
  const list = conflicts.slice(0, 10).join(', ') + more;
  return new KleisError('usage', `There is already, with other content: ${list}.`, {
    hint: 'Give theirs other names with --prefix TEXT, or take theirs in place of yours with --overwrite. Nothing was changed.',
  });
}

function wantedOf(file: KubeconfigFile, prefix: string): Wanted[] {
  return sections.flatMap((section) =>
    entriesOf(file, section).map((entry) => ({
      section,
      name: checkName(`A name in ${clean(file.path, 400)}`, prefix + entry.name),
      body: withPrefix(section, absolute(section, entry.body, file.path), prefix),
    })),
  );
}

function withPrefix(section: Section, body: Mapping, prefix: string): Mapping {
  if (section !== 'contexts' || prefix === '') return body;
  const names = ['cluster', 'user'].filter((key) => textOf(body[key]) !== '');
  return { ...body, ...Object.fromEntries(names.map((key) => [key, prefix + textOf(body[key])])) };
}

const fileKeys: Readonly<Record<Section, readonly string[]>> = {
  clusters: ['certificate-authority'],
  users: ['client-certificate', 'client-key', 'tokenFile'],
  contexts: [],
};

/** Paths of a kubeconfig are relative to it (client-go, tools/clientcmd, `ResolveLocalPaths`). */
function absolute(section: Section, body: Mapping, path: string): Mapping {
  const folder = dirname(path);
  const paths = fileKeys[section].filter((key) => textOf(body[key]) !== '');
  const found = { ...body, ...Object.fromEntries(paths.map((key) => [key, resolve(folder, textOf(body[key]))])) };
  const { exec } = body;
  // A program without a folder is looked for in PATH.
  if (section !== 'users' || !isObject(exec) || !textOf(exec['command']).includes(sep)) return found;
  return { ...found, exec: { ...exec, command: resolve(folder, textOf(exec['command'])) } };
}

/** What a kubeconfig of others can do to whoever uses it. */
function notesOn({ changes }: Plan): string[] {
  return changes.flatMap(({ what, name, after }) => {
    if (!isObject(after)) return [];
    if (after['insecure-skip-tls-verify'] === true) {
      return [`The cluster "${clean(name)}" has insecure-skip-tls-verify: whoever is between gets your tokens.`];
    }
    const program = what === 'user' ? programOf(after) : undefined;
    return program === undefined ? [] : [`The user "${clean(name)}" makes kubectl run a program: ${program}.`];
  });
}

/** What a user entry runs. Undefined: nothing, or the Kleis of PATH as it is; a path, or variables, could make it any program. */
function programOf(user: Mapping): string | undefined {
  const method = methodOf(user);
  if (method.kind !== 'plugin' && method.kind !== 'kleis') return undefined;
  const exec = isObject(user['exec']) ? user['exec'] : {};
  const [command, list] = [textOf(exec['command']), exec['env']];
  const names = Array.isArray(list) ? list.filter(isObject).map((each) => textOf(each['name'])) : [];
  const set = names.length === 0 ? '' : `, with ${clean(names.join(', '), 200)} set`;
  if (method.kind === 'plugin') return `${clean(pluginName(method.plugin))}${set}`;
  return /[\\/]/.test(command) || set !== '' ? `${clean(command, 400)}${set}` : undefined;
}

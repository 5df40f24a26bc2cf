import { isDeepStrictEqual } from 'node:util';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { askYesNo, requireTerminal, tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { bodyKey, type Mapping, type Section, textOf } from './document.ts';
import { editKubeconfig } from './edit.ts';
import { type Kubeconfig, type KubeconfigFile, blankHint, kubeconfigSources, loadKubeconfig } from './load.ts';
import { withLocks } from './lock.ts';
import { checkReplaceable, followLinks, replaceKubeconfig } from './write.ts';

export interface Change {
  readonly what: ReturnType<typeof bodyKey> | 'current-context';
  readonly name: string;
  readonly file: string;
  /** Undefined: it is new. */
  readonly before: Mapping | string | undefined;
  /** Undefined: it is removed. */
  readonly after: Mapping | string | undefined;
  /** Its new name, where that is all that changes. */
  readonly renamed?: string;
}

/** What is to become of the files. */
export interface Plan {
  readonly changes: readonly Change[];
  /** What each file that changes is to mean. */
  readonly values: ReadonlyMap<KubeconfigFile, Mapping>;
  /** What a person is to know before they agree: sentences. */
  readonly notes?: readonly string[];
}

export interface ChangeOptions {
  /** `--kubeconfig`. */
  readonly kubeconfig?: string | undefined;
  readonly dryRun?: boolean | undefined;
  /** Replace and remove without asking. */
  readonly yes?: boolean | undefined;
  /** Show every change, and ask although nothing is replaced. */
  readonly showAll?: boolean | undefined;
}

export interface Changed<P extends Plan> {
  /** `declined`: the person did not want something to be replaced; nothing was changed. */
  readonly outcome: 'written' | 'unchanged' | 'declined' | 'dry-run';
  readonly plan: P;
}

/**
 * Changes the kubeconfig as `plan` says of what stands there, under the locks that kubectl takes. Whatever the plan does
 * not name stays byte for byte the same. `beforeWriting` is called once, when the person has agreed and nobody else can
 * change the files any more; if it fails, nothing is changed.
 *
 * @throws KleisError `usage`, `kubeconfig_invalid`, `claim_held` (locked), `storage_unavailable`, and what `plan` throws;
 *   nothing was changed then, unless several files were to be written and the last ones failed
 */
export async function changeKubeconfig<P extends Plan>(
  { kubeconfig, dryRun, yes, showAll }: ChangeOptions,
  plan: (kubeconfig: Kubeconfig) => P | Promise<P>,
  deps: Deps,
  beforeWriting: (plan: P) => Promise<void> = async () => undefined,
): Promise<Changed<P>> {
  const sources = kubeconfigSources(kubeconfig, deps);
  const blank = blankHint(sources);
  if (blank !== '')
    throw new KleisError('usage', `${blank}Nothing was written.`, { hint: 'Correct KUBECONFIG or --kubeconfig.' });
  let agreedTo: readonly Change[] = [];
  let told: readonly string[] = [];
  for (;;) {
    // A moment longer than for reading alone: whoever writes now must be done before we can.
    const planned = await plan(await loadKubeconfig(sources, 2000));
    // What cannot be edited is said before anybody is asked.
    for (const [file, value] of planned.values) editKubeconfig(file, value, file.path);
    if (dryRun === true) return { outcome: 'dry-run', plan: planned };
    if (planned.changes.length === 0) return { outcome: 'unchanged', plan: planned };
    const { notes = [] } = planned;
    if (!isDeepStrictEqual(notes, told)) for (const note of notes) deps.report.info(note);
    told = notes;
    const replaced = planned.changes.filter(
      ({ what, before, renamed }) => what !== 'current-context' && before !== undefined && renamed === undefined,
    );
    const asked = showAll === true ? planned.changes : replaced;
    if (yes !== true && !isDeepStrictEqual(asked, agreedTo)) {
      const agreed = showAll === true ? await agreesToAll(asked, deps) : await agrees(asked, deps);
      if (!agreed) return { outcome: 'declined', plan: planned };
      agreedTo = asked;
    }
    if (await write(planned)) return { outcome: 'written', plan: planned };
    deps.signal.throwIfAborted();
  }

  /** False if what was planned is no longer what would be planned: somebody else wrote meanwhile. */
  async function write(planned: P): Promise<boolean> {
    const paths = Array.from(planned.values.keys(), (file) => file.path);
    // Under the name that is in KUBECONFIG, which kubectl locks, and under that of the file which really changes.
    const targets = new Map(await Promise.all(paths.map(async (path) => [path, await followLinks(path)] as const)));
    return withLocks([...targets.keys(), ...targets.values()], deps, async () => {
      const now = await plan(await loadKubeconfig(sources, 0));
      if (!isDeepStrictEqual(now.changes, planned.changes)) return false;
      const files = Array.from(
        now.values,
        ([file, value]) => [file.path, editKubeconfig(file, value, file.path)] as const,
      );
      for (const path of targets.values()) await checkReplaceable(path);
      await beforeWriting(now);
      for (const [path, text] of files) await replaceKubeconfig(targets.get(path) ?? path, text);
      return true;
    });
  }
}

/** Collects what is to become of entries. */
export class PlanBuilder implements Plan {
  readonly changes: Change[] = [];
  readonly values = new Map<KubeconfigFile, Mapping>();
  readonly #kubeconfig: Kubeconfig;

  constructor(kubeconfig: Kubeconfig) {
    this.#kubeconfig = kubeconfig;
  }

  /** An entry that exists changes in the file that it is in; a new one goes where kubectl would write it. */
  set(section: Section, name: string, after: Mapping): void {
    const existing = this.#kubeconfig.entries[section].get(name);
    if (existing !== undefined && isDeepStrictEqual(existing.body, after)) return;
    const file = existing?.file ?? this.#kubeconfig.defaultFile;
    const key = bodyKey(section);
    this.#editList(file, section, (list) => {
      if (existing !== undefined) return list.map((item) => (isNamed(item, name) ? { ...item, [key]: after } : item));
      // As kubectl sorts them.
      return [...list, section === 'users' ? { name, [key]: after } : { [key]: after, name }];
    });
    this.changes.push({ what: key, name, file: file.path, before: existing?.body, after });
  }

  /** The entry that kubectl sees: one of the same name in a later file counts from then on. */
  remove(section: Section, name: string): void {
    const existing = this.#kubeconfig.entries[section].get(name);
    if (existing === undefined) return;
    this.#editList(existing.file, section, (list) => list.filter((item) => !isNamed(item, name)));
    this.changes.push({
      what: bodyKey(section),
      name,
      file: existing.file.path,
      before: existing.body,
      after: undefined,
    });
  }

  /** To a name that the file does not have yet. */
  rename(section: Section, name: string, renamed: string): void {
    const existing = this.#kubeconfig.entries[section].get(name);
    if (existing === undefined) return;
    const { file, body } = existing;
    this.#editList(file, section, (list) =>
      list.map((item) => (isNamed(item, name) ? { ...item, name: renamed } : item)),
    );
    this.changes.push({ what: bodyKey(section), name, file: file.path, before: body, after: body, renamed });
  }

  setCurrent(name: string): void {
    const current = this.#kubeconfig.currentContext;
    if (current === name) return;
    this.#setCurrentIn(this.#kubeconfig.defaultFile, current, name);
  }

  /** Wherever the current context is called that, also in a file that does not count now; an empty name means none. */
  replaceCurrent(name: string, next: string): void {
    for (const file of this.#kubeconfig.files) {
      if (textOf(file.value['current-context']) === name) this.#setCurrentIn(file, name, next);
    }
  }

  #setCurrentIn(file: KubeconfigFile, before: string, after: string): void {
    this.#edit(file, (value) => ({ ...value, 'current-context': after }));
    const [from, to] = [before, after].map((name) => (name === '' ? undefined : name));
    this.changes.push({ what: 'current-context', name: after, file: file.path, before: from, after: to });
  }

  #editList(file: KubeconfigFile, section: Section, edit: (list: readonly unknown[]) => unknown[]): void {
    this.#edit(file, (value) => {
      const list: unknown = value[section];
      return { ...value, [section]: edit(Array.isArray(list) ? list : []) };
    });
  }

  #edit(file: KubeconfigFile, edit: (value: Mapping) => Mapping): void {
    // kubectl takes a file without these two for a kubeconfig; other programs do not.
    const start = Object.keys(file.value).length === 0 ? { apiVersion: 'v1', kind: 'Config' } : file.value;
    this.values.set(file, edit(this.values.get(file) ?? start));
  }
}

function isNamed(item: unknown, name: string): item is Mapping {
  return textOf(mappingOf(item)['name']) === name;
}

function mappingOf(value: unknown): Mapping {
  return isObject(value) ? value : {};
}

/** What a dry run says of it: a line for each note and each change. */
export function describePlan({ notes = [], changes }: Plan): string {
  const lines = changes.length === 0 ? ['Nothing to change.'] : changes.map((change) => describeChange(change));
  return [...notes, ...lines].map((line) => `${line}\n`).join('');
}

/** What a dry run says of a change: a sentence. */
export function describeChange({ what, name, file, before, after, renamed }: Change): string {
  const where = clean(file, 400);
  if (what === 'current-context') {
    if (after === undefined) return `Would leave ${where} without a current context.`;
    return `Would make "${clean(name)}" the current context in ${where}.`;
  }
  if (renamed !== undefined) return `Would rename the ${what} "${clean(name)}" to "${clean(renamed)}" in ${where}.`;
  const verb = before === undefined ? 'add' : after === undefined ? 'remove' : 'change';
  return `Would ${verb} the ${what} "${clean(name)}" in ${where}.`;
}

/**
 * Asks before something is replaced; true if nothing is.
 *
 * @throws KleisError `usage` where nobody can be asked
 */
async function agrees(replaced: readonly Change[], deps: Deps): Promise<boolean> {
  if (replaced.length === 0) return true;
  const list = replaced.map(
    (change) => `the ${change.what} "${clean(change.name)}" in ${clean(change.file, 400)}${differences(change)}`,
  );
  const removal = replaced.every(({ after }) => after === undefined);
  requireTerminal(
    `This would ${removal ? 'remove' : 'change'} ${list.join(' and ')}`,
    removal
      ? 'Pass --yes to remove it. Nothing was changed.'
      : 'Pass --yes to replace what is there, or give other names. Nothing was changed.',
    deps,
  );
  for (const line of list) deps.report.info(`This ${removal ? 'removes' : 'changes'} ${line}.`);
  return askYesNo(removal ? 'Remove?' : 'Replace?', deps);
}

/** As `agrees`, of everything that is to change. */
async function agreesToAll(changes: readonly Change[], deps: Deps): Promise<boolean> {
  requireTerminal('This would change the kubeconfig', 'Nothing was changed.', deps);
  for (const change of changes) tell(`This ${sayChange(change)}.`, deps);
  return askYesNo('Write it?', deps);
}

function sayChange(change: Change): string {
  const { what, name, file, before } = change;
  const where = clean(file, 400);
  if (what === 'current-context') return `makes "${clean(name)}" the current context of ${where}`;
  const more = before === undefined ? '' : differences(change);
  return `${before === undefined ? 'adds' : 'changes'} the ${what} "${clean(name)}" in ${where}${more}`;
}

/** Which fields; not what is in them, since it may be a token. The server is worth reading, however. */
export function differences({ before, after }: Change): string {
  if (after === undefined) return '';
  const [old, next] = [mappingOf(before), mappingOf(after)];
  const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])].filter(
    (key) => !isDeepStrictEqual(old[key], next[key]),
  );
  const list = keys
    .map((key) => {
      const name = clean(key, 60);
      if (key === 'server' && old[key] !== undefined) return `server: ${clean(old[key])} → ${clean(next[key])}`;
      if (!Object.hasOwn(next, key)) return `${name} is removed`;
      return Object.hasOwn(old, key) ? `${name} changes` : `${name} is added`;
    })
    .join(', ');
  return ` (${list})`;
}

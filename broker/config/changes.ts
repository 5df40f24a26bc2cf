import type { Steps } from '../../shared/steps.ts';
import { isSameJson } from './load.ts';
import type { BrokerConfig } from './broker-config.ts';

/** Names, as the configuration has them. */
export interface EntryChanges {
  readonly added?: readonly string[];
  readonly dropped?: readonly string[];
  readonly changed?: readonly string[];
}

/** What is different; what is not is left out. */
export interface ConfigChanges {
  readonly grants?: EntryChanges;
  readonly issuers?: EntryChanges;
  readonly clusters?: EntryChanges;
  /** All else, by the name of its section. */
  readonly settings?: readonly string[];
}

const sections = ['grants', 'issuers', 'clusters'] as const;

/** For the log: names alone, none of the values. */
export function* describeChanges(before: BrokerConfig, after: BrokerConfig): Steps<ConfigChanges> {
  const entries: [string, EntryChanges][] = [];
  for (const section of sections) entries.push([section, yield* compareEntries(before[section], after[section])]);
  const { grants: _, issuers: __, clusters: ___, ...settings } = { ...before, ...after };
  const changed = Object.keys(settings).filter((name) => {
    const [old, next] = [before, after].map((config) => config[name as keyof BrokerConfig] ?? null);
    return !isSameJson(old, next);
  });
  return {
    ...Object.fromEntries(entries.filter(([, changes]) => Object.keys(changes).length > 0)),
    ...(changed.length > 0 && { settings: changed }),
  };
}

function* compareEntries(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Steps<EntryChanges> {
  const added = Object.keys(after).filter((name) => !Object.hasOwn(before, name));
  const dropped: string[] = [];
  const changed: string[] = [];
  for (const name of Object.keys(before)) {
    if (!Object.hasOwn(after, name)) dropped.push(name);
    else if (!isSameJson(before[name], after[name])) changed.push(name);
    yield;
  }
  return Object.fromEntries(Object.entries({ added, dropped, changed }).filter(([, names]) => names.length > 0));
}

import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode, systemReason } from '../../shared/read-file.ts';
import { inTurns, type Pace, type Steps } from '../../shared/steps.ts';
import { CompiledPolicy } from '../policy/compile.ts';
import { type ConfigChanges, describeChanges } from './changes.ts';
import { type ConfigFault, ConfigFaults, fingerprint } from './documents.ts';
import { isSameJson, type LoadedConfig, loadConfig } from './load.ts';
import type { BrokerConfig } from './broker-config.ts';

export interface ReloadState {
  /** When what is in force was last seen to be what the files say; ms. */
  readonly lastGoodAt: number;
  /** Since when the files say something that cannot be used; ms. */
  readonly failingSince: number | undefined;
  /** When everything is or was denied unless the files are mended; ms. */
  readonly deniesFrom: number | undefined;
  readonly faults: readonly ConfigFault[];
}

/** Grants whose leases a new configuration does not cover any more. */
export interface GrantChanges {
  readonly dropped: readonly string[];
  /** Another account, cluster or Role, or other demands on the claims: what was minted before might not be today. */
  readonly changed: readonly string[];
}

export interface ConfigSource {
  /** The snapshot in force. One request takes it once and goes by it to the end. */
  readonly current: LoadedConfig;
  readonly state: ReloadState;
  /** Looks at the files now; for SIGHUP and tests. Never throws. */
  check(): Promise<void>;
  close(): void;
}

export interface WatchOptions {
  readonly now: () => number;
  /** A new snapshot is in force. */
  readonly onChange?: (next: LoadedConfig, changes: GrantChanges, described: ConfigChanges) => void;
  /** The files began to be unusable, or are so in another way. */
  readonly onFault?: (state: ReloadState) => void;
  /** Milliseconds; kubelet itself takes up to a minute to bring a new ConfigMap. */
  readonly interval?: number;
  /** Milliseconds that the files must stay the same before they are read, so that none is read half-written. */
  readonly settle?: number;
}

/** Callers are served meanwhile. Longer rests would delay what was changed by more than they spare a caller. */
const pace: Pace = { work: 8, rest: 4 };

// Ten seconds at the usual pace.
const maxRounds = 50;
/** A disk may have failed for a moment: what could not be used is read again, for a twentieth of the time at most. */
const pauses = 20;

/** Follows the files that `first` was loaded from. */
export async function watchConfig(location: string, first: LoadedConfig, options: WatchOptions): Promise<ConfigSource> {
  const { now, interval = 5000, settle = 200 } = options;
  let current = first;
  let state: ReloadState = { lastGoodAt: now(), failingSince: undefined, deniesFrom: undefined, faults: [] };
  let loaded = '';
  let refused: { readonly print: string; readonly until: number } | undefined;
  let running: Promise<void> | undefined;
  let closed = false;

  const accept = async (next: LoadedConfig, print: string): Promise<void> => {
    const isSame = next.hash === current.hash && CompiledPolicy.inForce(current.policy, Number.MAX_SAFE_INTEGER);
    const changes = isSame ? undefined : await inTurns(compareGrants(current.config, next.config), pace);
    const described = isSame ? undefined : await inTurns(describeChanges(current.config, next.config), pace);
    if (closed) return;
    loaded = print;
    refused = undefined;
    state = { lastGoodAt: now(), failingSince: undefined, deniesFrom: undefined, faults: [] };
    if (changes === undefined || described === undefined) return;
    current = next;
    options.onChange?.(next, changes, described);
  };

  const reject = (error: unknown): void => {
    if (closed) return;
    const faults = faultsOf(error, location);
    const failingSince = state.failingSince ?? now();
    // Taking the configuration away is not a slip of the pen: nothing is allowed from then on. Nor is it a half-done
    // replacement: that is over by the time that the files have come to rest.
    const empty = error instanceof ConfigFaults && error.empty;
    const deniesFrom = Math.min(
      state.deniesFrom ?? Number.POSITIVE_INFINITY,
      empty ? now() : failingSince + current.config.reload.maxStale,
    );
    const news = JSON.stringify(faults) !== JSON.stringify(state.faults);
    state = { lastGoodAt: state.lastGoodAt, failingSince, deniesFrom, faults };
    // In the policy itself, so that it ends also for whoever holds on to it.
    CompiledPolicy.end(current.policy, deniesFrom);
    if (news) options.onFault?.(state);
  };

  const look = async (): Promise<void> => {
    let print = await fingerprintOf(location);
    if (print === refused?.print && performance.now() < refused.until) return;
    if (print === loaded && state.failingSince === undefined) {
      state = { ...state, lastGoodAt: now() };
      return;
    }
    // A file that is written in place is a shorter, perhaps valid, file for a moment.
    for (let round = 0; round < maxRounds; round++) {
      await pause(settle);
      const before = await fingerprintOf(location);
      if (before === print) {
        const began = performance.now();
        const outcome = await loadConfig(location, pace).catch((error: unknown) => ({ error }));
        const ended = performance.now();
        print = await fingerprintOf(location);
        if (print === before) {
          if (!('error' in outcome)) return accept(outcome, print);
          refused = { print, until: ended + pauses * (ended - began) };
          return reject(outcome.error);
        }
      }
      print = before;
    }
    reject(new Error('the files keep changing while they are read'));
  };

  const check = (): Promise<void> => {
    running ??= look().finally(() => {
      running = undefined;
    });
    return running;
  };
  const timer = setInterval(() => void check(), interval);
  timer.unref();
  const watcher = await watchFolder(location, () => void check());

  return {
    get current() {
      return current;
    },
    get state() {
      return state;
    },
    check: async () => {
      // What is under way may have looked before the caller's change.
      await running;
      refused = undefined;
      if (!closed) await check();
    },
    close: () => {
      closed = true;
      clearInterval(timer);
      watcher?.close();
    },
  };
}

/** As `fingerprint`, with a value of its own for what cannot be looked at. */
async function fingerprintOf(location: string): Promise<string> {
  return fingerprint(location).catch((error: unknown) => `failed: ${String((error as NodeJS.ErrnoException).code)}`);
}

/** Only makes it quicker: network file systems and some containers report nothing, so the timer looks as well. */
async function watchFolder(location: string, notice: () => void): Promise<FSWatcher | undefined> {
  let pending: NodeJS.Timeout | undefined;
  const later = (): void => {
    clearTimeout(pending);
    pending = setTimeout(notice, 50);
    pending.unref();
  };
  try {
    const [folder, only] = (await stat(location)).isDirectory()
      ? [location]
      : [path.dirname(location), path.basename(location)];
    const watcher = watch(folder, { persistent: false }, (_, name) => {
      // The audit may lie beside it. A mounted ConfigMap changes by its link `..data` alone.
      if (only === undefined || name === null || name === only || name.startsWith('..')) later();
    });
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}

function faultsOf(error: unknown, location: string): readonly ConfigFault[] {
  if (error instanceof ConfigFaults) return error.faults;
  const why = systemCode(error) === 'ENOENT' ? 'does not exist any more' : `cannot be read: ${systemReason(error)}`;
  return [{ file: location, line: 1, column: 1, path: '', message: why }];
}

/** Grants whose earlier tokens the new configuration would not mint. */
export function* compareGrants(before: BrokerConfig, after: BrokerConfig): Steps<GrantChanges> {
  const names = Object.keys(before.grants);
  const dropped = names.filter((name) => !Object.hasOwn(after.grants, name));
  const isRestSame = isSameJson([before.issuers, before.clusters], [after.issuers, after.clusters]);
  const isSame = (name: string) =>
    (isRestSame && isSameJson(before.grants[name], after.grants[name])) ||
    isSameJson(essence(before, name), essence(after, name));
  const changed: string[] = [];
  for (const name of names) {
    if (Object.hasOwn(after.grants, name) && !isSame(name)) changed.push(name);
    yield;
  }
  return { dropped, changed };
}

function essence(config: BrokerConfig, name: string): Readonly<Record<string, unknown>> {
  const { issuer, where, condition, cluster, account, access, killSwitch } = config.grants[name]!;
  const { url, cluster: source, audience } = config.issuers[issuer]!;
  const from = source === undefined ? undefined : config.clusters[source];
  const { server, credentials } = config.clusters[cluster]!;
  const demands = { url, audience, from: from && [from.server, from.credentials], where, condition };
  return { ...demands, cluster, server, credentials, account, access, killSwitch };
}

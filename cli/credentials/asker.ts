import type { Deps } from '../surroundings/deps.ts';

/** Who asks for a credential. */
export interface Asker {
  /**
   * The program that asks again by itself, after a failure and after a 401: kubectl and its like. Undefined where a
   * person or a script asks, whose second call is a new one.
   */
  readonly parent: number | undefined;
  /** The launcher has looked already, and has become this process. */
  readonly launched: boolean;
  /** The pids that the launcher may have put into a claim for this process. */
  readonly pids: readonly number[];
  readonly pid: number;
  /** When this process was started, in milliseconds since the epoch. */
  readonly startedAt: number;
}

export function askerOf({ env, pid, ppid, startedAt }: Deps): Asker {
  // The launcher becomes Node under its own pid; a version manager's shim stays between them.
  const pids = [pid, ppid];
  const [, launcher, parent] = /^(\d+) (\d+)$/.exec(env['KLEIS_LAUNCHER'] ?? '') ?? [];
  const launched = pids.includes(Number(launcher));
  return { parent: launched ? Number(parent) : ppid, launched, pids, pid, startedAt };
}

/** A person or a script. */
export function scriptOf(deps: Deps): Asker {
  return { ...askerOf(deps), parent: undefined };
}

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Deps } from './surroundings.ts';

/** The real surroundings; with `main.ts` the only place that touches `process`. */
export function createDeps(): Deps {
  process.umask(0o077);
  Reflect.deleteProperty(process.env, 'NODE_TLS_REJECT_UNAUTHORIZED');
  const { env, stdout, stderr } = process;
  const ended = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // The second one does not wait for what is under way.
      if (ended.signal.aborted) process.exit(130);
      ended.abort(name);
    });
  }
  // Node's own answer to SIGUSR1 is a debugger, in which whoever may send signals reads every token; to SIGUSR2, the end.
  for (const name of ['SIGUSR1', 'SIGUSR2'] as const) process.on(name, () => undefined);
  const listeners = new Set<() => void>();
  process.on('SIGHUP', () => {
    for (const listener of listeners) listener();
  });
  for (const stream of [stdout, stderr]) stream.on('error', () => undefined);
  return {
    env,
    // Only who reads it opens it.
    get stdin() {
      return process.stdin;
    },
    stdout,
    stderr,
    clock: {
      now: Date.now,
      sleep: async (milliseconds, signal) => sleep(milliseconds, undefined, { ...(signal && { signal }) }),
    },
    host: hostname(),
    user: process.getuid?.(),
    signal: ended.signal,
    onHangUp(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Ends with the code of the run once stdout and stderr have taken everything. */
export async function exit(deps: Deps, run: Promise<number>): Promise<void> {
  const code = await run;
  await Promise.all(
    [deps.stdout, deps.stderr].map(
      async (stream) =>
        new Promise<void>((resolve) => {
          stream.write('', () => resolve());
        }),
    ),
  );
  process.exit(code);
}

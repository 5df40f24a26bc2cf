import { clean } from '../../shared/text.ts';
import type { Deps } from './deps.ts';
import { lightFetch } from './light-fetch.ts';
import { createReport, isLogLevel, logLevels } from './report.ts';
import { standaloneFolder } from './standalone.ts';

/** What this process is, which no test may want to be another. */
export const thisProcess = {
  platform: process.platform,
  /** Whose files are ours; undefined on Windows, where the profile folder's ACLs keep others out and modes say nothing. */
  uid: process.platform === 'win32' ? undefined : process.geteuid?.(),
  /** The Node that runs this. */
  node: process.execPath,
  nodeVersion: process.versions.node,
  /** The folder of the standalone executable that this is; undefined where Node runs the package. */
  standalone: standaloneFolder(),
  /** As Node's downloads say it: `linux-x64`. */
  target: `${process.platform}-${process.arch}`,
  /** False only if there is no process of that pid. */
  isAlive(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch (error) {
      return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
    }
  },
  /** Does nothing to a process that does not wait for it, unless it is stopped. */
  wake(pid: number): void {
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      // It has ended, or is another's.
    }
  },
} as const;

/** The real surroundings; with the main files the only place that reads the command line, the environment and the streams. */
export function createDeps(): Deps {
  // libuv, the keyring's library and the launcher make files too, and nobody else may read those.
  process.umask(0o077);
  // As the launcher does: what they weaken or load is not for the programs that we start either.
  for (const name of ['NODE_OPTIONS', 'NODE_TLS_REJECT_UNAUTHORIZED']) Reflect.deleteProperty(process.env, name);
  Object.assign(globalThis, lightFetch);
  const { argv, ppid, stdout, stderr } = process;
  const env = process.platform === 'win32' ? namesAsUpper(process.env) : process.env;
  const log = env['KLEIS_LOG'] ?? '';
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // It gets the signals of kubectl's process group, but a refresh token may be under way.
      if (argv[2] === '--background' && name !== 'SIGTERM') return;
      // The second one ends what does not end by itself.
      if (interrupted.signal.aborted) process.exit(130);
      interrupted.abort(name);
    });
  }
  // Whoever read the output may have gone (`kleis status | head -1`); anything else that keeps it back is a failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exit(1);
  });
  stderr.on('error', () => undefined);
  const report = createReport(stderr, env, isLogLevel(log) ? log : 'info');
  if (log !== '' && !isLogLevel(log))
    report.warn(`KLEIS_LOG is ${clean(log, 40)}, which is none of ${logLevels.join(', ')}.`);
  return {
    env,
    // Node opens it when it is looked at, which takes a tenth of a start.
    get stdin() {
      return process.stdin;
    },
    stdout,
    stderr,
    clock: {
      now: Date.now,
      sleep: async (milliseconds, signal) => {
        const { setTimeout: sleep } = await import('node:timers/promises');
        await sleep(milliseconds, undefined, { ...(signal && { signal }) });
      },
    },
    platform: process.platform,
    pid: process.pid,
    ppid,
    // As `performance.timeOrigin`, for which Node loads a module.
    startedAt: Date.now() - process.uptime() * 1000,
    parentIsGone: () => process.ppid !== ppid,
    report,
    signal: interrupted.signal,
  };
}

/** To Windows `Path` is `PATH`, and so it is in `process.env`, but not in a copy of it. */
export function namesAsUpper(env: Deps['env']): Deps['env'] {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name.toUpperCase(), value]));
}

/** Ends with the code of the run once stdout and stderr have taken everything. */
export async function exit(deps: Deps, run: Promise<number>): Promise<void> {
  const code = await run;
  await Promise.all([deps.stdout, deps.stderr].map(flush));
  // Not `exitCode`: an open keep-alive connection or a keyring that hangs must hold nobody up.
  process.exit(code);
}

async function flush(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.write('', () => resolve());
  });
}

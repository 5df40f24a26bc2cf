import { spawn, type ChildProcess } from 'node:child_process';
import { findTool } from './tools.ts';

export interface RunOptions {
  /** The whole environment, not an addition to ours. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** With a terminal for all three descriptors; what it shows is `stdout`. Needs the tool `script`. */
  readonly tty?: boolean;
  /** Milliseconds; then it is killed, and the result rejects. 15 s if not given: less than a test may take, which would say nothing. */
  readonly timeout?: number;
}

export interface RunResult {
  /** 128 and the signal's number if a signal ended it, as in a shell. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds from start to end. */
  readonly duration: number;
}

export interface Running {
  readonly pid: number;
  readonly stdin: ChildProcess['stdin'];
  stdout(): string;
  stderr(): string;
  /** The first match in stdout or stderr; rejects when the program ends without one, or after `timeout` milliseconds. */
  waitFor(pattern: RegExp, timeout?: number): Promise<RegExpExecArray>;
  kill(signal?: NodeJS.Signals): void;
  readonly done: Promise<RunResult>;
}

const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString();

/** Starts a program by its real argv. */
export function start(program: string, args: readonly string[], options: RunOptions): Running {
  const { env, stdin, cwd, tty = false, timeout = 15_000 } = options;
  const began = performance.now();
  const [command, ...rest] = tty ? inTerminal([program, ...args]) : [program, ...args];
  const child = spawn(command ?? '', rest, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const waiting = new Set<() => void>();
  const hear = (chunks: Buffer[]) => (chunk: Buffer) => {
    chunks.push(chunk);
    for (const wake of waiting) wake();
  };
  child.stdout.on('data', hear(out));
  child.stderr.on('data', hear(err));
  child.stdin.on('error', () => {});
  if (stdin !== undefined || !tty) child.stdin.end(stdin ?? '');
  const words = [program, ...args].join(' ');
  let ended = false;
  const done = new Promise<RunResult>((resolve, reject) => {
    let late: Error | undefined;
    const timer = setTimeout(() => {
      late = new Error(`${words} is still running after ${timeout} ms; stderr: ${text(err)}`);
      child.kill('SIGKILL');
      // What it started may still hold the other ends.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeout);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      ended = true;
      clearTimeout(timer);
      for (const wake of waiting) wake();
      if (late) reject(late);
      const signalCodes: Readonly<Record<string, number>> = { SIGINT: 130, SIGKILL: 137, SIGTERM: 143 };
      const result = { code: code ?? signalCodes[signal ?? ''] ?? 128, stdout: text(out), stderr: text(err) };
      resolve({ ...result, duration: performance.now() - began });
    });
  });
  // Whoever only waits for a line must not be told twice.
  done.catch(() => {});
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin,
    stdout: () => text(out),
    stderr: () => text(err),
    kill: (signal = 'SIGTERM') => void child.kill(signal),
    done,
    async waitFor(pattern, limit = 15_000) {
      const deadline = Date.now() + limit;
      for (;;) {
        const over = ended || Date.now() > deadline;
        const match = pattern.exec(text(out)) ?? pattern.exec(text(err));
        if (match) return match;
        if (over) throw new Error(`${words} did not say ${pattern}; stdout: ${text(out)}; stderr: ${text(err)}`);
        await new Promise<void>((resolve) => {
          const wake = () => {
            clearTimeout(late);
            waiting.delete(wake);
            resolve();
          };
          const late = setTimeout(wake, deadline - Date.now() + 1);
          waiting.add(wake);
        });
      }
    },
  };
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return start(program, args, options).done;
}

function inTerminal(command: readonly string[]): string[] {
  const script = findTool('script');
  if (script === undefined) throw new Error('there is no `script` here');
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return [script, '-qefc', quoted, '/dev/null'];
}

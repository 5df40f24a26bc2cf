import { spawn } from 'node:child_process';

/** Something that the demo claims has not happened. The message is for the reader. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

export interface Outcome {
  /** 128 if a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Beside the environment that all commands have. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds; then it is ended, and the demo has failed. */
  readonly limit?: number;
  /** Each piece of stdout and stderr as it comes. */
  readonly onOutput?: (text: string) => void;
  /** It draws on the reader's terminal itself; nothing of it is seen here. */
  readonly onTerminal?: boolean;
}

export interface Commands {
  run(words: readonly string[], options?: CommandOptions): Promise<Outcome>;
  /** Ends whatever still runs, in the background or not. */
  end(): void;
}

const usualLimit = 30_000;

/**
 * Runs programs so that none outlives the demo: each has a process group of its own, which its children in the
 * background share, and which the terminal's Ctrl-C does not reach; we end them.
 */
export function createCommands(
  common: Readonly<Record<string, string>>,
  cwd: string,
  interrupted: AbortSignal,
): Commands {
  const groups = new Set<number>();
  return {
    run(words, { env, limit = usualLimit, onOutput, onTerminal = false } = {}) {
      interrupted.throwIfAborted();
      const [program = '', ...args] = words;
      const child = spawn(program, args, {
        cwd,
        env: { ...common, ...env },
        detached: true,
        stdio: ['ignore', onTerminal ? 'inherit' : 'pipe', onTerminal ? 'inherit' : 'pipe'],
      });
      const group = child.pid;
      if (group !== undefined) groups.add(group);
      const [out, err]: [Buffer[], Buffer[]] = [[], []];
      const keep = (chunks: Buffer[]) => (chunk: Buffer) => {
        chunks.push(chunk);
        onOutput?.(chunk.toString());
      };
      child.stdout?.on('data', keep(out));
      child.stderr?.on('data', keep(err));
      return new Promise<Outcome>((resolve, reject) => {
        const finish = () => {
          clearTimeout(timer);
          interrupted.removeEventListener('abort', onInterrupt);
        };
        const fail = (why: unknown) => {
          finish();
          if (group !== undefined) killGroup(group);
          reject(why);
        };
        const onInterrupt = () => fail(interrupted.reason);
        const tooLate = new DemoFailure(`${words.join(' ')} is still running after ${limit / 1000} s`);
        const timer = setTimeout(fail, limit, tooLate);
        interrupted.addEventListener('abort', onInterrupt);
        child.once('error', (error) => fail(new DemoFailure(`${program} cannot be run: ${error.message}`)));
        child.once('close', (code) => {
          finish();
          if (group !== undefined && !isAlive(group)) groups.delete(group);
          resolve({ code: code ?? 128, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
        });
      });
    },
    end() {
      for (const group of groups) killGroup(group);
      groups.clear();
    },
  };
}

function isAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

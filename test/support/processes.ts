import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { until } from './wait.ts';

export interface Server {
  readonly name: string;
  /** Ends it and waits until it has ended. */
  stop(): Promise<void>;
  /** What is wrong, if it has ended by itself. */
  failure(): string | undefined;
}

// The shell lives as long as the pipe to its standard input: even when this process is killed, nothing is left behind.
// A signal to the whole group must not end what watches: a kube-apiserver whose etcd has ended never ends by itself.
// It is deaf from its first moment on, since all of them are until it runs; the server is as it was made.
const own = '(trap - HUP INT TERM; exec "$@") </dev/null 3<&-';
const watch = '{ cat <&3 >/dev/null; kill -9 $server 2>/dev/null; }';
const guard = `trap '' HUP INT TERM; exec 3<&0; ${own} & server=$!; ${watch} & trap - HUP INT TERM; wait $server`;

/** Starts a server whose output goes to a file; it ends with this process, however that ends. */
export function startServer(name: string, command: readonly string[], logFile: string): Server {
  const log = openSync(logFile, 'w', 0o600);
  const child: ChildProcess = spawn('/bin/sh', ['-c', guard, name, ...command], { stdio: ['pipe', log, log] });
  closeSync(log);
  let ended: string | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      ended = error.message;
      resolve();
    });
    child.once('exit', (code, signal) => {
      ended = `it ended with ${signal ?? code}`;
      resolve();
    });
  });
  child.stdin?.on('error', () => {});
  // A server that outlives the tests that use it must not keep their process.
  child.unref();
  return {
    name,
    failure: () =>
      ended === undefined
        ? undefined
        : `${name}: ${ended}\n${readFileSync(logFile, 'utf8').split('\n').slice(-8).join('\n')}`,
    async stop() {
      child.ref();
      child.stdin?.destroy();
      await exited;
    },
  };
}

/** Waits until `ready` is true; fails when the server ends before, or after `timeout` milliseconds. */
export async function untilReady(server: Server, ready: () => Promise<boolean>, timeout = 60_000): Promise<void> {
  await until(
    `${server.name} is ready`,
    async () => {
      const failure = server.failure();
      if (failure !== undefined) throw new Error(failure);
      return ready();
    },
    timeout,
  );
}

/** Ports of 127.0.0.1 that nobody listens on, below the range that the kernel takes client ports from. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

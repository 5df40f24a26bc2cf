import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, it } from 'vitest';
import { bundle } from './bundle.ts';
import { until } from './wait.ts';

const folder = await mkdtemp(join(tmpdir(), 'kleis-servers-'));
afterAll(() => rm(folder, { recursive: true }));

it.for(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
  'a server does not outlive a %s of all who started it',
  async (signal) => {
    const program = await bundle('test/support/processes.ts');
    const pidFile = join(folder, `${signal}.pid`);
    const entry = join(folder, `${signal}.mjs`);
    // Deaf to whatever asks it to end, as a kube-apiserver without etcd is.
    const deaf = `trap '' TERM INT; echo $$ >${pidFile}; while :; do sleep 0.1; done`;
    await writeFile(
      entry,
      `import { startServer } from ${JSON.stringify(program)};
     startServer('deaf', ['/bin/sh', '-c', ${JSON.stringify(deaf)}], ${JSON.stringify(join(folder, 'log'))});
     setInterval(() => {}, 1000);`,
    );
    const starter = spawn(process.execPath, [entry], { detached: true, stdio: 'ignore' });
    const ended = once(starter, 'exit');
    const server = () => Number(read(pidFile));
    await until('the server runs', () => server() > 0);
    // SIGKILL reaches the one alone: nothing could watch if it reached all.
    process.kill(signal === 'SIGKILL' ? starter.pid! : -starter.pid!, signal);
    await ended;
    await until('the server has ended', () => !isAlive(server()));
  },
);

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { start } from '../support/run.ts';

/** A `kleis-broker serve` that takes requests. */
export interface BrokerProcess {
  readonly url: string;
  readonly pid: number;
  /** The folder with its build. */
  readonly dist: string;
  /** Milliseconds from its start until it said so. */
  readonly readyAfter: number;
  /** Milliseconds of processor time that it has used; undefined where there is no /proc. */
  cpu(): number | undefined;
  /** MiB of memory that it has now. */
  memory(): number | undefined;
  /** What it has said so far. */
  log(): string;
  stop(): Promise<void>;
}

export function brokerEnv(home: string): Record<string, string> {
  return { PATH: '/usr/bin:/bin', HOME: home };
}

export function brokerProgram(dist: string): string {
  return resolve(dist, 'kleis-broker.js');
}

/** Milliseconds for one tick of /proc, which is 10 ms wherever Node runs. */
const tick = 10;

export async function startBroker(
  config: string,
  home: string,
  nodeFlags: readonly string[] = [],
  dist = 'dist',
): Promise<BrokerProcess> {
  const began = performance.now();
  const command = [...profiling(), ...nodeFlags, brokerProgram(dist), 'serve', '--config', config];
  const broker = start(process.execPath, command, {
    env: brokerEnv(home),
    timeout: 86_400_000,
  });
  const kill = () => broker.kill('SIGKILL');
  // However this process ends, nothing is left behind.
  process.once('exit', kill);
  try {
    await broker.waitFor(/"msg":"ready"/, 60_000);
    const readyAfter = performance.now() - began;
    const [, url = ''] = await broker.waitFor(/"address":"([^"]+)"/);
    return {
      url,
      pid: broker.pid,
      dist,
      readyAfter,
      log: () => broker.stderr(),
      cpu() {
        // After the name of the program, which may hold anything: proc(5), utime and stime.
        const fields = proc(broker.pid, 'stat')
          ?.replace(/^.*\) /s, '')
          .split(' ');
        return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * tick;
      },
      memory() {
        const [, kibibytes] = /^VmRSS:\s+(\d+) kB/m.exec(proc(broker.pid, 'status') ?? '') ?? [];
        return kibibytes === undefined ? undefined : Number(kibibytes) / 1024;
      },
      async stop() {
        broker.kill('SIGTERM');
        await broker.done;
        process.off('exit', kill);
      },
    };
  } catch (error) {
    broker.kill('SIGKILL');
    await broker.done;
    throw error;
  }
}

function proc(pid: number, name: string): string | undefined {
  const path = `/proc/${pid}/${name}`;
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** KLEIS_BENCH_PROFILE=FOLDER: each broker leaves a profile there, for Chrome's developer tools. */
function profiling(): string[] {
  const folder = process.env['KLEIS_BENCH_PROFILE'];
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`];
}

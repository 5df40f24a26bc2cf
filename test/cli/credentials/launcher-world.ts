import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createReport } from '../../../cli/surroundings/report.ts';
import { type CredentialKey, credentialKey } from '../../../cli/credentials/key.ts';
import { Credentials } from '../../../cli/credentials/cache.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { bundle } from '../../support/bundle.ts';
import { needs } from '../../support/needs.ts';

/** What the stand-in for Node does when the launcher starts it. */
export interface Plan {
  /** Milliseconds. */
  readonly delay?: number;
  readonly lifetime?: number;
  /** How long ago the provider issued what it brings. */
  readonly age?: number;
  readonly text?: string;
  readonly fail?: 'normal' | 'background' | 'rejected';
  readonly failEarly?: boolean;
  readonly crash?: boolean;
  readonly keep?: boolean;
}

/** What it writes down of each start. */
export interface Start {
  readonly mode: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly onNull: boolean;
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds until the process and everything that holds its output had ended. */
  readonly took: number;
}

export interface Call {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How often the same parent runs it, one after the other; the last exit code counts. */
  readonly times?: number;
  /** No shell between: one would not hand on every variable. */
  readonly direct?: boolean;
}

const candidates: Readonly<Record<string, readonly [string | undefined, ...string[]]>> = {
  sh: ['/bin/sh'],
  dash: [needs('dash')],
  bash: [needs('bash'), '--posix'],
  busybox: [needs('busybox'), 'sh'],
  ksh: [needs('ksh')],
  zsh: [needs('zsh'), '--emulate', 'sh'],
};
const commands = Object.entries(candidates).flatMap(([name, [program, ...flags]]) =>
  program === undefined ? [] : [{ name, program: realpathSync(program), command: [program, ...flags] }],
);
/** The shells of this machine, as commands; `sh` only where it is none of the others. */
export const shells = commands.filter(
  ({ name, program }) => name !== 'sh' || !commands.some((other) => other.name !== 'sh' && other.program === program),
);

export const args = ['--issuer-url', 'https://login.example.com', '--client-id', 'kleis'];

export function execInfo(server = 'https://10.0.0.1:6443', interactive = false): string {
  const cluster = { server, 'certificate-authority-data': 'Q'.repeat(1500), config: null };
  const info = {
    kind: 'ExecCredential',
    apiVersion: 'client.authentication.k8s.io/v1',
    spec: { cluster, interactive },
  };
  return `${JSON.stringify(info)}\n`;
}

function parseStart(line: string): Start {
  const start: Start = JSON.parse(line);
  return start;
}

let sibling: Promise<string> | undefined;

/** A folder with the real launcher, the stand-in for Node beside it and an empty cache; removed after the test. */
export async function createWorld(shell: readonly string[] = ['/bin/sh']) {
  const root = mkdtempSync(join(tmpdir(), 'kleis-launcher-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const bin = join(root, 'bin');
  const cache = join(root, 'cache');
  mkdirSync(bin);
  mkdirSync(cache, { mode: 0o700 });
  const launcher = join(bin, 'kleis-credential');
  copyFileSync('cli/credentials/kleis-credential.sh', launcher);
  chmodSync(launcher, 0o755);
  const program = await (sibling ??= bundle('test/cli/credentials/launcher-sibling.ts'));
  writeFileSync(join(bin, 'kleis-get-token'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, {
    mode: 0o755,
  });
  const planFile = join(root, 'plan');
  const startsFile = join(root, 'starts');
  writeFileSync(planFile, '{}');
  writeFileSync(startsFile, '');
  const home = join(root, 'home');
  mkdirSync(home);
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    KLEIS_CACHE_DIR: cache,
    KUBERNETES_EXEC_INFO: execInfo(),
    TEST_PLAN: planFile,
    TEST_STARTS: startsFile,
  };

  const world = {
    root,
    bin,
    cache,
    launcher,
    env,
    plan: (plan: Plan) => writeFileSync(planFile, JSON.stringify(plan)),
    starts: (): Start[] =>
      readFileSync(startsFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map(parseStart),
    key: (call: Call = {}): CredentialKey => {
      const key = credentialKey(call.args ?? args, { ...env, ...call.env });
      if (key === undefined) throw new Error('this call has no key');
      return key;
    },
    file: (kind: '' | 'soon-' | 'forced-' | 'failed-' | 'told-' | 'claim-' | 'waiting-', call: Call = {}) =>
      join(cache, `${kind}${world.key(call).name}`),
    /** A credential as Node writes it. */
    store(text: string, call: Call = {}, { lifetime = 3_600_000, age = 0 } = {}): string {
      const now = Date.now();
      const times = { issuedAt: now - age, expiresAt: now - age + lifetime, minValidity: 60_000 };
      store(cache).write(world.key(call), text, times, 'session');
      return world.file('', call);
    },
    run: (call: Call = {}) => runAsKubectl([...shell, launcher], { ...call, env: { ...env, ...call.env } }),
  };
  return world;
}

/** The cache of a folder, as a Node process would open it. */
export function store(dir: string, changes: Partial<Deps> = {}): Credentials {
  const deps: Deps = {
    env: {},
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: { now: Date.now, sleep: (time) => new Promise((resolve) => setTimeout(resolve, time)) },
    platform: process.platform,
    pid: process.pid,
    ppid: process.ppid,
    parentIsGone: () => false,
    startedAt: Date.now(),
    report: createReport(process.stderr, {}, 'silent'),
    signal: new AbortController().signal,
    ...changes,
  };
  return new Credentials({ candidates: [dir], deps });
}

// A process of its own is the parent, as kubectl is; it must not replace itself by what it runs.
const parent = 'times=$1; shift; while [ "$times" -gt 0 ]; do "$@"; code=$?; times=$((times - 1)); done; exit "$code"';

function runAsKubectl(command: readonly string[], call: Call): Promise<Outcome> {
  const started = performance.now();
  const { times = 1, args: given = args, env = {}, direct } = call;
  return new Promise((resolve, reject) => {
    const indirect = ['/bin/sh', '-c', parent, 'kubectl', String(times)];
    const [program = '', ...rest] = [...(direct === true ? [] : indirect), ...command, ...given];
    const child = spawn(program, rest, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr, took: performance.now() - started }));
  });
}

/** Sets a time mark that many milliseconds from now. */
export function setTime(path: string, fromNow: number): void {
  const time = (Date.now() + fromNow) / 1000;
  utimesSync(path, time, time);
}

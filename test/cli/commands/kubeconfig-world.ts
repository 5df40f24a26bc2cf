import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../cli/program.ts';
import { revealUnseen } from '../../../shared/text.ts';
import { readAll } from '../../support/read-all.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { createReport } from '../../../cli/surroundings/report.ts';

export interface Answered {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with kubeconfigs, and `kleis kubeconfig …` in this process: HOME is the folder. */
export interface KubeconfigWorld {
  readonly folder: string;
  at(name: string): string;
  write(name: string, text: string): Promise<string>;
  read(name?: string): Promise<string>;
  files(): Promise<string[]>;
  /** With an answer there is a terminal, on which it is typed when something is asked. */
  kubeconfig(args: readonly string[], surroundings?: Surroundings): Promise<Answered>;
  /** Any other command. */
  kleis(args: readonly string[], surroundings?: Surroundings): Promise<Answered>;
  remove(): Promise<void>;
}

interface Surroundings {
  readonly answer?: string;
  /** The same for a command that asks several times: one for each question. After the last the input ends. */
  readonly answers?: readonly string[];
  readonly columns?: number;
  /** Names of files of the folder, for KUBECONFIG. */
  readonly files?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whoever waits for an answer waits no longer. */
  readonly impatient?: boolean;
  /** Ctrl-C. */
  readonly signal?: AbortSignal;
}

export async function createKubeconfigWorld(): Promise<KubeconfigWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-kubeconfig-'));
  const at = (name: string) => join(folder, name);
  const world: KubeconfigWorld = {
    folder,
    at,
    async write(name, text) {
      await writeFile(at(name), text);
      return at(name);
    },
    read: (name = 'config') => readFile(at(name), 'utf8'),
    files: async () => (await readdir(folder)).toSorted(),
    kubeconfig: async (args, surroundings) => world.kleis(['kubeconfig', ...args], surroundings),
    async kleis(
      args,
      { answer, answers, columns, files = ['config'], env = {}, impatient = false, signal: stop } = {},
    ) {
      const streams = [new PassThrough(), new PassThrough(), new PassThrough()].map((stream) =>
        Object.assign(stream, { isTTY: (answer ?? answers ?? columns) !== undefined, columns }),
      );
      const [stdin, stdout, stderr] = streams as unknown as [Deps['stdin'], Deps['stdout'], Deps['stderr']];
      if (answer !== undefined) (stdin as unknown as PassThrough).end(answer);
      if (answers !== undefined) typeAnswers(answers, stdin, stderr);
      const all = { HOME: folder, NO_COLOR: '1', KUBECONFIG: files.map(at).join(':'), ...env };
      const code = await run(args, {
        env: all,
        stdin,
        stdout,
        stderr,
        clock: {
          now: Date.now,
          sleep: async (milliseconds, signal) =>
            sleep(impatient ? 50 : milliseconds, undefined, { ...(signal && { signal }) }),
        },
        platform: 'linux',
        pid: process.pid,
        ppid: process.ppid,
        startedAt: Date.now(),
        parentIsGone: () => false,
        report: createReport(stderr, all),
        signal: stop ?? new AbortController().signal,
      });
      return { code, stdout: readAll(stdout), stderr: readAll(stderr) };
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
  return world;
}

/** As a person types them: each when it is asked for. */
function typeAnswers(answers: readonly string[], stdin: Deps['stdin'], stderr: Deps['stderr']): void {
  const left = [...answers];
  const input = stdin as unknown as PassThrough;
  const write = stderr.write.bind(stderr);
  stderr.write = (text: string) => {
    if (!/[:\]] $/.test(text)) return write(text);
    const next = left.shift();
    if (next === undefined) setImmediate(() => input.end());
    else setImmediate(() => input.write(`${next}\n`));
    // As a terminal shows what is typed.
    return write(`${text}${revealUnseen(next ?? '')}\n`);
  };
}

/** Two contexts of one cluster, and one that has all for itself. */
export const sample = `apiVersion: v1
kind: Config
# where
clusters:
- {name: prod, cluster: {server: "https://api.prod.example.com:6443", certificate-authority: ca.crt}}
- name: lab   # mine alone
  cluster:
    server: 'https://lab'
contexts:
- context: {cluster: prod, user: kleis, namespace: web}
  name: prod

- context: {cluster: prod, user: admin}
  name: prod-admin
# the last
- name: lab
  context: {cluster: lab, user: oidc}
users:
- name: kleis
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kleis-credential
      args: [--issuer-url=https://sso.example.com/realms/acme, --broker=https://kleis.example.com, --grant=deploy]
- name: admin
  user: {client-certificate-data: hunter2, client-key-data: hunter3}
- name: oidc
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: kubectl, args: [oidc-login, get-token]}}
current-context: prod
`;

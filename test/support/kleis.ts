import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { stringify } from 'yaml';
import type { BrowserProgramOptions } from './browser-program.ts';
import type { Cluster } from './cluster.ts';
import { start, type Running, type RunOptions, type RunResult } from './run.ts';

export interface PersonOptions {
  /** The folder with the built programs. */
  readonly dist: string;
  /** The built `browser-program.ts`. */
  readonly browser: string;
  /** PEM; what vouches for the provider. */
  readonly providerCa?: string;
  /** Who signs in at the provider; `alice` if not given. */
  readonly login?: string;
  /** Their `config.yaml`, beside the browser command; sessions in files if not given. */
  readonly config?: Readonly<Record<string, unknown>>;
}

type PersonRunOptions = Partial<RunOptions>;

/** Somebody with a home of their own, in which Kleis is installed as npm installs it. */
export interface Person {
  readonly home: string;
  /** All that their programs see: nothing of this machine's but the system's folders. */
  readonly env: Readonly<Record<string, string>>;
  readonly kubeconfig: string;
  /** Holds `kleis`, `kubectl-kleis`, `kleis-credential` and `kleis-get-token`. */
  readonly bin: string;
  /** PEM file of the provider's authority. */
  readonly providerCaFile: string;
  run(program: string, args: readonly string[], options?: PersonRunOptions): Promise<RunResult>;
  start(program: string, args: readonly string[], options?: PersonRunOptions): Running;
  /** `kleis kubeconfig add --offline` for a context of that name, made the current one; throws what it says if it fails. */
  addContext(name: string, cluster: Pick<Cluster, 'server' | 'caFile'>, flags: readonly string[]): Promise<void>;
  writeConfig(config: Readonly<Record<string, unknown>>): Promise<void>;
  /** What they do at the next browser window. */
  behave(change: Partial<Pick<BrowserProgramOptions, 'login' | 'behaviour'>>): Promise<void>;
  /** The URLs of all browser windows so far. */
  windows(): Promise<string[]>;
  /** How often Node was started by their programs, the browser aside. */
  nodeStarts(): Promise<number>;
  remove(): Promise<void>;
}

/** The system's own folders, where `sh` and the like are. */
const systemPath = ['/usr/local/bin', '/usr/bin', '/bin'];

export async function createPerson(options: PersonOptions): Promise<Person> {
  const { dist, browser, providerCa, login = 'alice', config = { cache: 'file' } } = options;
  const home = await mkdtemp(join(tmpdir(), 'kleis-home-'));
  const path = (name: string) => join(home, name);
  const bin = path('bin');
  const runtime = path('run');
  await mkdir(bin);
  await mkdir(runtime, { mode: 0o700 });
  await installPrograms(dist, bin);
  await writeProgram(join(bin, 'node'), `echo "$$" >>'${path('node.log')}'\nexec '${process.execPath}' "$@"`);
  await writeProgram(join(bin, 'browse'), `exec '${process.execPath}' '${browser}' '${path('browser.json')}' "$@"`);
  await writeFile(path('provider-ca.crt'), providerCa ?? '');

  const kubeconfig = path('.kube/config');
  const env = {
    HOME: home,
    XDG_RUNTIME_DIR: runtime,
    PATH: [bin, dirname(process.execPath), ...systemPath].join(delimiter),
    KUBECONFIG: kubeconfig,
    LANG: 'C.UTF-8',
    TERM: 'dumb',
  };
  let browsing: BrowserProgramOptions = { log: path('browser.log'), ca: providerCa, login, behaviour: 'agree' };
  const running = new Set<Running>();
  const person: Person = {
    home,
    env,
    kubeconfig,
    bin,
    providerCaFile: path('provider-ca.crt'),
    run: (program, args, rest) => person.start(program, args, rest).done,
    start(program, args, rest = {}) {
      const started = start(program, args, { cwd: home, ...rest, env: { ...env, ...rest.env } });
      running.add(started);
      void started.done.then(
        () => running.delete(started),
        () => running.delete(started),
      );
      return started;
    },
    async addContext(name, cluster, flags) {
      const add = [
        'kubeconfig',
        'add',
        name,
        '--server',
        cluster.server,
        '--cluster-certificate-authority',
        cluster.caFile,
      ];
      const { code, stderr } = await person.run('kleis', [
        ...add,
        '--current',
        '--offline',
        '--kubeconfig',
        kubeconfig,
        ...flags,
      ]);
      if (code !== 0) throw new Error(`kleis kubeconfig add ends with ${code}: ${stderr}`);
    },
    async writeConfig(rest) {
      await mkdir(path('.config/kleis'), { recursive: true });
      await writeFile(path('.config/kleis/config.yaml'), stringify({ browserCommand: [join(bin, 'browse')], ...rest }));
    },
    async behave(change) {
      browsing = { ...browsing, ...change };
      await writeFile(path('browser.json'), JSON.stringify(browsing));
    },
    windows: () => linesOf(path('browser.log')),
    nodeStarts: async () => (await linesOf(path('node.log'))).length,
    async remove() {
      // Of a test that failed; nothing of it may meet the next one.
      for (const program of running) program.kill('SIGKILL');
      await rm(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  await person.behave({});
  await person.writeConfig(config);
  return person;
}

/** Links to the programs under the names that npm gives them. */
export async function installPrograms(dist: string, bin: string): Promise<void> {
  const programs = {
    kleis: 'kleis.js',
    'kubectl-kleis': 'kleis.js',
    'kubectl_complete-kleis': 'kubectl_complete-kleis.js',
    'kleis-broker': 'kleis-broker.js',
    'kleis-get-token': 'kleis-get-token.js',
    'kleis-credential': 'kleis-credential',
  };
  for (const [name, file] of Object.entries(programs)) await symlink(join(dist, file), join(bin, name));
}

async function writeProgram(path: string, body: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}

async function linesOf(path: string): Promise<string[]> {
  return existsSync(path) ? (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '') : [];
}

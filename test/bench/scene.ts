import { chmodSync, cpSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBrowser } from '../support/build-program.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { startProvider, type TestProvider } from '../support/provider.ts';
import { run, start } from '../support/run.ts';

/** A credential plugin as kubectl would run it, and where what it keeps has a certain state. */
export interface Call {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Brings that state back after a run has changed it. */
  readonly prepare?: () => void;
}

/** One person, a provider and a cluster that believes it, and the plugins that have signed the person in. */
export interface Scene {
  readonly person: Person;
  readonly cluster: Cluster;
  readonly kleis: {
    /** A valid credential, and ten of other clusters, in memory as $XDG_RUNTIME_DIR is; on a disk where there is no such. */
    readonly cached: Call;
    /** The same on a disk: without $XDG_RUNTIME_DIR, as in containers and on macOS. */
    readonly cachedOnDisk: Call;
    /** In memory, where the entries of all clusters have one length: the launcher tells files apart by lengths first. */
    readonly cachedAlike: Call;
    /** A valid session and no credential yet. */
    readonly session: Call;
    /** The token has ended; the provider must be asked. */
    readonly expired: Call;
  };
  /** int128's plugin, where this machine has it. */
  readonly kubelogin: { readonly cached: Call; readonly expired: Call } | undefined;
  /** An ExecCredential with a valid token, and a script that prints it with `cat`. */
  readonly script: string;
  readonly token: string;
  /**
   * Shell code that asks for two clusters in turn. A process that asks twice for one while its token is valid has very
   * likely been refused with it (401), and is answered in another way.
   */
  readonly inTurn: string;
  /** How often the provider was asked to refresh. */
  refreshes(): number;
  end(): Promise<void>;
}

// A file system in memory.
const memory = '/dev/shm';
const scopes = ['email', 'groups', 'offline_access'];
// Seconds: long enough for a sign-in on a busy machine.
const shortLife = 3;
const others = 10;

// Whatever of them is there is undone when somebody interrupts the benchmark.
const scenes = new Set<() => Promise<void>>();
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.once(
    signal,
    () => void Promise.allSettled([...scenes].map((end) => end())).finally(() => process.exit(128 + number)),
  );
}

/**
 * @param dist the folder with a build of the programs
 * @param kubelogin the path of int128's plugin, if it is to sign in too
 */
export async function createScene(dist: string, kubelogin?: string): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-bench-'));
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })];
  // Once, whoever asks: the end of the benchmark and an interruption may meet.
  let ending: Promise<void> | undefined;
  const undoAll = async () => {
    for (const step of undo.toReversed()) await step();
  };
  const end = () => (ending ??= undoAll());
  scenes.add(end);
  try {
    const authority = await createAuthority();
    const tls = { ...(await authority.issueServer(['localhost'])), ca: authority.cert };
    // Without rotation a kept session can be refreshed any number of times; for a client it is the same work.
    const lifetimes = { idToken: shortLife };
    const provider = await startProvider({ tls, lifetimes, rotate: false, refreshTokens: 'always' });
    undo.push(() => provider.stop());
    const oidc = { issuerUrl: provider.issuer, clientId: 'kleis', caPem: authority.cert };
    const cluster = await startCluster({ kind: 'stand-in', oidc });
    undo.push(() => cluster.stop());
    const browser = join(folder, 'browser.mjs');
    await buildBrowser(browser);
    const config = { redirectUri: 'http://127.0.0.1:0/callback', login: 'browser', cache: 'file' };
    const person = await createPerson({ dist: resolve(dist), browser, providerCa: authority.cert, config });
    undo.push(() => person.remove());

    const base = {
      ...person.env,
      // Without the person's `node`, a script that counts its starts.
      PATH: [dirname(process.execPath), '/usr/bin', '/bin'].join(':'),
      KUBERNETES_EXEC_INFO: execInfo(cluster.server, cluster.caPem),
    };
    const cache = existsSync(memory) ? await mkdtemp(join(memory, 'kleis-bench-')) : join(person.home, 'memory');
    undo.push(() => rm(cache, { recursive: true, force: true }));
    const stage: Stage = { person, provider, base, cache };
    const signedIn = await Promise.all([
      signInWithKleis(stage),
      kubelogin === undefined ? undefined : signInWithKubelogin(stage, kubelogin),
    ]);
    await sleep(shortLife * 1000);
    // Most people have none; what it says is for a sign-in.
    await rm(join(person.home, '.config'), { recursive: true });
    provider.lifetimes.idToken = 3600;
    const kleis = await signedIn[0].continue(cluster);
    const { stdout } = await output(kleis.cached);
    const script = join(folder, 'cat.sh');
    writeFileSync(join(folder, 'credential.json'), stdout);
    writeFileSync(script, `#!/bin/sh\ncat '${join(folder, 'credential.json')}'\n`, { mode: 0o755 });
    return {
      person,
      cluster,
      kleis,
      kubelogin: await signedIn[1]?.continue(),
      script,
      token: tokenOf(stdout),
      inTurn: 'case $i in *[02468]) KUBERNETES_EXEC_INFO=$ONE ;; *) KUBERNETES_EXEC_INFO=$OTHER ;; esac',
      refreshes: () => provider.seen.filter(({ params }) => params['grant_type'] === 'refresh_token').length,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

interface Stage {
  readonly person: Person;
  readonly provider: TestProvider;
  readonly base: Readonly<Record<string, string>>;
  /** Where credentials are kept. */
  readonly cache: string;
}

/** Continues once the token of the sign-in has ended. */
async function signInWithKleis({ person, provider, base, cache }: Stage) {
  const at = (name: string) => join(person.home, name);
  const command = [
    join(person.bin, 'kleis-credential'),
    `--issuer-url=${provider.issuer}`,
    `--certificate-authority=${person.providerCaFile}`,
    ...scopes.map((scope) => `--scope=${scope}`),
  ] as const satisfies Call['command'];
  const call = (folder: string, more = {}): Call => ({ command, env: { ...base, KLEIS_CACHE_DIR: folder, ...more } });
  const expired = call(join(cache, 'ended'), { KLEIS_STATE_DIR: at('ended') });
  await output(expired);
  const folders = [at('ended'), join(cache, 'ended')];
  return {
    async continue({ server, caPem }: Cluster): Promise<Scene['kleis']> {
      for (const folder of folders) copy(folder, `${folder}.kept`);
      copy(at('ended'), at('.local/state/kleis'));
      const fill = async (folder: string, infos: readonly string[]) => {
        for (const info of infos) await output(call(folder, { KUBERNETES_EXEC_INFO: info }));
        const [ONE = '', OTHER = ''] = infos;
        return call(folder, { ONE, OTHER });
      };
      const infos = Array.from({ length: 1 + others }, (_, other) => {
        // Certificates differ in length by a few bytes, so the same length comes again by chance.
        const ca = caPem + ' '.repeat((other % 7) * 3);
        return execInfo(other === 0 ? server : `https://10.${other * 9}.0.1:6443`, ca);
      });
      const alike = infos.map((_, other) => execInfo(`https://10.0.0.${10 + other}:6443`, caPem));
      const fresh = join(cache, 'session');
      return {
        cached: await fill(join(cache, 'cached'), infos),
        cachedOnDisk: await fill(at('cached'), infos),
        cachedAlike: await fill(join(cache, 'alike'), alike),
        session: { ...call(fresh), prepare: () => rmSync(fresh, { recursive: true, force: true }) },
        expired: { ...expired, prepare: () => folders.forEach((folder) => copy(`${folder}.kept`, folder)) },
      };
    },
  };
}

async function signInWithKubelogin({ person, provider, base }: Stage, program: string) {
  const at = (name: string) => join(person.home, name);
  const command = (folder: string) =>
    [
      program,
      'get-token',
      `--oidc-issuer-url=${provider.issuer}`,
      '--oidc-client-id=kleis',
      `--certificate-authority=${person.providerCaFile}`,
      ...scopes.map((scope) => `--oidc-extra-scope=${scope}`),
      '--grant-type=authcode',
      '--listen-address=127.0.0.1:0',
      '--skip-open-browser',
      `--token-cache-dir=${folder}`,
    ] as const satisfies Call['command'];
  const ended = { command: command(at('kubelogin-ended')), env: base };
  const signIn = start(program, ended.command.slice(1), { env: base });
  const [page] = await signIn.waitFor(/http:\/\/localhost:\d+/);
  // Its own server sends the browser on to the provider.
  const { headers } = await fetch(page, { redirect: 'manual' });
  await provider.browser().open(headers.get('location') ?? '');
  tokenOf((await signIn.done).stdout);
  return {
    async continue(): Promise<Scene['kubelogin']> {
      copy(at('kubelogin-ended'), at('kubelogin-ended.kept'));
      copy(at('kubelogin-ended'), at('kubelogin'));
      const cached = { command: command(at('kubelogin')), env: base };
      await output(cached);
      return {
        cached,
        expired: { ...ended, prepare: () => copy(at('kubelogin-ended.kept'), at('kubelogin-ended')) },
      };
    },
  };
}

/** Runs it once to its end; what it prints must be a credential. */
async function output({ command, env }: Call): Promise<{ stdout: string }> {
  const [program, ...args] = command;
  const { code, stdout, stderr } = await run(program, args, { env, timeout: 30_000 });
  if (code !== 0) throw new Error(`${command.join(' ')} ends with ${code}: ${stderr}`);
  tokenOf(stdout);
  return { stdout };
}

export function tokenOf(credential: string): string {
  const { status } = JSON.parse(credential) as { status: { token: string } };
  if (typeof status.token !== 'string') throw new Error('a credential without a token');
  return status.token;
}

/** As client-go writes it; the authority's certificate makes it a kilobyte long. */
function execInfo(server: string, caPem: string): string {
  const cluster = { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64'), config: null };
  const spec = { cluster, interactive: false };
  return `${JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', spec })}\n`;
}

/** With modification times, which say how long a credential is fresh. */
function copy(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, preserveTimestamps: true });
  // Node 24 does not keep the modes of folders, and a folder that others can enter is refused.
  chmodSync(to, statSync(from).mode);
  for (const name of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    const { mode } = statSync(join(from, name));
    chmodSync(join(to, name), mode);
  }
}

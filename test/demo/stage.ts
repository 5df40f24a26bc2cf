import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority } from '../support/certificates.ts';
import { startCluster, type Cluster, type ClusterOidc } from '../support/cluster.ts';
import { installPrograms } from '../support/kleis.ts';
import { startProvider, type TestProvider } from '../support/provider.ts';
import { findTool } from '../support/tools.ts';
import { createCommands, type Commands } from './commands.ts';

/** Everything that the story is played with. */
export interface Stage {
  readonly provider: TestProvider;
  /** The reader's own API server, if they have named one, else the stand-in. */
  readonly cluster: Cluster;
  readonly second: Cluster;
  readonly home: string;
  /** Only what the programs need, and nothing of the reader's. */
  readonly env: Readonly<Record<string, string>>;
  readonly commands: Commands;
  readonly kubectl: Kubectl | undefined;
  /** In the home. */
  readonly providerCaFile: string;
  /** The user code of the last sign-in with a device code that has begun; waits for it. */
  userCode(): Promise<string>;
  end(): Promise<void>;
}

export interface Kubectl {
  readonly program: string;
  readonly version: string;
}

export interface StageOptions {
  /** Where everything is; removed by whoever made it. */
  readonly root: string;
  /** The reader's own browser signs in: then nothing may need our certificate authority. */
  readonly realBrowser: boolean;
  /** What happens when Kleis opens a browser. */
  readonly onBrowser: (url: string) => void;
  readonly interrupted: AbortSignal;
}

/** Starts the servers and makes the home. What had started when this fails or is interrupted is stopped. */
export async function setStage({ root, realBrowser, onBrowser, interrupted }: StageOptions): Promise<Stage> {
  const ends: (() => Promise<void> | void)[] = [];
  const end = async () => {
    for (const each of ends.splice(0).toReversed()) await each();
  };
  try {
    const userCodes = createMailbox<string>();
    const authority = await createAuthority('Kleis demo CA');
    const tls = { ...(await authority.issueServer(['localhost'])), ca: authority.cert };
    const provider = await startProvider({
      // A browser would warn of a certificate of ours. http is fine on loopback for everybody but kube-apiserver.
      ...(realBrowser ? {} : { tls }),
      quirks: { before: (_request, response, path) => tellUserCode(response, path, userCodes.put) },
    });
    ends.push(() => provider.stop());

    const oidc: ClusterOidc = {
      issuerUrl: provider.issuer,
      clientId: 'kleis',
      caPem: authority.cert,
      usernameClaim: 'email',
    };
    const kind = !realBrowser && findTool('kube') !== undefined ? '1.36' : 'stand-in';
    // All of them settle before anything is stopped: what is still starting could not be.
    const started = await Promise.allSettled([startCluster({ kind, oidc }), startCluster({ kind: 'stand-in', oidc })]);
    for (const each of started) if (each.status === 'fulfilled') ends.push(() => each.value.stop());
    const [cluster, second] = started.map((each) => {
      if (each.status === 'rejected') throw each.reason;
      return each.value;
    });
    if (cluster === undefined || second === undefined) throw new Error('no cluster');

    const home = join(root, 'home');
    const env = await makeHome(home, [
      [cluster.caPem, 'cluster-ca.crt'],
      [second.caPem, 'second-ca.crt'],
      [authority.cert, 'provider-ca.crt'],
    ]);
    const watcher = watchBrowser(join(home, 'browser.urls'), onBrowser);
    ends.push(() => clearInterval(watcher));
    const commands = createCommands(env, home, interrupted);
    ends.push(() => commands.end());
    return {
      provider,
      cluster,
      second,
      home,
      env,
      commands,
      kubectl: await findKubectl(commands),
      providerCaFile: 'provider-ca.crt',
      userCode: userCodes.take,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function makeHome(home: string, files: readonly (readonly [text: string, name: string])[]) {
  const path = (name: string) => join(home, name);
  for (const folder of ['bin', 'run', '.config/kleis']) await mkdir(path(folder), { recursive: true, mode: 0o700 });
  await installPrograms(resolve('dist'), path('bin'));
  // Hands the address to us, who know which browser to open.
  await writeFile(path('browse'), `printf '%s\\n' "$1" >>'${path('browser.urls')}'\n`);
  for (const [text, name] of files) await writeFile(path(name), text);
  const config = {
    browserCommand: ['/bin/sh', path('browse')],
    login: 'browser',
    // A keyring belongs to the reader, and so does port 8000.
    cache: 'file',
    redirectUri: 'http://127.0.0.1:0/callback',
  };
  await writeFile(path('.config/kleis/config.yaml'), stringify(config));
  const kept = ['TERM', 'LANG', 'LC_ALL', 'LC_CTYPE', 'NO_COLOR', 'FORCE_COLOR', 'TMPDIR'] as const;
  const { env } = process;
  return {
    ...Object.fromEntries(kept.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
    HOME: home,
    XDG_RUNTIME_DIR: path('run'),
    KUBECONFIG: path('.kube/config'),
    PATH: [path('bin'), dirname(process.execPath), env['PATH'] ?? '/usr/bin:/bin'].join(delimiter),
  };
}

/** A kubectl that works with a home of ours: what a version manager puts in its place may need the reader's. */
async function findKubectl(commands: Commands): Promise<Kubectl | undefined> {
  for (const name of ['kubectl', 'kubectl-new'] as const) {
    const program = findTool(name);
    if (program === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- the second only if the first does not work
    const { code, stdout } = await commands.run([program, 'version', '--client', '-o', 'json']);
    const version = code === 0 ? /"gitVersion": *"(v[^"]+)"/.exec(stdout)?.[1] : undefined;
    if (version !== undefined) return { program, version };
  }
  return undefined;
}

function watchBrowser(file: string, onBrowser: (url: string) => void): NodeJS.Timeout {
  let seen = 0;
  return setInterval(() => {
    readFile(file, 'utf8').then(
      (text) => {
        const urls = text.split('\n').slice(0, -1);
        for (const url of urls.slice(seen)) onBrowser(url);
        seen = Math.max(seen, urls.length);
      },
      () => undefined,
    );
  }, 50);
}

type Response = Parameters<NonNullable<TestProvider['quirks']['before']>>[1];

/** The demo plays the person with the phone, who reads the code off the screen. */
function tellUserCode(response: Response, path: string, tell: (code: string) => void): false {
  if (path !== '/device/auth') return false;
  const end = response.end.bind(response);
  response.end = ((body?: unknown, ...rest: never[]) => {
    const code = /"user_code":"([^"]+)"/.exec(String(body))?.[1];
    if (code !== undefined) tell(code);
    return end(body, ...rest);
  }) as typeof response.end;
  return false;
}

function createMailbox<T>(): { put: (value: T) => void; take: () => Promise<T> } {
  const [letters, readers]: [T[], ((value: T) => void)[]] = [[], []];
  return {
    put(value) {
      const reader = readers.shift();
      if (reader) reader(value);
      else letters.push(value);
    },
    take: () =>
      new Promise((read) => {
        const [letter] = letters.splice(0, 1);
        if (letter === undefined) readers.push(read);
        else read(letter);
      }),
  };
}

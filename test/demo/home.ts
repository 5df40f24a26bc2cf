import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { installPrograms } from '../support/kleis.ts';
import { findTool } from '../support/tools.ts';
import { createCommands, type Commands } from './commands.ts';
import type { House } from './house.ts';

/** A throw-away home with the programs as npm installs them: somebody's machine, or the runner of a job. */
export interface Home {
  readonly folder: string;
  /** Only what the programs need, and nothing of the reader's. */
  readonly env: Readonly<Record<string, string>>;
  /** They run in the home. */
  readonly commands: Commands;
  /** How many browser windows Kleis has opened. */
  readonly windows: () => number;
}

export interface HomeOptions {
  /** By name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Beside what every home has. */
  readonly env?: Readonly<Record<string, string>>;
  /** What happens when Kleis opens a browser. */
  readonly onBrowser?: (url: string) => void;
}

export async function makeHome(
  house: Pick<House, 'root' | 'interrupted' | 'keep' | 'programs'>,
  name: string,
  { files = {}, env: more, onBrowser }: HomeOptions = {},
): Promise<Home> {
  const { interrupted } = house;
  const folder = join(house.root, name);
  const path = (inner: string) => join(folder, inner);
  await house.programs;
  for (const inner of ['bin', 'run', '.config/kleis']) await mkdir(path(inner), { recursive: true, mode: 0o700 });
  await installPrograms(resolve('dist'), path('bin'));
  // Hands the address to us, who know which browser to open.
  await writeFile(path('browse'), `printf '%s\\n' "$1" >>'${path('browser.urls')}'\n`);
  for (const [file, text] of Object.entries(files)) await writeFile(path(file), text, { mode: 0o600 });
  const config = {
    browserCommand: ['/bin/sh', path('browse')],
    login: 'browser',
    // A keyring belongs to the reader, and so does port 8000.
    cache: 'file',
    redirectUri: 'http://127.0.0.1:0/callback',
  };
  await writeFile(path('.config/kleis/config.yaml'), stringify(config));
  const kept = ['TERM', 'LANG', 'LC_ALL', 'LC_CTYPE', 'NO_COLOR', 'FORCE_COLOR', 'TMPDIR'] as const;
  const env = {
    ...Object.fromEntries(kept.flatMap((each) => (process.env[each] === undefined ? [] : [[each, process.env[each]]]))),
    HOME: folder,
    XDG_RUNTIME_DIR: path('run'),
    KUBECONFIG: path('.kube/config'),
    PATH: [path('bin'), dirname(process.execPath), process.env['PATH'] ?? '/usr/bin:/bin'].join(delimiter),
    ...more,
  };
  const commands = createCommands(env, folder, interrupted);
  const watcher = watchBrowser(path('browser.urls'), onBrowser);
  void house.keep(Promise.resolve(), () => {
    watcher.stop();
    commands.end();
  });
  return { folder, env, commands, windows: watcher.count };
}

export interface Kubectl {
  readonly program: string;
  readonly version: string;
}

/** A kubectl that works with a home of ours: what a version manager puts in its place may need the reader's. */
export async function findKubectl(house: House): Promise<Kubectl | undefined> {
  const { commands } = await makeHome(house, 'nobody');
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

function watchBrowser(file: string, onBrowser: HomeOptions['onBrowser']): { count: () => number; stop: () => void } {
  let seen = 0;
  const timer = setInterval(() => {
    readFile(file, 'utf8').then(
      (text) => {
        const urls = text.split('\n').slice(0, -1);
        const from = seen;
        seen = Math.max(seen, urls.length);
        for (const url of urls.slice(from)) onBrowser?.(url);
      },
      () => undefined,
    );
  }, 50);
  return { count: () => seen, stop: () => clearInterval(timer) };
}

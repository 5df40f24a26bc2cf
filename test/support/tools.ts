import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

interface Tool {
  readonly what: string;
  /** How somebody gets it. */
  readonly get: string;
  /** A path: of the program or, for the servers, of the folder. */
  readonly find: () => string | undefined;
}

const debian = (...names: string[]) => `apt-get install -y --no-install-recommends ${names.join(' ')}`;
const envtest = 'KUBEBUILDER_ASSETS="$(setup-envtest use -p path 1.36)"';

/** Everything that a test may need and a machine may lack. */
export const tools = {
  kubectl: { what: 'kubectl', get: 'put a kubectl on PATH', find: () => onPath('kubectl') },
  'kubectl-new': { what: 'kubectl 1.36 in KUBEBUILDER_ASSETS', get: envtest, find: () => asset('kubectl') },
  kube: {
    what: 'a real kube-apiserver 1.36 and etcd in KUBEBUILDER_ASSETS',
    get: envtest,
    find: () => folderWith('etcd', 'kube-apiserver'),
  },
  'kube-1.30': {
    what: 'kube-apiserver 1.30 in KUBEBUILDER_ASSETS/1.30',
    get: 'copy kube-apiserver of `setup-envtest use 1.30` to $KUBEBUILDER_ASSETS/1.30/',
    find: () => folderWith('etcd', '1.30/kube-apiserver'),
  },
  'kube-controllers': {
    what: 'kube-controller-manager in KUBEBUILDER_ASSETS',
    get: 'copy kube-controller-manager of the same release to $KUBEBUILDER_ASSETS/',
    find: () => folderWith('etcd', 'kube-apiserver', 'kube-controller-manager'),
  },
  kubelogin: {
    what: "int128's kubelogin",
    get: 'put it on PATH or into KUBEBUILDER_ASSETS',
    find: () => onPath('kubelogin') ?? onPath('kubectl-oidc_login') ?? asset('kubelogin'),
  },
  git: { what: 'git', get: debian('git'), find: () => onPath('git') },
  chromium: {
    what: 'Chromium',
    get: debian('chromium'),
    find: () => onPath('chromium') ?? onPath('chromium-browser') ?? onPath('google-chrome'),
  },
  'secret-service': {
    what: 'a Secret Service (dbus-run-session, gnome-keyring-daemon, libsecret)',
    get: debian('dbus', 'gnome-keyring', 'libglib2.0-bin', 'libsecret-1-0', 'libsecret-tools'),
    find: () =>
      onPath('gnome-keyring-daemon') && onPath('secret-tool') && onPath('gdbus') && hasLibrary('libsecret-1.so.0')
        ? onPath('dbus-run-session')
        : undefined,
  },
  shellcheck: { what: 'shellcheck', get: debian('shellcheck'), find: () => onPath('shellcheck') },
  actionlint: {
    what: 'actionlint',
    get: 'go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12',
    find: () => onPath('actionlint'),
  },
  helm: { what: 'helm 3', get: 'https://helm.sh/docs/intro/install, on PATH', find: () => onPath('helm') },
  krew: {
    what: 'krew',
    get: 'https://krew.sigs.k8s.io/docs/user-guide/setup/install, as krew on PATH',
    find: () => onPath('krew'),
  },
  mmdebstrap: { what: 'mmdebstrap', get: debian('mmdebstrap'), find: () => onPath('mmdebstrap') },
  ruby: { what: 'ruby', get: debian('ruby'), find: () => onPath('ruby') },
  umoci: { what: 'umoci', get: debian('umoci'), find: () => onPath('umoci') },
  skopeo: { what: 'skopeo', get: debian('skopeo'), find: () => onPath('skopeo') },
  runc: { what: 'runc', get: debian('runc'), find: () => onPath('runc') ?? sbin('runc') },
  'docker-registry': {
    what: 'docker-registry',
    get: debian('docker-registry'),
    find: () => onPath('docker-registry'),
  },
  prometheus: { what: 'Prometheus', get: debian('prometheus'), find: () => onPath('prometheus') },
  promtool: { what: 'promtool', get: debian('prometheus'), find: () => onPath('promtool') },
  dash: { what: 'dash', get: debian('dash'), find: () => onPath('dash') },
  bash: { what: 'bash', get: debian('bash'), find: () => onPath('bash') },
  busybox: { what: 'busybox', get: debian('busybox'), find: () => onPath('busybox') },
  ksh: { what: 'ksh', get: debian('ksh'), find: () => onPath('ksh') },
  zsh: { what: 'zsh', get: debian('zsh'), find: () => onPath('zsh') },
  fish: { what: 'fish', get: debian('fish'), find: () => onPath('fish') },
  mandoc: { what: 'mandoc', get: debian('mandoc'), find: () => onPath('mandoc') },
  tmux: { what: 'tmux', get: debian('tmux'), find: () => onPath('tmux') },
  logrotate: { what: 'logrotate', get: debian('logrotate'), find: () => onPath('logrotate') ?? sbin('logrotate') },
  strace: { what: 'strace', get: debian('strace'), find: () => onPath('strace') },
  script: {
    what: 'script (a terminal without a terminal), and a pseudo-terminal (/dev/pts) for it',
    get: `${debian('bsdutils')}, and mount devpts`,
    find: () => withTerminal(onPath('script')),
  },
  mount: { what: 'the right to mount a tmpfs', get: 'run as root outside a locked-down container', find: mounts },
  pods: {
    what: 'root, and what makes a root and a network for a pod (unshare, nsenter, setpriv, ip)',
    get: `${debian('util-linux', 'iproute2')}, and run as root outside a locked-down container`,
    find: () => (mounts() === undefined ? undefined : withNetwork()),
  },
} as const satisfies Record<string, Tool>;

export type Need = keyof typeof tools;

const found = new Map<Need, string | undefined>();

/** The path of a tool of this machine; `undefined` if it is not there. */
export function findTool(name: Need): string | undefined {
  if (!found.has(name)) found.set(name, tools[name].find());
  return found.get(name);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A `script` that cannot open a terminal is none. */
function withTerminal(script: string | undefined): string | undefined {
  if (script === undefined) return undefined;
  return spawnSync(script, ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0 ? script : undefined;
}

/** Where a network of its own can be made, and a user be changed to. */
function withNetwork(): string | undefined {
  const [unshare, ...others] = ['unshare', 'nsenter', 'setpriv', 'ip'].map((each) => onPath(each) ?? sbin(each));
  if (unshare === undefined || others.includes(undefined)) return undefined;
  const tried = spawnSync(unshare, ['--net', '--mount', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' });
  return tried.status === 0 ? unshare : undefined;
}

function onPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, program)).find(executable);
}

/** Where a person's PATH may not lead. */
function sbin(program: string): string | undefined {
  const path = join('/usr/sbin', program);
  return executable(path) ? path : undefined;
}

function asset(name: string): string | undefined {
  const folder = process.env['KUBEBUILDER_ASSETS'] ?? '';
  const path = join(folder, name);
  return folder !== '' && executable(path) ? path : undefined;
}

function folderWith(...names: readonly string[]): string | undefined {
  return names.every((name) => asset(name) !== undefined) ? process.env['KUBEBUILDER_ASSETS'] : undefined;
}

function hasLibrary(name: string): boolean {
  const folders = ['/usr/lib64', '/lib64', '/usr/local/lib', '/usr/lib'];
  if (existsSync('/usr/lib')) {
    // Debian keeps libraries in a folder named after the machine, such as x86_64-linux-gnu.
    folders.push(
      ...readdirSync('/usr/lib')
        .filter((entry) => entry.includes('-linux-'))
        .map((entry) => join('/usr/lib', entry)),
    );
  }
  return folders.some((folder) => existsSync(join(folder, name)));
}

function mounts(): string | undefined {
  const mount = onPath('mount');
  // Without /proc what is mounted cannot be taken away.
  if (mount === undefined || process.getuid?.() !== 0 || !existsSync('/proc/self/mountinfo')) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'kleis-mount-'));
  try {
    if (spawnSync(mount, ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status !== 0) return undefined;
    spawnSync('umount', [folder]);
    return mount;
  } finally {
    rmdirSync(folder);
  }
}

import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** An image of this machine's architecture, unpacked: `rootfs/`, and `config.json` with how it is started. */
export interface Bundle {
  readonly folder: string;
}

export interface Mount {
  /** A file or folder of this machine, or `tmpfs`. */
  readonly source: string;
  readonly target: string;
  /** `ro` unless given; of tmpfs its options, such as `size=64k`. */
  readonly options?: readonly string[];
}

/** What stands in a pod's container, in place of what the image says. */
export interface ContainerOptions {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** Beside those of the image. */
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  readonly user?: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  /** Unless it is false. */
  readonly readOnlyRoot?: boolean;
  /** Path of the network namespace; this machine's own unless given. */
  readonly netns?: string;
}

/** A container that is laid out and not started yet. */
export interface Container {
  readonly id: string;
  /** Program and arguments that run it until it ends, with its streams and its exit code; it gets the signals of that program. */
  readonly run: readonly [program: string, ...args: string[]];
  /** Ends what is left of it. */
  remove(): void;
}

/** What Docker, containerd and CRI-O forbid unless told otherwise; skopeo and buildah bring it along. */
const seccompFile = '/usr/share/containers/seccomp.json';

/** Unpacks an archive of `makeImages`, as root. */
export function unpack(archive: string, name: string, into: string): Bundle {
  mkdirSync(into, { recursive: true });
  const layout = join(into, 'layout');
  execFileSync('skopeo', ['copy', '--quiet', `oci-archive:${archive}:${name}`, `oci:${layout}:image`]);
  const folder = join(into, 'bundle');
  execFileSync('umoci', ['unpack', '--image', `${layout}:image`, folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  return { folder };
}

/**
 * Lays out a container as a cluster runs a pod of the `restricted` standard: no capability, no new privileges, the
 * runtime's seccomp profile, a root that cannot be written. Needs root.
 */
export function createContainer({ folder }: Bundle, into: string, options: ContainerOptions = {}): Container {
  const id = `kleis-${randomUUID()}`;
  const own = resolve(into, id);
  mkdirSync(own);
  // runc makes the places of mounts in it, and another container is not to find them.
  execFileSync('cp', ['-al', join(folder, 'rootfs'), join(own, 'rootfs')]);
  writeFileSync(join(own, 'config.json'), JSON.stringify(specOf(join(folder, 'config.json'), options)));
  const runc = (...words: string[]): readonly [string, ...string[]] => ['runc', '--root', join(own, 'state'), ...words];
  return {
    id,
    run: runc('run', '--bundle', own, id),
    remove() {
      const [program, ...args] = runc('delete', '--force', id);
      execFileSync(program, args, { stdio: 'ignore' });
    },
  };
}

interface Spec {
  process: {
    args: readonly string[];
    env: readonly string[];
    user: object;
    terminal: boolean;
    capabilities: object;
    rlimits: readonly object[];
  };
  root: { path: string; readonly: boolean };
  mounts: readonly { readonly destination: string }[];
  linux: { namespaces: readonly { readonly type: string; readonly path?: string }[]; seccomp?: object };
}

function specOf(file: string, options: ContainerOptions): Spec {
  const { command, args, env, mounts = [], user, readOnlyRoot = true, netns } = options;
  const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec;
  const { process, root, linux } = spec;
  const [entrypoint = '', ...cmd] = process.args;
  process.args = command === undefined ? [entrypoint, ...(args ?? cmd)] : [...command, ...(args ?? [])];
  process.env = [
    ...process.env.filter((each) => !each.startsWith('TERM=')),
    ...Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`),
  ];
  if (user !== undefined) process.user = user;
  process.terminal = false;
  process.capabilities = {};
  process.rlimits = [];
  root.readonly = readOnlyRoot;
  const others = linux.namespaces.filter(({ type }) => type !== 'network');
  linux.namespaces = [...others, ...(netns === undefined ? [] : [{ type: 'network', path: netns }])];
  if (existsSync(seccompFile)) linux.seccomp = seccomp();
  spec.mounts = [
    ...spec.mounts.filter(({ destination }) => destination !== '/sys/fs/cgroup'),
    ...mounts.map(({ source, target, options: how = ['ro'] }) =>
      source === 'tmpfs'
        ? { destination: target, type: 'tmpfs', source, options: ['nosuid', 'nodev', 'noexec', ...how] }
        : { destination: target, type: 'bind', source, options: ['rbind', ...how] },
    ),
  ];
  return spec;
}

interface Profile {
  readonly archMap: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly args: readonly object[] | null;
    readonly errnoRet?: number;
    readonly includes: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
    readonly excludes: { readonly arches?: readonly string[] };
  }[];
  readonly [rest: string]: unknown;
}

/** That profile as runc takes it, for a container without capabilities on this machine. */
function seccomp(): object {
  const { archMap, syscalls, defaultAction, defaultErrnoRet } = JSON.parse(readFileSync(seccompFile, 'utf8')) as Profile;
  const own = process.arch === 'x64' ? 'amd64' : process.arch;
  const isOurs = ({ includes, excludes }: Profile['syscalls'][number]) =>
    includes.caps === undefined && (includes.arches ?? [own]).includes(own) && !(excludes.arches ?? []).includes(own);
  const native = own === 'amd64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64';
  const { architecture, subArchitectures } = archMap.find((each) => each.architecture === native)!;
  return {
    defaultAction,
    defaultErrnoRet,
    architectures: [architecture, ...subArchitectures],
    syscalls: syscalls
      .filter(isOurs)
      .map(({ names, action, args, errnoRet }) => ({ names, action, args: args ?? [], errnoRet })),
  };
}

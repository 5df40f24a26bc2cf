import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runtime } from './kubelet.ts';
import { start } from './run.ts';

// Each in turn becomes the next, so that the process which was started is the program's own.
const script = `
set -eu
root=$1 dist=$2 node=$3 mode=$4 mounts=$5
shift 5
mount -t tmpfs -o mode=0755 tmpfs "$root"
mkdir -p "$root/usr" "$root/dev" "$root/proc" "$root/etc" "$root/tmp" "$root/programs"
mount --rbind /usr "$root/usr"
for each in bin sbin lib lib64; do
  if [ -L "/$each" ]; then ln -s "usr/$each" "$root/$each"
  elif [ -d "/$each" ]; then mkdir "$root/$each"; mount --rbind "/$each" "$root/$each"; fi
done
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
for each in null urandom; do : > "$root/dev/$each"; mount --bind "/dev/$each" "$root/dev/$each"; done
printf '127.0.0.1 localhost\\n' > "$root/etc/hosts"
mkdir "$root/programs/dist" "$root/programs/bin"
mount --bind "$dist" "$root/programs/dist"
: > "$root/programs/bin/node"
mount --bind "$node" "$root/programs/bin/node"
for each in kleis kleis-broker kleis-get-token; do ln -s "../dist/$each.js" "$root/programs/bin/$each"; done
while [ "$mounts" -gt 0 ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
  shift 3
  mounts=$((mounts - 1))
done
[ "$mode" = rw ] || mount -o remount,ro "$root"
cd /
exec chroot "$root" "$@"
`;

/**
 * Runs what is asked for by the name that an image gives it, out of `dist`: a root that has this machine's /usr, Node and
 * nothing else, as the user, groups and capabilities that the pod says. What an image does not have is not missed here.
 */
export function inChroot(dist: string): Runtime {
  return async (task) => {
    const root = await mkdtemp(join(tmpdir(), 'kleis-root-'));
    const mounts = task.mounts.flatMap(({ source, path, readOnly }) => [source, path, readOnly ? 'ro' : 'rw']);
    const rights = [
      ...['--reuid', String(task.user), '--regid', String(task.group), '--pdeathsig', 'KILL'],
      ...(task.groups.length > 0 ? ['--groups', task.groups.join(',')] : ['--clear-groups']),
      ...(task.noNewPrivileges ? ['--no-new-privs'] : []),
      ...(task.dropAll ? ['--bounding-set', '-all', '--inh-caps', '-all'] : []),
    ];
    const command = [...(task.command ?? ['kleis-broker']), ...(task.args ?? [])];
    const running = start(
      'nsenter',
      [
        ...[`--net=${task.netns}`, 'unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'],
        ...[root, dist, process.execPath, task.readOnlyRoot ? 'ro' : 'rw', String(task.mounts.length)],
        ...[...mounts, 'setpriv', ...rights, '--', ...command],
      ],
      { env: { ...task.env, PATH: '/programs/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: 3_600_000 },
    );
    const remove = () => void rmdir(root).catch(() => undefined);
    running.done.then(remove, remove);
    return running;
  };
}

import { readFileSync } from 'node:fs';
import type { Deps } from '../surroundings.ts';

/** How a container gives the broker more than it needs, and what to do about it. */
export interface ContainerFault {
  readonly fault: string;
  readonly next: string;
}

/**
 * What whoever breaks into the broker would have to thank its container for; nothing outside of one. A container is where
 * `container` is set, as our image, Podman and systemd do (https://systemd.io/CONTAINER_INTERFACE), and every pod of
 * Kubernetes. `mounts`: the file in which Linux says what is mounted for this process.
 */
export function containerFaults(
  { env, user }: Pick<Deps, 'env' | 'user'>,
  mounts = '/proc/self/mountinfo',
): ContainerFault[] {
  if (!env['container'] && !env['KUBERNETES_SERVICE_HOST']) return [];
  const faults: ContainerFault[] = [];
  if (user === 0) {
    const next =
      'Run it as the user of the image, 65532. In a pod: securityContext with runAsNonRoot: true, runAsUser: 65532.';
    faults.push({ fault: 'the broker runs as root', next });
  }
  if (isRootWritable(mounts)) {
    const next =
      'It writes no file there. In a pod: readOnlyRootFilesystem: true in the securityContext; Docker and Podman: --read-only.';
    faults.push({ fault: 'the root file system can be written', next });
  }
  return faults;
}

const isReadOnly = (options: string | undefined) => options?.split(',')[0] === 'ro';

/** Whether `/` was mounted to be written, by whoever has the right to. False where nobody can tell. proc(5), mountinfo. */
function isRootWritable(mounts: string): boolean {
  let text: string;
  try {
    text = readFileSync(mounts, 'utf8');
  } catch {
    return false;
  }
  // 65 43 254:0 / / ro,relatime - overlay overlay rw,…; of two on one place the later one hides the other.
  const root = text.split('\n').findLast((line) => line.split(' ')[4] === '/');
  if (root === undefined) return false;
  const [own = '', whole = ''] = root.split(' - ');
  return !isReadOnly(own.split(' ')[5]) && !isReadOnly(whole.split(' ')[2]);
}

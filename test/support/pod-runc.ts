import { type Bundle, createContainer } from '../../broker/deploy/image/container.ts';
import type { Runtime } from './kubelet.ts';
import { start } from './run.ts';

/** Runs what is asked for out of an image that is unpacked; `into` is a folder for the containers. */
export function inRunc(bundle: Bundle, into: string): Runtime {
  return async ({ command, args, env, mounts, user, group, groups, readOnlyRoot, netns }) => {
    const container = createContainer(bundle, into, {
      ...(command !== undefined && { command }),
      ...(args !== undefined && { args }),
      env,
      mounts: mounts.map(({ source, path, readOnly }) => ({ source, target: path, options: [readOnly ? 'ro' : 'rw'] })),
      user: { uid: user, gid: group, additionalGids: groups },
      readOnlyRoot,
      netns,
    });
    const [program, ...words] = container.run;
    const running = start(program, words, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: 3_600_000 });
    running.done.then(
      () => container.remove(),
      () => container.remove(),
    );
    return running;
  };
}

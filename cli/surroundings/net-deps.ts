import type { FetchOptions } from '../../shared/net/http.ts';
import type { Deps } from './deps.ts';

/** What every request takes from the surroundings: variables, the clock, the ear for Ctrl-C, and where to say that it takes its time. */
export function netDeps({ env, clock, report, signal }: Pick<Deps, 'env' | 'clock' | 'report' | 'signal'>) {
  return {
    env,
    now: () => clock.now(),
    debug: (text) => report.debug(text),
    waiting: (host) => report.waiting(host),
    signal,
  } satisfies Partial<FetchOptions>;
}

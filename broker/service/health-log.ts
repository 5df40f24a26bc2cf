import type { Logger } from 'pino';
import type { Clock } from '../surroundings.ts';
import type { Health } from './health.ts';

export interface HealthWatch {
  readonly assess: () => Health;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** What to say with `ready`. */
  readonly facts: () => object;
  /** Aborted when the broker is to end. */
  readonly signal: AbortSignal;
}

/** Milliseconds from one look to the next, before the broker is ready for the first time and after. */
const lookEvery = { first: 5, later: 500 };

/**
 * Says in the log what `/readyz` says: one line when something turns bad, in the same words, and one when it is well
 * again; `ready` when the broker is, and `not ready` when it is not any more. What nobody knows yet is neither.
 */
export async function watchHealth({ assess, log, clock, facts, signal }: HealthWatch): Promise<void> {
  const bad = new Set<string>();
  let ready: boolean | undefined;
  while (!signal.aborted) {
    const health = assess();
    const names = new Set(health.checks.map(({ name }) => name));
    for (const name of bad) if (!names.has(name)) bad.delete(name);
    for (const { name, ok, pending, critical, message } of health.checks) {
      if (pending === true || ok !== bad.has(name)) continue;
      if (ok) {
        bad.delete(name);
        log.info({ check: name }, 'well again');
      } else {
        bad.add(name);
        log.warn({ check: name, critical, fault: message }, 'not well');
      }
    }
    if (health.ready && ready !== true) log.info(facts(), 'ready');
    if (!health.ready && ready === true) {
      log.warn({ checks: health.checks.filter(({ critical }) => critical).map(({ name }) => name) }, 'not ready');
    }
    if (health.ready || ready !== undefined) ready = health.ready;
    await clock.sleep(ready === undefined ? lookEvery.first : lookEvery.later, signal).catch(() => undefined);
  }
}

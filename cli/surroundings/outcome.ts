import { exitCodes } from '../../shared/errors.ts';
import type { Deps } from './deps.ts';
import { ToldFailure, toFailure } from './failure.ts';

/** Runs a program to its exit code: what it fails with is told. Never rejects. */
export async function outcomeOf(run: () => Promise<number | void>, deps: Deps): Promise<number> {
  try {
    return (await run()) ?? exitCodes.ok;
  } catch (error) {
    const failure = toFailure(error, deps);
    // Whoever was told a moment ago is spared the same two lines: kubectl runs a plugin that fails up to six times.
    const isClient = (deps.env['KUBERNETES_EXEC_INFO'] ?? '') !== '';
    const isKnown = failure instanceof ToldFailure && isClient && deps.report.level !== 'debug';
    if (!isKnown) deps.report.error(failure);
    return failure.exitCode;
  }
}

import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from './deps.ts';

/** Milliseconds that a person waits for a server while they set something up. */
export const patience = 6_000;

/**
 * What a server is asked, no longer than `patience`. What it answers later is not heard.
 *
 * @param host for people
 * @throws KleisError `provider_unavailable` when that is over, what the work throws, and the reason of the signal
 */
export async function within<T>(host: string, work: Promise<T>, { clock, signal }: Pick<Deps, 'clock' | 'signal'>) {
  const done = new AbortController();
  const late = async (): Promise<never> => {
    await clock.sleep(patience, AbortSignal.any([signal, done.signal]));
    throw new KleisError('provider_unavailable', `${clean(host)} has not answered within ${patience / 1000} seconds.`);
  };
  try {
    return await Promise.race([work, late()]);
  } finally {
    done.abort();
  }
}

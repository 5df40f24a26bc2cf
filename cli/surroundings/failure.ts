import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from './deps.ts';

/** What is not ours to explain is a fault of Kleis; its text may come from outside. */
export function toFailure(error: unknown, deps: Pick<Deps, 'signal'>): KleisError {
  if (error instanceof KleisError) return error;
  if (deps.signal.aborted) return new KleisError('interrupted', 'Interrupted.');
  const text = error instanceof Error ? `${error.name}: ${error.message}` : 'an unknown error';
  return new KleisError('unexpected', `Something happened that Kleis did not foresee: ${clean(text)}`, {
    detail: error instanceof Error ? clean(error.stack, 2000) : 'no stack',
    cause: error,
  });
}

/** The same failure once more, of a program that was told of it a moment ago: the exit code says enough. */
export class ToldFailure extends KleisError {}

import { KleisError } from '../../shared/errors.ts';

/** The KleisError that a promise fails with; whatever else it does fails the test. */
export async function failure(promise: Promise<unknown>): Promise<KleisError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof KleisError) return error;
    throw error;
  }
  throw new Error(`It should have failed and gave ${JSON.stringify(value)}`);
}

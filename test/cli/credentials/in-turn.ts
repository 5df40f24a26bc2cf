import type { Credentials, TurnOptions } from '../../../cli/credentials/cache.ts';
import type { CredentialKey } from '../../../cli/credentials/key.ts';

/** Does the work when its turn has come, as getToken does. */
export async function inTurn<T>(
  credentials: Credentials,
  key: CredentialKey | undefined,
  options: TurnOptions,
  work: () => Promise<T>,
): Promise<T> {
  const turn = await credentials.takeTurn(key, options);
  try {
    return await work();
  } catch (error) {
    turn.fail(error);
    throw error;
  } finally {
    turn.release();
  }
}

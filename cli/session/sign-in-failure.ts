import { isErrorCode, KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';
import { readPrivate, removePrivate, writePrivate } from '../files/private-files.ts';

// Credentials of several clusters wait for one session. When the sign-in of one fails, the others must not each open a
// window of their own: whoever waited for that process, or was started before it failed, takes over its failure.

type Who = Pick<Deps, 'pid' | 'startedAt'>;

/** Leaves what the sign-in of this process failed with, beside the session's claim. */
export async function noteSignInFailure(claimPath: string, who: Who, error: KleisError, now: number): Promise<void> {
  const { code, message, hint } = error;
  // It is a courtesy to those who wait: what prevents it must not hide the failure itself.
  await writePrivate(`${claimPath}.failed`, JSON.stringify({ pid: who.pid, at: now, code, message, hint })).catch(
    () => undefined,
  );
}

/** The failure that is also this process's. */
export async function findSignInFailure(
  claimPath: string,
  who: Who,
  waitedFor: readonly number[],
): Promise<KleisError | undefined> {
  const text = await readPrivate(`${claimPath}.failed`);
  if (text === undefined) return undefined;
  try {
    const { pid, at, code, message, hint } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof at !== 'number' || typeof code !== 'string' || !isErrorCode(code)) {
      return undefined;
    }
    if (!waitedFor.includes(pid) && at < who.startedAt) return undefined;
    return new KleisError(code, String(message), { hint: String(hint) });
  } catch {
    return undefined;
  }
}

export async function forgetSignInFailure(claimPath: string): Promise<void> {
  await removePrivate(`${claimPath}.failed`).catch(() => undefined);
}

import { isErrorCode, KleisError } from '../../shared/errors.ts';
import { readPrivate, removePrivate, writePrivate } from './private-files.ts';

// Credentials of several clusters wait for one session. When the sign-in of one fails, the others must not each open a
// window of their own: whoever waited for the claim of that process takes over its failure.

/** Leaves what the sign-in of this process failed with, beside the session's claim. */
export async function noteSignInFailure(claimPath: string, pid: number, error: KleisError): Promise<void> {
  const { code, message, hint } = error;
  // It is a courtesy to those who wait: what prevents it must not hide the failure itself.
  await writePrivate(`${claimPath}.failed`, JSON.stringify({ pid, code, message, hint })).catch(() => undefined);
}

/** The failure of one of the processes that were waited for. */
export async function findSignInFailure(claimPath: string, pids: readonly number[]): Promise<KleisError | undefined> {
  if (pids.length === 0) return undefined;
  const text = await readPrivate(`${claimPath}.failed`);
  if (text === undefined) return undefined;
  try {
    const { pid, code, message, hint } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || !pids.includes(pid) || typeof code !== 'string' || !isErrorCode(code))
      return undefined;
    return new KleisError(code, String(message), { hint: String(hint) });
  } catch {
    return undefined;
  }
}

export async function forgetSignInFailure(claimPath: string): Promise<void> {
  await removePrivate(`${claimPath}.failed`).catch(() => undefined);
}

import type { KubeClient } from './client.ts';

/** Milliseconds. Beyond it one of two clocks is wrong, and nobody can tell which. */
export const maxSkew = 30_000;

/**
 * The API server's time in milliseconds, to the second below, where it and ours agree. Asks when no answer came lately.
 * Undefined where it cannot be told, or the two are further apart than `maxSkew`. Never throws.
 */
export async function agreedTime(kube: KubeClient): Promise<number | undefined> {
  // Whoever may not read it is told the time as well.
  if (kube.time() === undefined) await kube.request('GET', '/version', { timeout: 5_000 }).catch(() => undefined);
  const [time, skew] = [kube.time(), kube.skew()];
  return skew !== undefined && Math.abs(skew) <= maxSkew ? time : undefined;
}

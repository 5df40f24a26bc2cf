import { expect } from 'vitest';
import type { Cluster } from './cluster.ts';

interface Asked {
  readonly cluster: Pick<Cluster, 'kind'>;
  /** The status of a call with that token. */
  ask(token: string): Promise<number>;
}

/**
 * The cluster refuses that token. The stand-in does so at once. A real API server remembers for ten seconds what it let in:
 * before the end, or in the moment after it, since it hears of that from its own watch.
 */
export async function expectDead(world: Asked, token: string): Promise<void> {
  if (world.cluster.kind === 'stand-in') expect(await world.ask(token)).toBe(401);
  else await expect.poll(() => world.ask(token), { timeout: 15_000, interval: 100 }).toBe(401);
}

import type { Secret } from '../../shared/secret.ts';
import type { BrokerAddress } from '../broker/connection.ts';
import { brokerIdentity } from '../session/destinations.ts';
import { loadConfig } from '../settings/person.ts';
import { storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { AskedBroker } from './caller.ts';
import { addressOf } from './exchange.ts';

export interface KeptCaller {
  readonly address: BrokerAddress;
  readonly token: Secret;
}

/** A token that ends while it is on its way is of no use. */
const leastLife = 5_000;

/**
 * Asks a broker with a token that is kept, lives, and has been at that broker before: nobody signs in for it, nothing is
 * refreshed, no keyring is woken. Undefined where there is no such token, and where there is no answer in time.
 *
 * @param patience milliseconds for what this machine has to look up, and again for the answer
 */
export async function askWithKept<Answer>(
  broker: AskedBroker,
  patience: number,
  deps: Deps,
  ask: (caller: KeptCaller) => Promise<Answer>,
): Promise<Answer | undefined> {
  const caller = await within(patience, deps, async (bounded) => keptCaller(broker, bounded));
  if (caller === undefined) return undefined;
  return within(patience, deps, async ({ signal }) =>
    ask({ ...caller, address: { ...caller.address, deps: { ...deps, signal } } }),
  );
}

const nothing = () => undefined;

/** Undefined where it fails, or takes longer. */
async function within<Result>(
  patience: number,
  deps: Deps,
  work: (bounded: Deps) => Promise<Result>,
): Promise<Result | undefined> {
  const ended = new AbortController();
  const signal = AbortSignal.any([deps.signal, ended.signal]);
  const tooLate = deps.clock.sleep(patience, signal).then(nothing, nothing);
  try {
    return await Promise.race([work({ ...deps, signal }).catch(nothing), tooLate]);
  } finally {
    ended.abort();
  }
}

async function keptCaller(broker: AskedBroker, deps: Deps): Promise<KeptCaller | undefined> {
  const identity = await brokerIdentity(broker);
  const store = storeOf(deps, 'auto', true);
  try {
    for (const entry of await store.list()) {
      if (!('info' in entry) || identity === undefined || !entry.info.clusters.includes(identity)) continue;
      if ((entry.info.idTokenExpiresAt ?? 0) < deps.clock.now() + leastLife) continue;
      const token = (await store.load(entry.key))?.tokens.idToken;
      if (token === undefined) continue;
      const { choices } = await loadConfig(deps);
      return { address: await addressOf(broker, choices.proxy, deps), token };
    }
    return undefined;
  } finally {
    await store.close();
  }
}

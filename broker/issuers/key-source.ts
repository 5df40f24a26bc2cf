import { KleisError } from '../../shared/errors.ts';
import { backoff } from '../../shared/net/retry.ts';
import { clean } from '../../shared/text.ts';
import { KubeError } from '../../shared/kube/error.ts';
import type { KeyLoader, LoadedKeys } from './discovery.ts';
import { KeySetFault, type VerificationKey } from './keys.ts';

export interface KeyHealth {
  /** The latest attempt to load the keys succeeded, and there are some. */
  readonly ok: boolean;
  /** Milliseconds since the epoch: since when `ok` is what it is. */
  readonly since: number;
  /** Why the latest attempt failed; for operators, holds no secret. */
  readonly lastError: string | undefined;
  /** How many keys can be used now; above 0 with `ok` false means that the last known good ones are in use. */
  readonly keys: number;
  /** Milliseconds since the epoch of the latest success. */
  readonly lastFetched: number | undefined;
}

export interface WantedKey {
  /** From the token's header: the sender chose it. */
  readonly kid: string | undefined;
  readonly algorithm: string;
  /** Whether the token's signature is this key's. */
  readonly fits: (key: VerificationKey) => boolean;
}

export interface KeySource {
  /**
   * The key named by `kid` and `algorithm` that fits. Throws `subject_signature` (no such key, or it does not fit),
   * `subject_algorithm` (the key is for another), `issuer_unavailable` (nothing can be said now; `retryAfter` says when).
   */
  prove(wanted: WantedKey): Promise<VerificationKey>;
  /** Who the issuer says it is, where only that tells; undefined before the first load. */
  issuer(): string | undefined;
  /** Loads unless there was a load; throws `issuer_unavailable`. */
  learn(): Promise<void>;
  /** Whether the issuer is known to have such a key, however long ago. */
  has(test: (key: VerificationKey) => boolean): boolean;
  /** Loads what is due; never throws. */
  refresh(): Promise<void>;
  /** Milliseconds until `refresh` has something to do. */
  dueIn(): number;
  health(): KeyHealth;
}

const second = 1000;
/** How long keys stay good while newer ones cannot be had; after that a withdrawn key could be trusted for ever. */
const lastKnownGood = 24 * 60 * 60 * second;
/** Between loads that are made because of a token that no key proves, which anybody can invent. */
const coolDown = 30 * second;
/** A key by whose name a fresh set proved nothing causes no load for so long: one misconfigured job must not use up the
 *  cool-down. */
const missed = { duration: 60 * second, max: 500 };
const backOff = { first: second, max: 60 * second };
/** Part of its age after which a key set is renewed in the background, so that nobody waits for it. */
const renewAt = 0.8;

/** Why no key proves a token. */
interface Miss {
  /** `unsaid`: which of several keys is meant. No other keys would help. */
  readonly kind: 'absent' | 'refuted' | 'unsaid';
  readonly error: KleisError;
}

/**
 * Keys of one issuer and all that is remembered about them. What callers can cause is bounded: one load at a time, one
 * per cool-down for tokens that no key proves, and after failures none before the back-off has passed, whoever asks.
 */
export function createKeySource(issuer: { readonly name: string }, load: KeyLoader, now: () => number): KeySource {
  let good: (LoadedKeys & { readonly at: number }) | undefined;
  let attempt: { readonly endedAt: number; readonly wait: number } | undefined;
  let failures = 0;
  let lastError: string | undefined;
  let status: { readonly ok: boolean; readonly since: number } = { ok: false, since: now() };
  let loading: Promise<void> | undefined;
  let lastMiss: number | undefined;
  /** When a fresh set proved nothing by such a name. */
  const misses = new Map<string, number>();

  // A clock that was set back must not stretch a wait: before its start counts as after its end.
  const within = (start: number, duration: number) => now() >= start && now() < start + duration;
  const aged = (part: number) => good === undefined || !within(good.at, good.maxAge * part);
  const backingOff = () => failures > 0 && attempt !== undefined && within(attempt.endedAt, attempt.wait);
  const usable = () => (good !== undefined && within(good.at, lastKnownGood) ? good : undefined);

  function renew(): Promise<void> {
    loading ??= loadOnce().finally(() => {
      loading = undefined;
    });
    return loading;
  }

  async function loadOnce(): Promise<void> {
    try {
      const loaded = await load();
      const { keys } = loaded;
      if (good?.keys !== keys) misses.clear();
      good = { ...loaded, at: now() };
      failures = 0;
      lastError = keys.length === 0 ? 'the key set holds no key that can be used' : undefined;
    } catch (error) {
      failures += 1;
      lastError = reasonOf(error);
    }
    // Several replicas that lost one issuer together shall not come back to it together.
    const wait = backoff(failures, backOff.first, backOff.max);
    attempt = { endedAt: now(), wait: failures === 0 ? 0 : wait };
    const ok = lastError === undefined;
    if (ok !== status.ok) status = { ok, since: now() };
  }

  /** The keys to judge by. Waits only where there is nothing to go on with. */
  async function current(): Promise<NonNullable<typeof good>> {
    if (aged(renewAt) && !backingOff()) {
      const renewed = renew();
      // Old keys are good enough while their server fails: waiting for each new attempt would make its trouble ours.
      if (usable() === undefined || (aged(1) && failures === 0)) await renewed;
    }
    const keys = usable();
    if (keys === undefined) throw unavailable();
    return keys;
  }

  /** What is left of a back-off. */
  function unavailable(): KleisError {
    const wait = backingOff() && attempt !== undefined ? attempt.endedAt + attempt.wait - now() : 0;
    return new KleisError('issuer_unavailable', "The keys of the token's issuer cannot be had at the moment.", {
      detail: `issuer ${issuer.name}: ${lastError ?? 'not loaded yet'}`,
      retryAfter: toSeconds(wait),
    });
  }

  function judge(keys: readonly VerificationKey[], { kid, algorithm, fits }: WantedKey): VerificationKey | Miss {
    const named = kid === undefined ? keys : keys.filter((key) => key.kid === kid);
    const able = named.filter((key) => key.algorithms.includes(algorithm));
    const miss = (kind: Miss['kind'], message: string, code: 'subject_signature' | 'subject_algorithm') => ({
      kind,
      error: new KleisError(code, message, {
        detail: `issuer ${issuer.name}, kid ${clean(kid ?? '(none)')}, alg ${clean(algorithm)}`,
      }),
    });
    // The signature says nothing about which key was meant; with several, trying them all would be guessing.
    if (kid === undefined && able.length > 1) {
      const message = 'The token does not say which key signed it, and its issuer has several.';
      return miss('unsaid', message, 'subject_signature');
    }
    const proving = able.find(fits);
    if (proving !== undefined) return proving;
    if (able.length > 0 || kid === undefined) {
      return miss('refuted', 'The signature of the token is not that of its issuer.', 'subject_signature');
    }
    return named.length > 0
      ? miss('absent', 'The token is signed with another algorithm than its key is for.', 'subject_algorithm')
      : miss('absent', 'The token is signed with a key that its issuer does not publish.', 'subject_signature');
  }

  /**
   * Whether newer keys prove it: there may be a new one, also under a name that is known (Jenkins calls a key by the id
   * of a credential). Keys that came while this call waited need not be asked for again.
   */
  async function judgeAnew(before: NonNullable<typeof good>, wanted: WantedKey, old: Miss) {
    const name = nameOf(wanted);
    const known = misses.get(name);
    const remembered = known !== undefined && within(known, missed.duration);
    // A name that was not there a minute ago is no rotation, and to say so is worth more than to be asked once more.
    if (remembered && old.kind === 'absent') throw old.error;
    if (loading === undefined) {
      if (backingOff()) throw unavailable();
      const wait = Math.max(
        remembered ? known + missed.duration - now() : 0,
        lastMiss !== undefined && within(lastMiss, coolDown) ? lastMiss + coolDown - now() : 0,
      );
      if (wait > 0) throw tooSoon(old, toSeconds(wait));
      lastMiss = now();
    }
    await renew();
    const after = await current();
    if (after === before) throw unavailable();
    return judge(after.keys, wanted);
  }

  return {
    async prove(wanted) {
      const first = good;
      const before = await current();
      let outcome = judge(before.keys, wanted);
      if (!('error' in outcome)) return outcome;
      if (outcome.kind !== 'unsaid' && before === first) outcome = await judgeAnew(before, wanted, outcome);
      if (!('error' in outcome)) return outcome;
      remember(nameOf(wanted));
      throw outcome.error;
    },

    issuer: () => good?.issuer,

    async learn() {
      if (good === undefined) await current();
    },

    has: (test) => good?.keys.some(test) ?? false,

    async refresh() {
      if (aged(renewAt) && !backingOff()) await renew();
    },

    dueIn() {
      if (backingOff() && attempt !== undefined) return Math.max(attempt.endedAt + attempt.wait - now(), second);
      return good === undefined ? second : Math.max(good.at + good.maxAge * renewAt - now(), second);
    },

    health: () => ({
      ...status,
      lastError,
      keys: usable()?.keys.length ?? 0,
      lastFetched: good?.at,
    }),
  };

  function remember(name: string): void {
    const known = misses.get(name);
    if (known !== undefined && within(known, missed.duration)) return;
    misses.delete(name);
    misses.set(name, now());
    const [oldest] = misses.keys();
    if (misses.size > missed.max && oldest !== undefined) misses.delete(oldest);
  }
}

function nameOf({ kid, algorithm }: WantedKey): string {
  return JSON.stringify([kid, algorithm]);
}

/** Not earlier: who comes then is the one for whom the keys are looked up. */
function toSeconds(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / second));
}

function reasonOf(error: unknown): string {
  if (error instanceof KleisError || error instanceof KeySetFault || error instanceof KubeError) return error.message;
  // From a library, perhaps with a path or an address in it: its kind is enough.
  return `the keys cannot be loaded (${error instanceof Error ? error.name : 'unknown error'})`;
}

function tooSoon({ kind, error }: Miss, seconds: number): KleisError {
  const message =
    kind === 'refuted'
      ? 'The signature of the token is not of the key that its issuer had a moment ago.'
      : 'The key of the token is not among those that its issuer had a moment ago.';
  return new KleisError('issuer_unavailable', message, {
    hint: `Try again in ${seconds} s: keys are then looked up again.`,
    detail: `${error.detail ?? ''}: cool-down`,
    retryAfter: seconds,
  });
}

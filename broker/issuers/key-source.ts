import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { KeyLoader } from './discovery.ts';
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
   * Settles when a key named by `kid` and `algorithm` fits. Throws `subject_signature` (no such key, or it does not
   * fit), `subject_algorithm` (the key is for another), `issuer_unavailable` (nothing can be said now).
   */
  prove(wanted: WantedKey): Promise<void>;
  /** Loads what is due; never throws. */
  refresh(): Promise<void>;
  /** Milliseconds until `refresh` has something to do. */
  dueIn(): number;
  health(): KeyHealth;
}

const second = 1000;
/** How long keys stay good while newer ones cannot be had; after that a withdrawn key could be trusted for ever. */
const lastKnownGood = 24 * 60 * 60 * second;
/** Between loads that are made because of an unknown `kid`, which anybody can invent. */
const coolDown = 30 * second;
/** A kid that a fresh set did not have causes no load for so long: one misconfigured job must not use up the cool-down. */
const absence = { duration: 60 * second, max: 500 };
const backOff = { first: second, max: 60 * second };
/** Part of its age after which a key set is renewed in the background, so that nobody waits for it. */
const renewAt = 0.8;

/**
 * Keys of one issuer and all that is remembered about them. What callers can cause is bounded: one load at a time, one
 * per cool-down for unknown kids, and after failures none before the back-off has passed, whoever asks.
 */
export function createKeySource(issuer: { readonly name: string }, load: KeyLoader, now: () => number): KeySource {
  let good: { readonly keys: readonly VerificationKey[]; readonly at: number; readonly maxAge: number } | undefined;
  let attempt: { readonly endedAt: number; readonly wait: number } | undefined;
  let failures = 0;
  let lastError: string | undefined;
  let status: { readonly ok: boolean; readonly since: number } = { ok: false, since: now() };
  let loading: Promise<void> | undefined;
  let lastMiss: number | undefined;
  const absent = new Map<string, number>();

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
      const { keys, maxAge } = await load();
      if (good?.keys !== keys) absent.clear();
      good = { keys, maxAge, at: now() };
      failures = 0;
      lastError = keys.length === 0 ? 'the key set holds no key that can be used' : undefined;
    } catch (error) {
      failures += 1;
      lastError = reasonOf(error);
    }
    // Several replicas that lost one issuer together shall not come back to it together.
    const wait = Math.min(backOff.first * 2 ** (failures - 1), backOff.max) * (0.75 + Math.random() / 2);
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
    if (keys === undefined) throw unavailable(issuer.name, lastError);
    return keys;
  }

  function pick(
    keys: readonly VerificationKey[],
    { kid, algorithm, fits }: WantedKey,
  ): 'proved' | 'refuted' | 'unknown' {
    const named = kid === undefined ? keys : keys.filter((key) => key.kid === kid);
    const able = named.filter((key) => key.algorithms.includes(algorithm));
    if (kid === undefined) {
      // The signature says nothing about which key was meant; with several, trying them all would be guessing.
      if (able.length > 1) {
        throw new KleisError(
          'subject_signature',
          'The token does not say which key signed it, and its issuer has several.',
        );
      }
      // No name to miss: that the issuer has a new key shows only in that the old one does not fit.
      return able.some(fits) ? 'proved' : 'unknown';
    }
    if (named.length === 0) return 'unknown';
    if (able.length === 0) {
      throw new KleisError('subject_algorithm', 'The token is signed with another algorithm than its key is for.', {
        detail: `issuer ${issuer.name}, kid ${clean(kid)}, alg ${clean(algorithm)}`,
      });
    }
    return able.some(fits) ? 'proved' : 'refuted';
  }

  return {
    async prove(wanted) {
      const first = good;
      const before = await current();
      let outcome = pick(before.keys, wanted);
      // Rotated, perhaps. Keys that came while this call waited need not be asked for again.
      if (outcome === 'unknown' && before === first && !knownAbsent(wanted.kid)) {
        if (loading === undefined) {
          if (backingOff()) throw unavailable(issuer.name, lastError);
          if (lastMiss !== undefined && within(lastMiss, coolDown)) throw tooSoon(issuer.name, wanted.kid);
          lastMiss = now();
        }
        await renew();
        const after = await current();
        if (after === before) throw unavailable(issuer.name, lastError);
        outcome = pick(after.keys, wanted);
      }
      if (outcome === 'proved') return;
      if (outcome === 'unknown') rememberAbsent(wanted.kid);
      const message =
        outcome === 'refuted' || wanted.kid === undefined
          ? 'The signature of the token is not that of its issuer.'
          : 'The token is signed with a key that its issuer does not publish.';
      throw new KleisError('subject_signature', message, {
        detail: `issuer ${issuer.name}, kid ${clean(wanted.kid ?? '(none)')}`,
      });
    },

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

  function knownAbsent(kid: string | undefined): boolean {
    const since = kid === undefined ? undefined : absent.get(kid);
    return since !== undefined && within(since, absence.duration);
  }

  function rememberAbsent(kid: string | undefined): void {
    if (kid === undefined) return;
    if (knownAbsent(kid)) return;
    absent.delete(kid);
    absent.set(kid, now());
    const [oldest] = absent.keys();
    if (absent.size > absence.max && oldest !== undefined) absent.delete(oldest);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof KleisError || error instanceof KeySetFault) return error.message;
  // From a library, perhaps with a path or an address in it: its kind is enough.
  return `the keys cannot be loaded (${error instanceof Error ? error.name : 'unknown error'})`;
}

function unavailable(name: string, reason: string | undefined): KleisError {
  return new KleisError('issuer_unavailable', "The keys of the token's issuer cannot be had at the moment.", {
    detail: `issuer ${name}: ${reason ?? 'not loaded yet'}`,
  });
}

function tooSoon(name: string, kid: string | undefined): KleisError {
  return new KleisError(
    'issuer_unavailable',
    'The key of the token is not among those that its issuer had a moment ago.',
    {
      hint: 'Try again in half a minute: keys are then looked up again.',
      detail: `issuer ${name}, kid ${clean(kid ?? '(none)')}: cool-down`,
    },
  );
}

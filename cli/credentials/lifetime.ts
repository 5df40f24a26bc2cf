// An opaque token whose maker does not say how long it lives is got anew after this.
const unknownLifetime = 300_000;

export interface CredentialTimes {
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Undefined if whoever made it does not say. */
  readonly expiresAt: number | undefined;
  /** Milliseconds: how long before its end a credential counts as used up; at most a tenth of its lifetime. */
  readonly minValidity: number;
}

/** When a credential ends. */
export function endOf({ issuedAt, expiresAt = issuedAt + unknownLifetime }: CredentialTimes): number {
  return expiresAt;
}

/** Until when a credential is fresh. This is also the expiry to print: kubectl and we then ask for a new one together. */
export function freshUntil(times: CredentialTimes): number {
  const end = endOf(times);
  return end - Math.min(times.minValidity, Math.max(0, end - times.issuedAt) / 10);
}

/** From when on a renewal is worth making while nobody waits: with a quarter of the time left. */
export function renewalDueAt(times: CredentialTimes): number {
  return times.issuedAt + (freshUntil(times) - times.issuedAt) * 0.75;
}

/** From when to when a credential is good, ms; `from` where it says so. */
export interface Lifetime {
  readonly from: number | undefined;
  readonly until: number;
}

const day = 24 * 60 * 60_000;

/**
 * Whether nobody renewed it in time: a tenth of its life is left, or two weeks of a long one. Kubelet renews a token when
 * a fifth is left, and ACME clients when a third is.
 */
export function endsSoon(lifetime: Lifetime, now: number): boolean {
  return now > renewalDue(lifetime);
}

/** From when on it ends soon; ms. */
export function renewalDue({ from, until }: Lifetime): number {
  return until - (from === undefined ? day : Math.min((until - from) / 10, 14 * day));
}

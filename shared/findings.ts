/** What `kleis-broker check` and `kleis doctor` find. */
export interface Finding<Severity extends string = 'error' | 'warning' | 'ok'> {
  readonly severity: Severity;
  /** Stable: scripts may rely on it. */
  readonly code: string;
  /** What was looked at; of the broker's check `grants.NAME`, `clusters.NAME`, `broker`, or a place in a file. */
  readonly about: string;
  readonly what: string;
  readonly why?: string;
  /** What to do. */
  readonly next?: string;
}

/** What, why, and what to do, one after the other. */
export function sentencesOf({ what, why, next }: Pick<Finding, 'what' | 'why' | 'next'>): string {
  return [what, why, next].filter((part) => part !== undefined).join(' ');
}

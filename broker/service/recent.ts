import { parseObject } from '../../shared/json.ts';
import type { AuditEvent } from '../audit/event.ts';

/** What this replica decided lately, as its audit tells of it, and how its grants are used. Since its start, and of it alone. */
export interface Recent {
  /** Each line as it was sealed for the audit; there is no token in any. */
  readonly note: (event: AuditEvent, line: string, now: number) => void;
  /** When this replica began, ms. */
  readonly since: number;
  /** The latest first, as the audit's lines have them. */
  decisions(): readonly Readonly<Record<string, unknown>>[];
  /** How often the grant was used; undefined if it never was. */
  readonly use: (grant: string) => GrantUse | undefined;
}

export interface GrantUse {
  readonly allowed: number;
  readonly denied: number;
  /** When a token was last minted, ms; undefined if none was. */
  readonly lastAt: number | undefined;
}

/** Who only looks decides nothing; what the broker says of itself is in the audit. */
const decisions: ReadonlySet<AuditEvent['event']> = new Set([
  'exchange',
  'explain',
  'revoke',
  'withdrawn',
  'limited',
  'kubeconfig',
  'config',
]);

export interface RecentBounds {
  readonly lines?: number;
  /** Characters of all lines together. */
  readonly size?: number;
  readonly grants?: number;
}

/** Costs who mints a push and a look into a map: lines are read when somebody looks. */
export function createRecent(
  since: number,
  { lines: mostLines = 400, size: mostSize = 1024 * 1024, grants: mostGrants = 20_000 }: RecentBounds = {},
): Recent {
  /** The latest last; those before `first` are gone. */
  let lines: string[] = [];
  let first = 0;
  let size = 0;
  const uses = new Map<string, { allowed: number; denied: number; lastAt: number | undefined }>();

  function keep(line: string): void {
    lines.push(line);
    size += line.length;
    while (size > mostSize || lines.length - first > mostLines) {
      size -= lines[first]!.length;
      lines[first] = '';
      first += 1;
    }
    if (first <= mostLines) return;
    lines = lines.slice(first);
    first = 0;
  }

  function count({ outcome, grant, cluster }: AuditEvent, now: number): void {
    // Only what is a grant has a cluster: any other name is a caller's.
    if (grant === undefined || cluster === undefined || outcome === 'failed') return;
    const use = uses.get(grant) ?? { allowed: 0, denied: 0, lastAt: undefined };
    uses.delete(grant);
    const [oldest] = uses.size >= mostGrants ? uses.keys() : [];
    if (oldest !== undefined) uses.delete(oldest);
    uses.set(grant, use);
    if (outcome === 'denied') use.denied += 1;
    else {
      use.allowed += 1;
      use.lastAt = now;
    }
  }

  return {
    note(event, line, now) {
      if (event.event === 'exchange') count(event, now);
      if (decisions.has(event.event)) keep(line);
    },
    since,
    decisions: () =>
      lines
        .slice(first)
        .toReversed()
        .map((line) => parseObject(line) ?? {}),
    use: (grant) => uses.get(grant),
  };
}

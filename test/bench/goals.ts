import type { Unit } from './units.ts';

/** A bound, which may be another one where another Node starts in another time. */
type Bound = number | { readonly node20: number; readonly since22: number };

interface Goal {
  readonly text: string;
  readonly unit: Unit;
  readonly is: 'at most' | 'at least';
  readonly bound: Bound;
}

const most = (bound: Bound, text: string, unit: Unit = 'ratio'): Goal => ({ text, unit, is: 'at most', bound });
const least = (bound: Bound, text: string, unit: Unit = 'ratio'): Goal => ({ text, unit, is: 'at least', bound });

/** Every goal of plugin and broker; each part of the scale bench has its own. Most are ratios of what ran in turn, so that they hold on another machine too. */
export const goals = {
  'rate plain': least(0.85, 'mints ÷ bare client, 16 at once, nothing kept'),
  'rate once': least(0.85, 'mints ÷ bare client, 16 at once, a lease'),
  'rate revocable': least(0.85, 'mints ÷ bare client, 16 at once, a lease and a Secret'),
  'processor plain': most(2, "broker's processor time ÷ bare client's, 16 at once, nothing kept"),
  'processor once': most(2, "broker's processor time ÷ bare client's, 16 at once, a lease"),
  'processor revocable': most(2, "broker's processor time ÷ bare client's, 16 at once, a lease and a Secret"),
  'p50 plain': most(1.5, 'p50 ÷ bare client, one at a time, nothing kept'),
  'p50 once': most(1.25, 'p50 ÷ bare client, one at a time, a lease'),
  'p50 revocable': most(1.15, 'p50 ÷ bare client, one at a time, a lease and a Secret'),
  start: most(12, 'start to ready with 500 grants ÷ `node -e 0`'),
  memory: most({ node20: 90, since22: 110 }, 'memory of the broker after 10 000 mints', 'MiB'),
  decision: most(20, 'a decision, of 10 to 100 000 grants', 'µs'),
  refresh: most({ node20: 3.3, since22: 2.4 }, 'a refresh ÷ `node -e 0`'),
  session: most({ node20: 2, since22: 1.8 }, 'a token from the session ÷ `node -e 0`'),
  version: most({ node20: 1.5, since22: 1.4 }, '`kleis --version` ÷ `node -e 0`'),
  help: most({ node20: 1.5, since22: 1.4 }, '`kleis --help` ÷ `node -e 0`'),
  cached: most(0.6, 'a cached call ÷ `sh` + `cat`'),
  'cached ÷ kubelogin': most(0.2, 'a cached call ÷ kubelogin'),
  kubectl: most(3, 'what a cached call adds to one of kubectl', 'ms'),
  'crowd ÷ kubelogin': most(0.6, '200 at expiry ÷ kubelogin'),
  crowd: most(1000, '200 at expiry, until the last has its token', 'ms'),
  'crowd refreshes': most(1, '200 at expiry, refreshes', 'count'),
  'crowd Nodes': most(1, '200 at expiry, Nodes that start', 'count'),
} as const satisfies Readonly<Record<string, Goal>>;

export type GoalName = keyof typeof goals;

/** What was measured, and what it ought to be. */
export interface Judged {
  readonly name: GoalName;
  readonly is: number;
  /** Of the other build, in the same run. */
  readonly against?: number;
}

/** @param node such as `20.20.2` */
export function boundFor(name: GoalName, node: string): number {
  const { bound }: Goal = goals[name];
  if (typeof bound === 'number') return bound;
  return Number.parseInt(node, 10) < 22 ? bound.node20 : bound.since22;
}

export function isMet({ name, is }: Judged, node: string): boolean {
  const bound = boundFor(name, node);
  return Number.isFinite(is) && (goals[name].is === 'at most' ? is <= bound : is >= bound);
}

/** Such as `at most 3.3, from Node 22 on 2.4`. */
export function describeBound(name: GoalName): string {
  const { is, bound, unit }: Goal = goals[name];
  const [first, later] = typeof bound === 'number' ? [bound] : [bound.node20, bound.since22];
  const suffix = unit === 'ratio' || unit === 'count' ? '' : ` ${unit}`;
  return `${is} ${first}${suffix}${later === undefined ? '' : `, from Node 22 on ${later}${suffix}`}`;
}

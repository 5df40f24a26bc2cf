import { inParallel } from '../../shared/parallel.ts';
import type { Clusters, RightsReview } from '../cluster/clusters.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { Grant } from '../policy/grant.ts';
import { findNeeds } from '../rbac/needs.ts';
import { hasRight, type Right, rightsOf } from '../rbac/rights.ts';

/** Questions of one round; rounds are half a minute apart. */
const perRound = 100;
const parallel = 4;
/** Milliseconds from the beginning of one lap through all questions to the next. */
const lapEvery = 5 * 60_000;

interface Lap {
  readonly config: BrokerConfig;
  readonly startedAt: number;
  /** Not yet asked. */
  readonly left: Right[];
  /** By what they say. */
  readonly missing: Map<string, Right>;
}

/**
 * Asks the API servers now and then whether the broker may do all that the configuration in force needs. A round asks a
 * bounded number of questions, and always what was missing. What everything depends on is known at its first yield, what
 * single grants need at its last.
 */
export function createRightsReview(current: () => BrokerConfig, now: () => number): RightsReview {
  const laps = new Map<string, Lap>();

  function lapOf(name: string, config: BrokerConfig): Lap | undefined {
    const cluster = config.clusters[name];
    const last = laps.get(name);
    if (cluster === undefined) return undefined;
    const isDue = last?.config !== config || (last.left.length === 0 && Math.abs(now() - last.startedAt) >= lapEvery);
    if (!isDue) return last;
    const rights = rightsOf(findNeeds(config, cluster, [])).toSorted((a, b) => rank(a) - rank(b));
    const wanted = new Set(rights.map(({ text }) => text));
    const missing = new Map([...(last?.missing ?? [])].filter(([text]) => wanted.has(text)));
    const lap = { config, startedAt: now(), left: rights, missing };
    laps.set(name, lap);
    return lap;
  }

  return async function* review(cluster, kube) {
    const lap = lapOf(cluster, current());
    if (lap === undefined) return;
    const again = [...lap.missing.values()].slice(0, perRound);
    const round = [...again, ...lap.left.splice(0, perRound)];
    const unanswered: Right[] = [];
    let silent = false;
    const ask = async (right: Right): Promise<void> => {
      // Where one question is not answered, the others wait for the next round too.
      const allowed = silent ? undefined : await hasRight(kube, right);
      if (allowed === undefined) silent = true;
      if (allowed === true) lap.missing.delete(right.text);
      else if (allowed === false) lap.missing.set(right.text, right);
      else if (!lap.missing.has(right.text)) unanswered.push(right);
    };
    for (const stage of [round.filter(isShared), round.filter((right) => !isShared(right))]) {
      await inParallel(stage, parallel, ask);
      yield Array.from(lap.missing.values(), (right) => ({ text: right.text, shared: isShared(right) }));
    }
    lap.left.unshift(...unanswered);
  };
}

/** Whatever is done in the cluster needs it, not some grants only. */
function isShared({ name }: Right): boolean {
  return name === undefined;
}

/** What everything depends on, what ends tokens, all else. */
function rank(right: Right): number {
  return isShared(right) ? 0 : right.verb === 'delete' ? 1 : 2;
}

/** What the broker is known to lack to mint for that grant, or to end what it minted; like `delete secrets in x`. */
export function lackingRights(clusters: Clusters, config: BrokerConfig, grant: Grant): readonly string[] {
  const state = 'memory' in config.state ? [] : [config.state.cluster];
  return [...new Set([grant.cluster, ...state])].flatMap((name) => {
    const cluster = clusters.get(name);
    const missing = cluster?.health().missing ?? [];
    if (cluster === undefined || missing.length === 0) return [];
    const needs = findNeeds({ ...config, grants: { [grant.name]: grant } }, cluster.config, []);
    const needed = new Set(rightsOf(needs).map(({ text }) => text));
    return missing.map(({ text }) => text).filter((text) => needed.has(text));
  });
}

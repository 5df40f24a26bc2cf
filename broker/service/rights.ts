import type { KubeClient } from '../../shared/kube/client.ts';
import { inParallel } from '../../shared/parallel.ts';
import type { Clusters, MissingRight } from '../cluster/clusters.ts';
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
  /** Not yet answered. */
  readonly left: Set<Right>;
  /** By what they say. */
  readonly missing: Map<string, Right>;
}

/**
 * Asks the API servers now and then whether the broker may do all that the configuration in force needs. A round asks a
 * bounded number of questions, what everything depends on first, and always what was missing.
 */
export function createRightsReview(
  current: () => BrokerConfig,
  now: () => number,
): (cluster: string, kube: KubeClient) => Promise<readonly MissingRight[]> {
  // By whom is asked: what one server says is never taken for what another one would that has its name now.
  const laps = new WeakMap<KubeClient, Lap>();

  function lapOf(name: string, kube: KubeClient, config: BrokerConfig): Lap | undefined {
    const cluster = config.clusters[name];
    const last = laps.get(kube);
    if (cluster === undefined) return undefined;
    const isDue = last?.config !== config || (last.left.size === 0 && Math.abs(now() - last.startedAt) >= lapEvery);
    if (!isDue) return last;
    const rights = rightsOf(findNeeds(config, cluster, [])).toSorted((a, b) => rank(a) - rank(b));
    const missing = new Map(rights.filter(({ text }) => last?.missing.has(text)).map((right) => [right.text, right]));
    const lap = { config, startedAt: now(), left: new Set(rights), missing };
    laps.set(kube, lap);
    return lap;
  }

  return async (name, kube) => {
    const lap = lapOf(name, kube, current());
    if (lap === undefined) return [];
    const again = [...lap.missing.values()].slice(0, perRound);
    let silent = false;
    await inParallel([...again, ...[...lap.left].slice(0, perRound)], parallel, async (right) => {
      // Where one question is not answered, the others wait for the next round too.
      const allowed = silent ? undefined : await hasRight(kube, right);
      if (allowed === undefined) {
        silent = true;
        return;
      }
      lap.left.delete(right);
      if (allowed) lap.missing.delete(right.text);
      else lap.missing.set(right.text, right);
    });
    return Array.from(lap.missing.values(), ({ text, shared }) => ({ text, shared }));
  };
}

/** What everything depends on, what ends tokens, all else. */
function rank({ shared, verb }: Right): number {
  return shared ? 0 : verb === 'delete' ? 1 : 2;
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

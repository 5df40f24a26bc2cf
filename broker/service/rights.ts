import type { KubeClient } from '../../shared/kube/client.ts';
import { inParallel } from '../../shared/parallel.ts';
import type { Clusters } from '../cluster/clusters.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { Grant } from '../policy/grant.ts';
import { type ClusterNeeds, findNeeds } from '../rbac/needs.ts';
import { hasRight, type Right, rightsOf } from '../rbac/rights.ts';

/** Questions of one round; rounds are half a minute apart. */
const perRound = 100;
const parallel = 4;
/** Milliseconds from the beginning of one lap through all questions to the next. */
const lapEvery = 5 * 60_000;

interface Lap {
  readonly config: BrokerConfig;
  readonly startedAt: number;
  /** What is needed most comes first. */
  readonly rights: readonly Right[];
  /** Not yet answered. */
  readonly left: Set<Right>;
  readonly missing: Set<Right>;
  /** The number of the question that a right was last judged by. */
  readonly judged: Map<Right, number>;
}

/**
 * Asks the API servers now and then whether the broker may do all that the configuration in force needs. A round asks a
 * bounded number of questions, what everything depends on first, and always what was missing.
 */
export function createRightsReview(
  current: () => BrokerConfig,
  now: () => number,
): (cluster: string, kube: KubeClient) => Promise<readonly string[]> {
  // By whom is asked: what one server says is never taken for what another one would that has its name now.
  const laps = new WeakMap<KubeClient, Lap>();
  let questions = 0;

  function lapOf(name: string, kube: KubeClient, config: BrokerConfig): Lap | undefined {
    const cluster = config.clusters[name];
    const last = laps.get(kube);
    if (cluster === undefined) return undefined;
    const isDue = last?.config !== config || (last.left.size === 0 && Math.abs(now() - last.startedAt) >= lapEvery);
    if (!isDue) return last;
    const needs = findNeeds(config, cluster, []);
    const rights = rightsOf(needs).toSorted((a, b) => rank(a, needs) - rank(b, needs));
    const known = new Set(Array.from(last?.missing ?? [], ({ text }) => text));
    const missing = new Set(rights.filter(({ text }) => known.has(text)));
    const lap: Lap = { config, startedAt: now(), rights, left: new Set(rights), missing, judged: new Map() };
    laps.set(kube, lap);
    return lap;
  }

  return async (name, kube) => {
    const lap = lapOf(name, kube, current());
    if (lap === undefined) return [];
    const missing = () => lap.rights.filter((right) => lap.missing.has(right));
    const asked = new Set([...missing().slice(0, perRound), ...[...lap.left].slice(0, perRound)]);
    let silent = false;
    await inParallel([...asked], parallel, async (right) => {
      const number = (questions += 1);
      // Where one question is not answered, the others wait for the next round too.
      const allowed = silent ? undefined : await hasRight(kube, right);
      if (allowed === undefined) {
        silent = true;
        return;
      }
      lap.left.delete(right);
      // Another round has asked later, and knows more.
      if (number < (lap.judged.get(right) ?? 0)) return;
      lap.judged.set(right, number);
      if (allowed) lap.missing.delete(right);
      else lap.missing.add(right);
    });
    return missing().map(({ text }) => text);
  };
}

/** What most grants need, what ends tokens, all else. */
function rank({ name, namespace, verb }: Right, { namespaces }: ClusterNeeds): number {
  if (name === undefined && namespaces.includes(namespace)) return 0;
  return verb === 'delete' ? 1 : 2;
}

/** What the broker is known to lack to mint for that grant, or to end what it minted; like `delete secrets in x`. */
export function lackingRights(clusters: Clusters, config: BrokerConfig, grant: Grant): readonly string[] {
  return [...new Set([grant.cluster, ...stateClusters(config)])].flatMap((name) => {
    const cluster = clusters.get(name);
    const missing = cluster?.health().missing ?? [];
    if (cluster === undefined || missing.length === 0) return [];
    const needs = findNeeds({ ...config, grants: { [grant.name]: grant } }, cluster.config, []);
    const needed = new Set(rightsOf(needs).map(({ text }) => text));
    return missing.filter((text) => needed.has(text));
  });
}

interface Verdict {
  /** What was missing then, by cluster. */
  readonly by: readonly (readonly string[] | undefined)[];
  readonly lacks: boolean;
}

const verdicts = new WeakMap<BrokerConfig, Map<string, Verdict>>();

/** Whether every grant of that cluster lacks some right, so that nothing can be minted there. */
export function lacksForAll(clusters: Clusters, config: BrokerConfig, name: string): boolean {
  const by = [name, ...stateClusters(config)].map((each) => clusters.get(each)?.health().missing);
  const known = verdicts.get(config) ?? new Map<string, Verdict>();
  verdicts.set(config, known);
  const last = known.get(name);
  // There may be thousands of grants: they are judged when a probe has ended, not whenever somebody asks /readyz.
  if (last !== undefined && last.by.every((missing, index) => missing === by[index])) return last.lacks;
  const grants = Object.values(config.grants).filter(({ cluster }) => cluster === name);
  const lacks = grants.length > 0 && grants.every((grant) => lackingRights(clusters, config, grant).length > 0);
  known.set(name, { by, lacks });
  return lacks;
}

function stateClusters({ state }: BrokerConfig): readonly string[] {
  return 'memory' in state ? [] : [state.cluster];
}

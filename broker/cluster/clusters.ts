import { isDeepStrictEqual } from 'node:util';
import { decodeUnverified } from '../../shared/jwt.ts';
import { apiPath, type KubeClient, openCluster } from '../../shared/kube/client.ts';
import { KubeError } from '../../shared/kube/error.ts';
import { clean } from '../../shared/text.ts';
import { KleisError } from '../../shared/errors.ts';
import { isTrustFailure } from '../../shared/net/network-errors.ts';
import { isPolicy } from './fault.ts';
import type { ClusterConfig } from '../config/broker-config.ts';

/**
 * Whether the policy that confines the broker is in force there. `unknown`: the API server would not say, for instance
 * since the broker may not even try to make a Secret.
 */
export type PolicyState = 'in_force' | 'missing' | 'unknown';

export interface ClusterHealth {
  readonly cluster: string;
  /** It answered the last probe. */
  readonly reachable: boolean;
  readonly policy: PolicyState;
  /** What the broker may not do there and needs to, like `delete secrets in kleis-identities`; by what the API server says. */
  readonly missing: readonly string[];
  /** Milliseconds that its clock is certainly ahead of ours, or behind (negative). */
  readonly skew: number | undefined;
  /** What is wrong, for the log; undefined if nothing is. */
  readonly problem: string | undefined;
  /** When it was probed last, ms; undefined before the first time. */
  readonly probedAt: number | undefined;
}

export interface Cluster {
  readonly name: string;
  readonly config: ClusterConfig;
  readonly kube: KubeClient;
  /** What tokens are minted for: the configured audiences; none means that the API server fills in its own. */
  readonly audiences: readonly string[];
  /**
   * What the API server is known to accept: as configured, else as it filled in when a token was minted, else what the
   * broker's own token is for. Empty while nobody knows. Never throws.
   */
  acceptedAudiences(): Promise<readonly string[]>;
  /** UIDs of accounts as last seen here. */
  readonly accounts: AccountUids;
  /** To be told what the API server filled in. */
  learnAudiences(audiences: readonly string[]): void;
  health(): ClusterHealth;
  /** Asks now. Never throws. */
  probe(): Promise<ClusterHealth>;
}

export interface AccountUids {
  get(namespace: string, name: string): string | undefined;
  set(namespace: string, name: string, uid: string): void;
  forget(namespace: string, name: string): void;
}

export interface Clusters {
  get(name: string): Cluster | undefined;
  all(): readonly Cluster[];
  /** Takes over a new configuration: what did not change keeps its connections and what was learned. */
  update(configs: Readonly<Record<string, ClusterConfig>>): void;
  /**
   * Probes every cluster now and then every `interval` ms (30 s) or so, until it is closed; what is not well sooner, at first
   * after two seconds.
   */
  start(interval?: number): void;
  close(): void;
}

export interface ClustersOptions {
  readonly clock: { now(): number };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asked at each probe what the broker may not do there; does not throw. */
  readonly reviewRights?: (cluster: string, kube: KubeClient) => Promise<readonly string[]>;
  /** Instead of the pod's own; for tests. */
  readonly serviceAccountFolder?: string | undefined;
}

/** One client for each configured cluster. Nothing is connected before it is used or probed. */
export function openClusters(configs: Readonly<Record<string, ClusterConfig>>, options: ClustersOptions): Clusters {
  let clusters = new Map<string, Cluster>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const update = (next: Readonly<Record<string, ClusterConfig>>) => {
    const old = clusters;
    clusters = new Map(
      Object.entries(next).map(([name, config]) => {
        const known = old.get(name);
        return [name, known && isDeepStrictEqual(known.config, config) ? known : openOne(config, options)];
      }),
    );
    for (const [name, cluster] of old) {
      // What is under way on it has a minute.
      if (clusters.get(name) !== cluster) setTimeout(() => cluster.kube.close(), 60_000).unref();
    }
  };
  update(configs);
  return {
    get: (name) => clusters.get(name),
    all: () => [...clusters.values()],
    update,
    start(interval = 30_000) {
      const unwell = () => Array.from(clusters.values()).filter((cluster) => !isWell(cluster.health()));
      let rest = firstRest;
      const round = async (asked: Iterable<Cluster>): Promise<void> => {
        await Promise.all(Array.from(asked, (cluster) => cluster.probe()));
        if (closed) return;
        // What is being set up is well a moment later, and callers wait for it.
        rest = unwell().length === 0 ? firstRest : Math.min(rest * 2, interval);
        const isEarly = rest > firstRest && rest < interval;
        const pause = (isEarly ? rest : interval) * (0.75 + Math.random() / 2);
        timer = setTimeout(() => void round(isEarly ? unwell() : clusters.values()), pause).unref();
      };
      void round(clusters.values());
    },
    close() {
      closed = true;
      clearTimeout(timer);
      for (const cluster of clusters.values()) cluster.kube.close();
    },
  };
}

/** Half of the first pause after a probe that found something wrong; ms. */
const firstRest = 1_000;

function isWell({ reachable, policy, missing }: ClusterHealth): boolean {
  return reachable && policy === 'in_force' && missing.length === 0;
}

function openOne(config: ClusterConfig, { clock, env, reviewRights, serviceAccountFolder }: ClustersOptions): Cluster {
  const kube = openCluster({
    credentials: config.credentials,
    server: config.server,
    certificateAuthority: config.certificateAuthority,
    tlsServerName: config.tlsServerName,
    env,
    serviceAccountFolder,
    now: () => clock.now(),
  });
  let learned: readonly string[] | undefined;
  let begun = 0;
  let last: { readonly turn: number; readonly health: ClusterHealth } | undefined;
  const blank: ClusterHealth = {
    cluster: config.name,
    reachable: false,
    policy: 'unknown',
    missing: [],
    skew: undefined,
    problem: 'It was not asked yet.',
    probedAt: undefined,
  };
  return {
    name: config.name,
    config,
    kube,
    audiences: config.audiences ?? [],
    async acceptedAudiences() {
      return config.audiences ?? learned ?? (await ownAudiences(kube));
    },
    accounts: createUids(() => clock.now()),
    learnAudiences: (audiences) => void (learned = audiences),
    health: () => ({ ...(last?.health ?? blank), skew: kube.skew() }),
    async probe() {
      const turn = (begun += 1);
      const [found, missing = []] = await Promise.all([probe(config, kube), reviewRights?.(config.name, kube)]);
      // A probe may end after one that began later. What it found is older, and is dropped.
      if (last !== undefined && turn < last.turn) return last.health;
      const health = { cluster: config.name, ...found, missing, skew: kube.skew(), probedAt: clock.now() };
      last = { turn, health };
      return health;
    },
  };
}

/**
 * A token is for the API server that takes it, so what the broker's own is for is what that accepts, or some of it.
 * Empty with a client certificate. The other way to learn it, a TokenReview, is more than the broker may do.
 */
async function ownAudiences(kube: KubeClient): Promise<readonly string[]> {
  try {
    const token = await kube.token();
    if (token === undefined) return [];
    const { aud } = decodeUnverified(token).claims;
    return [aud ?? []].flat().filter((each) => typeof each === 'string');
  } catch {
    return [];
  }
}

/** How long an account's UID is believed: one that was made anew is refused (409) until then, once. */
const uidAge = 600_000;

function createUids(now: () => number): AccountUids {
  const uids = new Map<string, { uid: string; at: number }>();
  return {
    get(namespace, name) {
      const known = uids.get(`${namespace}/${name}`);
      return known !== undefined && Math.abs(now() - known.at) < uidAge ? known.uid : undefined;
    },
    set: (namespace, name, uid) => void uids.set(`${namespace}/${name}`, { uid, at: now() }),
    forget: (namespace, name) => void uids.delete(`${namespace}/${name}`),
  };
}

type Probed = Pick<ClusterHealth, 'reachable' | 'policy' | 'problem'>;

/**
 * A dry-run create of a Secret that the policy forbids: 422 in its words if it is in force, 201 if there is none. Never
 * of a token: a dry-run TokenRequest answers with one that works.
 */
async function probe({ identityNamespace: namespace }: ClusterConfig, kube: KubeClient): Promise<Probed> {
  const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name: 'kleis-probe', namespace } };
  try {
    await kube.request('POST', apiPath('v1', namespace, 'secrets'), {
      body,
      query: { dryRun: 'All' },
      timeout: 5_000,
      repeatable: true,
    });
    return {
      reachable: true,
      policy: 'missing',
      problem:
        'The admission policy of `kleis-broker rbac` is not in force: apply what that prints. Kubernetes before 1.30 has no such policies.',
    };
  } catch (error) {
    if (!(error instanceof KubeError)) return { reachable: false, policy: 'unknown', problem: describe(error) };
    const { status, message } = error;
    if (status === 401) return { reachable: false, policy: 'unknown', problem: await describeRefusal(kube, message) };
    if (status === undefined) return { reachable: false, policy: 'unknown', problem: describeSilence(error) };
    if (isPolicy(message)) return { reachable: true, policy: 'in_force', problem: kube.fault()?.message };
    const help = status === 403 || status === 404 ? ' Apply what `kleis-broker rbac` prints.' : '';
    return { reachable: status < 500, policy: 'unknown', problem: `${sentence(message)}${help}` };
  }
}

/** With what to do. */
function describe(error: unknown): string {
  if (!(error instanceof KleisError)) return clean(error, 400);
  return clean([error.message, error.hint].filter((part) => part !== undefined).join(' '), 600);
}

function describeSilence(error: KubeError): string {
  const help = isTrustFailure(error.cause)
    ? 'Check the address and certificateAuthority.'
    : 'Check the address, and whether a NetworkPolicy or a firewall is in between.';
  return `${sentence(error.message)} ${help}`;
}

function sentence(text: string): string {
  return `${clean(text, 400).replace(/\.$/, '')}.`;
}

/** What the token says of itself may be why. */
async function describeRefusal(kube: KubeClient, message: string): Promise<string> {
  const refused = `The API server refuses the broker's credential (401): ${sentence(message)}`;
  try {
    const token = await kube.token();
    if (token === undefined) return `${refused} Its client certificate is none of the authority that it trusts.`;
    const { aud, exp } = decodeUnverified(token).claims;
    const audiences = [aud ?? []].flat().map((each) => clean(each, 100));
    const until = typeof exp === 'number' ? ` and ends at ${new Date(exp * 1000).toISOString()}` : '';
    return `${refused} The token is for ${audiences.slice(0, 5).join(', ') || 'no audience'}${until}: it must be for an audience of the API server (leave \`audience\` of the projected volume out), not have ended, and its account must be there.`;
  } catch {
    return `${refused} It is no token of a service account.`;
  }
}

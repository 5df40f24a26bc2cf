import { KleisError } from '../../shared/errors.ts';
import { signatureAlgorithms, tokenHash, type Claims, type UnverifiedJwt } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import { clusterKeys, type ClusterConnection } from './cluster-keys.ts';
import { discoveredKeys, fileKeys, type DiscoveryDeps, type KeyLoader } from './discovery.ts';
import { createKeySource, type KeyHealth, type KeySource } from './key-source.ts';
import { type VerificationKey, verifySignature } from './keys.ts';
import { checkAudience, checkHeader, checkTimes, decode, malformed, replayKey, tenantOf } from './token.ts';
import { checkConfig, type TrustedIssuer, unusable } from './trusted-issuer.ts';

/** Who the caller has proved to be. */
export interface Subject {
  /** As the configuration calls it. */
  readonly issuer: string;
  readonly claims: Claims;
  /** SHA-256 of the token, in hex. */
  readonly tokenHash: string;
  /** `r` and 62 hex digits, the same for every form of one token; name of a Kubernetes object. */
  readonly replayKey: string;
  /** Milliseconds since the epoch, without leeway: the token may be accepted up to a minute longer. */
  readonly expiresAt: number;
  /** For limits and metrics: one line, at most 100 characters. */
  readonly tenant: string | undefined;
  readonly singleUse: boolean;
}

export interface IssuerDeps extends Omit<DiscoveryDeps, 'now'> {
  readonly clock: {
    now(): number;
    sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  };
  /** The broker's connection to a configured cluster; another one when its configuration changed. */
  readonly connectionTo?: ((cluster: string) => ClusterConnection | undefined) | undefined;
}

export interface Issuers {
  /**
   * Throws `KleisError`: `subject_malformed`, `subject_issuer_unknown`, `subject_algorithm`, `subject_signature`,
   * `subject_audience`, `subject_expired`, `subject_not_yet_valid`, `subject_too_old`, `issuer_unavailable` (try again).
   * Its message is for the caller; `detail` is for the log. `audience`: for a token that was made for another client than
   * the issuer's entry names.
   */
  verify(token: string, audience?: string): Promise<Subject>;
  /** By the issuers' names. */
  health(): Readonly<Record<string, KeyHealth>>;
  /** What stands in `iss`, by the issuers' names; without clusters that have not said it yet. */
  urls(): Readonly<Record<string, string>>;
  /** Fetches the keys now and renews them before they age, in the background. Without it they are fetched when needed. */
  start(): void;
  /** Ends what `start` began; what is under way may still be verified. */
  close(): void;
}

interface Entry {
  readonly config: TrustedIssuer;
  readonly algorithms: ReadonlySet<string>;
  readonly keys: KeySource;
}

interface Source {
  readonly keys: KeySource;
  readonly connection: ClusterConnection | undefined;
}

const sourcesOf = new WeakMap<Issuers, ReadonlyMap<string, Source>>();

/**
 * The issuers of one configuration. Those that `previous` (of the configuration before it) had in the same way keep
 * their keys, so that a reload while an issuer is down loses none. Throws `config_invalid`.
 */
export function createIssuers(configs: readonly TrustedIssuer[], deps: IssuerDeps, previous?: Issuers): Issuers {
  const { clock } = deps;
  const known = previous === undefined ? undefined : sourcesOf.get(previous);
  const sources = new Map<string, Source>();
  const entries: Entry[] = [];
  for (const config of configs) {
    checkConfig(config);
    const { name, url, cluster, jwks, certificateAuthority, algorithms = signatureAlgorithms } = config;
    if (url !== undefined && entries.some((entry) => entry.config.url === url)) {
      throw unusable(name, 'another has the same url');
    }
    const connection = cluster === undefined ? undefined : deps.connectionTo?.(cluster);
    const key = JSON.stringify([name, url, cluster, jwks, certificateAuthority]);
    const earlier = known?.get(key);
    // The keys of a cluster are those of what the broker is connected to, not of a name.
    const source =
      earlier !== undefined && earlier.connection === connection
        ? earlier
        : { keys: createKeySource({ name }, loaderOf(config, connection, deps), () => clock.now()), connection };
    sources.set(key, source);
    entries.push({ config, algorithms: new Set(algorithms), keys: source.keys });
  }
  const configured = new Map(entries.map((entry) => [entry.config.url, entry]));
  configured.delete(undefined);
  const clusters = entries.filter(({ config }) => config.cluster !== undefined);
  const unnamed = clusters.filter(({ config }) => config.url === undefined);
  const urlOf = ({ config, keys }: Entry): string | undefined => config.url ?? keys.issuer();

  /**
   * Found in the configuration, or among what its clusters say of themselves, or not at all: nothing is ever fetched from
   * a place that a token names. Throws `subject_issuer_unknown`, `issuer_unavailable`.
   */
  async function entriesFor(iss: string): Promise<readonly Entry[]> {
    const entry = configured.get(iss);
    if (entry !== undefined) return [entry];
    // Whether a token is of a cluster that never answered yet nobody knows, not even where another one has its URL.
    await Promise.all(unnamed.map(async ({ keys }) => keys.learn()));
    const found = unnamed.filter((each) => urlOf(each) === iss);
    if (found.length > 0) return found;
    throw new KleisError('subject_issuer_unknown', 'The issuer of the token is not one that this broker knows.', {
      detail: `iss ${clean(JSON.stringify(iss))}`,
    });
  }

  /** Other clusters of that URL that have the key: whose token it is cannot be told from it. */
  function sharersOf(entry: Entry, { thumbprint }: Pick<VerificationKey, 'thumbprint'>): readonly Entry[] {
    if (entry.config.cluster === undefined) return [];
    const url = urlOf(entry);
    const same = (key: VerificationKey) => key.thumbprint === thumbprint;
    return clusters.filter((other) => other !== entry && urlOf(other) === url && other.keys.has(same));
  }

  /** What is wrong with a cluster beside its keys. */
  function conflictOf(entry: Entry): string | undefined {
    const { keys } = entry;
    const owner = configured.get(urlOf(entry));
    if (owner !== undefined && owner !== entry)
      return `its URL is that of issuers.${owner.config.name}, which has it alone`;
    let sharer: Entry | undefined;
    keys.has((key) => (sharer ??= sharersOf(entry, key)[0]) !== undefined);
    return sharer && `it signs with a key of issuers.${sharer.config.name}: such tokens are refused`;
  }

  const ending = new AbortController();
  let started = false;
  const issuers: Issuers = {
    async verify(token, audience) {
      const jwt = decode(token);
      const { iss } = jwt.claims;
      if (typeof iss !== 'string') throw malformed('The token does not say who issued it (iss).');
      const { entry, key } = await signerOf(jwt, await entriesFor(iss));
      const [sharer] = sharersOf(entry, key);
      if (sharer !== undefined) throw ambiguous(entry, sharer);
      // From here on the claims are the issuer's own words.
      checkAudience(jwt.claims, audience === undefined ? entry.config : { ...entry.config, audience });
      const expiresAt = checkTimes(jwt.claims, entry.config, clock.now());
      return {
        issuer: entry.config.name,
        claims: jwt.claims,
        tokenHash: tokenHash(token),
        replayKey: replayKey(iss, jwt),
        expiresAt,
        tenant: tenantOf(jwt.claims, entry.config.tenantClaim),
        singleUse: entry.config.singleUse,
      };
    },

    health: () =>
      Object.fromEntries(
        entries.map((entry) => {
          const health = entry.keys.health();
          const conflict = conflictOf(entry);
          return [entry.config.name, conflict === undefined ? health : { ...health, ok: false, lastError: conflict }];
        }),
      ),

    urls: () =>
      Object.fromEntries(
        entries.flatMap((entry) => {
          const url = urlOf(entry);
          return url === undefined ? [] : [[entry.config.name, url]];
        }),
      ),

    start() {
      if (started) return;
      started = true;
      for (const { keys } of sources.values()) void keepFresh(keys, clock, ending.signal);
    },

    close: () => ending.abort(),
  };
  sourcesOf.set(issuers, sources);
  return issuers;
}

/** How the keys of an issuer are got. Throws `config_invalid`. */
export function loaderOf(
  { name, url, cluster, jwks, certificateAuthority }: TrustedIssuer,
  connection: ClusterConnection | undefined,
  deps: IssuerDeps,
): KeyLoader {
  if (connection !== undefined) return clusterKeys(connection, url);
  if (cluster !== undefined || url === undefined) throw unusable(name, 'its cluster is not in the configuration');
  if (jwks !== undefined) return fileKeys(jwks);
  return discoveredKeys({ url, certificateAuthority }, { ...deps, now: () => deps.clock.now() });
}

/** Whose key signed the token. With several of one URL those are asked first that have a key of that name. */
async function signerOf(
  jwt: UnverifiedJwt,
  entries: readonly Entry[],
): Promise<{ readonly entry: Entry; readonly key: VerificationKey }> {
  const named = ({ keys }: Entry) => Number(keys.has(({ kid }) => kid !== undefined && kid === jwt.header['kid']));
  const errors: KleisError[] = [];
  for (const entry of entries.toSorted((one, other) => named(other) - named(one))) {
    try {
      const { algorithm, kid } = checkHeader(jwt.header, entry.config, entry.algorithms);
      const fits = (key: VerificationKey) => verifySignature(key, algorithm, jwt.signingInput, jwt.signature);
      return { entry, key: await entry.keys.prove({ kid, algorithm, fits }) };
    } catch (error) {
      if (!(error instanceof KleisError)) throw error;
      errors.push(error);
    }
  }
  throw errors.find(({ code }) => code === 'issuer_unavailable') ?? errors[0]!;
}

async function keepFresh(source: KeySource, clock: IssuerDeps['clock'], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await source.refresh();
    await clock.sleep(source.dueIn(), signal).catch(() => undefined);
  }
}

function ambiguous(one: Entry, other: Entry): KleisError {
  const message = 'Two clusters sign with the key of this token, and nobody can tell which of them issued it.';
  return new KleisError('subject_issuer_unknown', message, {
    hint: 'Ask the administrator of the broker: each cluster needs a key of its own.',
    detail: `issuers ${one.config.name} and ${other.config.name}`,
  });
}

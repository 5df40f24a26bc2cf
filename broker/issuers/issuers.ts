import { createHash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import {
  decodeUnverified,
  JwtFault,
  signatureAlgorithms,
  tokenHash,
  type Claims,
  type JsonObject,
  type UnverifiedJwt,
} from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import { discoveredKeys, fileKeys, type DiscoveryDeps } from './discovery.ts';
import { createKeySource, type KeyHealth, type KeySource } from './key-source.ts';
import { verifySignature } from './keys.ts';

/** What the configuration says of one issuer; durations in milliseconds. */
export interface TrustedIssuer {
  readonly name: string;
  /** Compared with `iss` as it is: nothing is normalised. Undefined only with `cluster`: it is what that one says. */
  readonly url: string | undefined;
  /** Name of the cluster whose API server it is: its keys come through the broker's own connection. */
  readonly cluster?: string | undefined;
  readonly audience: string;
  readonly singleUse: boolean;
  readonly tenantClaim?: string | undefined;
  /** Path of a PEM file; then no other authority may vouch for the issuer's server. */
  readonly certificateAuthority?: string | undefined;
  /** JWS names; all of `signatureAlgorithms` if not given. */
  readonly algorithms?: readonly string[] | undefined;
  /** Between `iat` and now. */
  readonly maxAge?: number | undefined;
  /** Between the issuer's clock and ours, in both directions; at most 60 000. */
  readonly leeway: number;
  /** Path of a file with a JWK set; then the issuer is never asked. */
  readonly jwks?: string | undefined;
}

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
}

export interface Issuers {
  /**
   * Throws `KleisError`: `subject_malformed`, `subject_issuer_unknown`, `subject_algorithm`, `subject_signature`,
   * `subject_audience`, `subject_expired`, `subject_not_yet_valid`, `subject_too_old`, `issuer_unavailable` (try again).
   * Its message is for the caller; `detail` is for the log.
   */
  verify(token: string): Promise<Subject>;
  /** By the issuers' names. */
  health(): Readonly<Record<string, KeyHealth>>;
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

const sourcesOf = new WeakMap<Issuers, ReadonlyMap<string, KeySource>>();

const maxLeeway = 60_000;
/** The year 9999; what is later is no date but an attempt at something. */
const latestTime = 253_402_300_799;
// Forms of identity and access tokens. Others say what they are for, and it is not this (RFC 8725 section 3.11).
const types = new Set(['jwt', 'at+jwt']);

/**
 * The issuers of one configuration. Those that `previous` (of the configuration before it) had in the same way keep
 * their keys, so that a reload while an issuer is down loses none. Throws `config_invalid`.
 */
export function createIssuers(configs: readonly TrustedIssuer[], deps: IssuerDeps, previous?: Issuers): Issuers {
  const { clock } = deps;
  const known = previous === undefined ? undefined : sourcesOf.get(previous);
  const sources = new Map<string, KeySource>();
  const entries = new Map<string, Entry>();
  for (const config of configs) {
    const { name, url, cluster, jwks, certificateAuthority, algorithms = signatureAlgorithms, leeway } = config;
    const unknown = algorithms.find((algorithm) => !(signatureAlgorithms as readonly string[]).includes(algorithm));
    if (unknown !== undefined || algorithms.length === 0) {
      throw unusable(
        name,
        `it allows the algorithm ${clean(unknown ?? '(none)')}, not one of ${signatureAlgorithms.join(', ')}`,
      );
    }
    if (!(leeway >= 0 && leeway <= maxLeeway)) throw unusable(name, 'its leeway is more than a minute');
    if (url === undefined || cluster !== undefined) throw unusable(name, 'a cluster is not asked for its keys here');
    if (entries.has(url)) throw unusable(name, 'another has the same url');
    const key = JSON.stringify([name, url, jwks, certificateAuthority]);
    const load = () =>
      jwks === undefined
        ? discoveredKeys({ url, certificateAuthority }, { ...deps, now: () => clock.now() })
        : fileKeys(jwks);
    const source = known?.get(key) ?? createKeySource({ name }, load(), () => clock.now());
    sources.set(key, source);
    entries.set(url, { config, algorithms: new Set(algorithms), keys: source });
  }

  const ending = new AbortController();
  let started = false;
  const issuers: Issuers = {
    async verify(token) {
      const jwt = decode(token);
      const { iss } = jwt.claims;
      if (typeof iss !== 'string') throw malformed('The token does not say who issued it (iss).');
      // Found in the configuration or not at all: nothing is ever fetched from a place that a token names.
      const entry = entries.get(iss);
      if (entry === undefined) {
        throw new KleisError('subject_issuer_unknown', 'The issuer of the token is not one that this broker knows.', {
          detail: `iss ${clean(JSON.stringify(iss))}`,
        });
      }
      const { algorithm, kid } = checkHeader(jwt.header, entry);
      await entry.keys.prove({
        kid,
        algorithm,
        fits: (key) => verifySignature(key, algorithm, jwt.signingInput, jwt.signature),
      });
      // From here on the claims are the issuer's own words.
      checkAudience(jwt.claims, entry.config);
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
      Object.fromEntries([...entries.values()].map(({ config, keys }) => [config.name, keys.health()] as const)),

    start() {
      if (started) return;
      started = true;
      for (const source of sources.values()) void keepFresh(source, clock, ending.signal);
    },

    close: () => ending.abort(),
  };
  sourcesOf.set(issuers, sources);
  return issuers;
}

async function keepFresh(source: KeySource, clock: IssuerDeps['clock'], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await source.refresh();
    await clock.sleep(source.dueIn(), signal).catch(() => undefined);
  }
}

function decode(token: string): UnverifiedJwt {
  try {
    return decodeUnverified(token);
  } catch (error) {
    if (error instanceof JwtFault) throw malformed(error.message);
    throw error;
  }
}

/** Of the header only `alg`, `kid` and `typ` are heard. `jwk`, `jku`, `x5c`, `x5u` would let a token vouch for itself. */
function checkHeader(
  header: JsonObject,
  { config, algorithms }: Entry,
): { algorithm: string; kid: string | undefined } {
  const { alg, kid, typ } = header;
  // We understand no extension, so that any critical one is a reason to refuse (RFC 7515 section 4.1.11).
  for (const name of ['crit', 'b64', 'cty', 'enc', 'zip']) {
    if (Object.hasOwn(header, name)) throw malformed(`The token has a header, ${name}, that is not supported.`);
  }
  if (typ !== undefined) {
    const bare = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';
    if (!types.has(bare)) throw malformed('The token is of a type (typ) that proves no identity.');
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) {
    throw malformed('The token has a key id (kid) that cannot be one.');
  }
  if (typeof alg !== 'string' || !algorithms.has(alg)) {
    throw new KleisError('subject_algorithm', 'The token is signed with an algorithm that is not accepted.', {
      detail: `issuer ${config.name}, alg ${clean(JSON.stringify(alg))}`,
    });
  }
  return { algorithm: alg, kid };
}

/** A token for several is one that each of them could pass on to us (RFC 8725 section 3.9). */
function checkAudience({ aud }: Claims, { audience, name }: TrustedIssuer): void {
  const listed: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const [only, ...others] = listed;
  if (others.length === 0 && only === audience) return;
  const seen = clean(JSON.stringify(aud ?? null));
  const why = others.length > 0 ? `is for several audiences, ${seen}` : `is for the audience ${seen}`;
  throw new KleisError('subject_audience', `The token ${why}; it must be for "${clean(audience)}" alone.`, {
    detail: `issuer ${name}, aud ${seen}`,
  });
}

/** RFC 7519 sections 4.1.4 to 4.1.6. Returns when it expires, in milliseconds. */
function checkTimes(claims: Claims, { leeway, maxAge, name }: TrustedIssuer, now: number): number {
  const expires = timeOf(claims, 'exp');
  const issued = timeOf(claims, 'iat');
  if (expires === undefined) throw malformed('The token never expires (it has no exp).');
  if (issued === undefined) throw malformed('The token does not say when it was issued (iat).');
  if (expires <= issued) throw malformed('The token expires before it was issued.');
  const seen = `issuer ${name}, iat ${issued}, exp ${expires}, now ${now}`;
  if (now >= expires + leeway) {
    throw new KleisError('subject_expired', `The token expired ${ago(now - expires)} ago.`, { detail: seen });
  }
  const begins = Math.max(issued, timeOf(claims, 'nbf') ?? 0);
  if (begins > now + leeway) {
    throw new KleisError(
      'subject_not_yet_valid',
      `The token is valid from ${ago(begins - now)} on, by the clock of this broker.`,
      { detail: seen },
    );
  }
  if (maxAge !== undefined && now - issued > maxAge + leeway) {
    throw new KleisError(
      'subject_too_old',
      `The token was issued ${ago(now - issued)} ago; ${ago(maxAge)} are allowed.`,
      { detail: seen },
    );
  }
  return expires;
}

/** A NumericDate in milliseconds; undefined if absent. */
function timeOf(claims: Claims, name: 'exp' | 'iat' | 'nbf'): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value >= 0 && value <= latestTime)) {
    throw malformed(`The token has a time, ${name}, that cannot be one.`);
  }
  return Math.floor(value * 1000);
}

function ago(milliseconds: number): string {
  return `${Math.ceil(milliseconds / 1000)} s`;
}

/**
 * By this name a token is used up. With a `jti` the issuer has named it (each length before its text: no two pairs of
 * issuer and jti give one string). Without one it is what was signed, never the whole token: the signature can be
 * written anew without the key, (r, s) as (r, n - s) in ECDSA, and would make a new token of a used one.
 */
function replayKey(issuer: string, { claims, signingInput }: UnverifiedJwt): string {
  const { jti } = claims;
  const [kind, id] = typeof jti === 'string' && jti !== '' ? ['jti', jti] : ['jws', signingInput];
  const hash = createHash('sha256');
  for (const part of [kind, issuer, id]) hash.update(`${Buffer.byteLength(part)}:${part}`);
  // 248 bits: with the letter that it must begin with, the 63 characters that a Kubernetes name or label may have.
  return `r${hash.digest('hex').slice(0, 62)}`;
}

function tenantOf(claims: Claims, name: string | undefined): string | undefined {
  if (name === undefined || !Object.hasOwn(claims, name)) return undefined;
  const value = claims[name];
  const text = typeof value === 'string' || typeof value === 'number' ? clean(value, 100) : '';
  return text === '' ? undefined : text;
}

function malformed(message: string): KleisError {
  return new KleisError('subject_malformed', message);
}

function unusable(name: string, why: string): KleisError {
  return new KleisError('config_invalid', `The issuer ${clean(name)} cannot be used: ${why}.`);
}

import { lookup as systemLookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fetch } from '../../shared/net/http.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { isHttpsOrLoopback, isLocalhost, isLoopback, withoutBrackets } from '../../shared/net/url.ts';
import { fileMark, readTextFile, systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { KeySetFault, parseKeySet, type VerificationKey } from './keys.ts';

export interface LoadedKeys {
  /** Who the issuer says it is; only of clusters. */
  readonly issuer?: string;
  readonly keys: readonly VerificationKey[];
  /** Milliseconds for which they count as fresh. */
  readonly maxAge: number;
}

/** Loads the keys of one issuer. Keeps what saves the next call a request. */
export type KeyLoader = () => Promise<LoadedKeys>;

export interface FetchRequirements {
  /** PEM text; then no other authority is trusted. */
  readonly certificateAuthority: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
  /** Bytes. */
  readonly maxBody: number;
}

export interface DiscoveryDeps {
  readonly now: () => number;
  /** `(options) => createFetch({ ...options, env, now })` */
  readonly fetchFor: (options: FetchRequirements) => Fetch;
  /** Addresses of a host name; the system's resolver if not given. */
  readonly lookup?: ((host: string) => Promise<readonly string[]>) | undefined;
}

const second = 1000;
const minute = 60 * second;
const requirements = { timeout: 5 * second, maxBody: 1024 * 1024 };
/** How long keys are fresh when their server does not say, and the bounds within which it may: a withdrawn key is
 *  trusted no longer than this, and no server makes us ask more often than once a minute. */
const freshness = { min: minute, usual: 10 * minute, max: 60 * minute };
const fileFreshness = 5 * second;
const discoveryMaxAge = 60 * minute;

/**
 * Keys of an issuer by OpenID Connect Discovery 1.0 section 4. The document must name exactly this issuer (section 4.3).
 * Where it sends us for the keys is checked, since the broker stands where its callers may not go: see `checkKeysUrl`.
 */
export function discoveredKeys(
  issuer: { readonly url: string; readonly certificateAuthority?: string | undefined },
  deps: DiscoveryDeps,
): KeyLoader {
  let client: { readonly authority: string | undefined; readonly fetch: Fetch } | undefined;
  let found: { readonly keysUrl: URL; readonly at: number } | undefined;
  let last: { readonly text: string; readonly keys: readonly VerificationKey[] } | undefined;

  async function trustedFetch(): Promise<Fetch> {
    const authority = await readAuthority(issuer.certificateAuthority);
    if (client === undefined || client.authority !== authority) {
      client = { authority, fetch: deps.fetchFor({ ...requirements, certificateAuthority: authority }) };
    }
    return client.fetch;
  }

  return async () => {
    const fetch = await trustedFetch();
    const now = deps.now();
    const known = found !== undefined && now >= found.at && now - found.at < discoveryMaxAge ? found : undefined;
    // Forgotten until it has proved good again: the keys may have moved.
    found = undefined;
    const place = known ?? { keysUrl: await discover(new URL(issuer.url), issuer.url, fetch, deps), at: now };
    const response = await fetch(place.keysUrl, { headers: { accept: 'application/jwk-set+json, application/json' } });
    const text = await bodyOf(response, place.keysUrl);
    const keys = last?.text === text ? last.keys : await parseKeySet(text);
    last = { text, keys };
    found = place;
    return { keys, maxAge: freshnessOf(response.headers.get('cache-control')) };
  };
}

/** Keys from a file, for issuers that the broker cannot reach. Read again when it has changed. */
export function fileKeys(path: string): KeyLoader {
  let last: { readonly mark: string; readonly keys: readonly VerificationKey[] } | undefined;
  return async () => {
    const mark = await fileMark(path).catch((cause: unknown) => {
      throw new KeySetFault(`the file of keys ${clean(path, 400)} cannot be read: ${systemReason(cause)}`, { cause });
    });
    if (last?.mark !== mark) last = { mark, keys: await parseKeySet(await readTextFile(path)) };
    return { keys: last.keys, maxAge: fileFreshness };
  };
}

async function discover(issuer: URL, spelled: string, fetch: Fetch, deps: DiscoveryDeps): Promise<URL> {
  if (!isHttpsOrLoopback(issuer)) {
    throw new KeySetFault('the issuer is neither https nor http on loopback');
  }
  // "Any terminating / MUST be removed" (section 4.1).
  const place = new URL(`${spelled.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const text = await bodyOf(await fetch(place, { headers: { accept: 'application/json' } }), place);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new KeySetFault(`${clean(place.host)} answers with something else than a discovery document`);
  }
  const { issuer: named, jwks_uri: keysUrl } = (document ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
  if (named !== spelled) {
    throw new KeySetFault(`the discovery document is of another issuer, ${clean(JSON.stringify(named))}`);
  }
  if (typeof keysUrl !== 'string' || keysUrl.length > 2048 || !URL.canParse(keysUrl)) {
    throw new KeySetFault('the discovery document names no place for the keys (jwks_uri)');
  }
  const target = new URL(keysUrl);
  await checkKeysUrl(issuer, target, deps.lookup ?? systemAddresses);
  return target;
}

/**
 * `jwks_uri` may name another host (Google's does, and that of many Kubernetes clusters), but only over https, and
 * not one inside our network unless the issuer is inside it as well: an issuer on the Internet has no business there.
 * The addresses are looked up for this check alone. A name that does not resolve here is left to the proxy; one that
 * resolves differently a moment later meets TLS, which ends at a host without a certificate for that name.
 */
export async function checkKeysUrl(
  issuer: URL,
  target: URL,
  lookup: (host: string) => Promise<readonly string[]>,
): Promise<void> {
  const refuse = (why: string) => new KeySetFault(`jwks_uri names ${clean(target.host)}, ${why}`);
  if (target.username !== '' || target.password !== '') throw refuse('with a user name or password');
  if (target.protocol !== 'https:') {
    const alike = issuer.protocol === 'http:' && target.protocol === 'http:' && isLoopback(target.hostname);
    if (alike) return;
    throw refuse('not over https');
  }
  if (target.hostname === issuer.hostname) return;
  if ((await isInside(target.hostname, lookup)) && !(await isInside(issuer.hostname, lookup))) {
    throw refuse('a private address, which the issuer itself does not have');
  }
}

const inside = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  inside.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const) {
  inside.addSubnet(network, bits, 'ipv6');
}

/** One such address is enough: the request may go to any of them. */
async function isInside(hostname: string, lookup: (host: string) => Promise<readonly string[]>): Promise<boolean> {
  // Nor does a call look it up (shared/net/dialing.ts).
  if (isLocalhost(hostname)) return true;
  const bare = withoutBrackets(hostname);
  const addresses = isIP(bare) === 0 ? await lookup(bare) : [bare];
  // A BlockList finds IPv4 addresses that are written as IPv6 (::ffff:10.0.0.1) by itself.
  return addresses.some((address) => inside.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
}

async function systemAddresses(host: string): Promise<readonly string[]> {
  const late = sleep(requirements.timeout, undefined, { ref: false }).then(() => {
    throw new KeySetFault(`the name ${clean(host)} is not answered for in time (DNS)`);
  });
  const found = systemLookup(host, { all: true }).then(
    (records) => records.map(({ address }) => address),
    () => [],
  );
  return Promise.race([found, late]);
}

async function bodyOf(response: Response, url: URL): Promise<string> {
  // A redirect to another origin is not followed: it arrives here.
  if (response.status !== 200) throw new KeySetFault(`${clean(url.host)} answers with HTTP ${response.status}`);
  return response.text();
}

function freshnessOf(cacheControl: string | null): number {
  const written = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl ?? '')?.[1];
  if (written === undefined) return freshness.usual;
  return Math.min(Math.max(Number(written) * second, freshness.min), freshness.max);
}

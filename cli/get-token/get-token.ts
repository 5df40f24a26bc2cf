import { KleisError } from '../../shared/errors.ts';
import { loadConfig } from '../settings/person.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type ExecInfo, formatCredential, parseExecInfo } from './exec-credential.ts';
import { clusterIdentity } from '../kubeconfig/cluster-identity.ts';
import { toFailure } from '../surroundings/failure.ts';
import type { SignInFlags } from '../settings/flags.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { Identity } from '../identity/identity.ts';
import { identityOf, keyFor, type ObtainedToken, obtainToken, originOf, timesOf } from './obtain.ts';
import { placesOf } from '../settings/paths.ts';
import { forcedRefreshInterval } from '../session/use.ts';
import { resolveRequest, type Settings } from '../settings/sign-in.ts';
import { type CredentialKey, credentialKey } from '../credentials/key.ts';
import type { Claim } from '../files/claim.ts';
import { freshUntil } from '../credentials/lifetime.ts';
import { type CachedCredential, type Credentials, openCredentials } from '../credentials/cache.ts';

export interface GetTokenRequest {
  readonly flags: SignInFlags;
  /** As typed, without the launcher's own flag: what the credential is kept under. */
  readonly args: readonly string[];
  /** `background` and `rejected` come from the launcher (kleis-credential.sh). */
  readonly mode: 'normal' | 'background' | 'rejected';
}

// One or two requests to the provider, each of bounded time.
const workDeadline = 60_000;

/** `kleis get-token`: prints the ExecCredential that kubectl asked for. Nothing else ever writes to stdout here. */
export async function getToken(request: GetTokenRequest, deps: Deps): Promise<void> {
  const { args, mode } = request;
  const key = credentialKey(args, deps.env);
  const credentials = openCredentials({ dir: placesOf(deps).credentials, deps });
  try {
    const text = await credentialFor(request, key, credentials, deps);
    if (mode !== 'background') deps.stdout.write(text);
    credentials.settle(key, mode);
  } catch (error) {
    const failure = toFailure(error, deps);
    credentials.settle(key, mode, failure);
    throw failure;
  }
}

async function credentialFor(
  { flags, mode: startedAs }: GetTokenRequest,
  launcherKey: CredentialKey | undefined,
  credentials: Credentials,
  deps: Deps,
): Promise<string> {
  const exec = parseExecInfo(deps.env);
  const cluster = clusterOf(exec);
  const settings = resolveRequest(flags, exec?.cluster?.config, (await loadConfig(deps)).choices);
  const identity = await identityOf(settings, deps);
  const key = keyFor(launcherKey, identity);
  // The queue is kept to in any case; what is cached is neither read nor replaced where the person wants none of it.
  const cacheKey = settings.cache === 'none' || settings.force ? undefined : key;

  const cached = credentials.read(cacheKey);
  const maybeRefused = cached !== undefined && startedAs === 'normal' && credentials.isAskedAgain(cacheKey, cached);
  if (cached !== undefined && startedAs === 'normal' && (!maybeRefused || credentials.isForcedHeld(cacheKey))) {
    return cached.text;
  }
  const mode = maybeRefused ? 'rejected' : startedAs;
  const obtaining = { settings, identity, exec, cluster, mode, cacheKey, credentials, deps };
  try {
    return await credentials.queue(key, { mode, deadline: workDeadline, purpose: 'getting a credential' }, (claim) =>
      obtainUnlessDone({ ...obtaining, claim }, cached),
    );
  } catch (error) {
    if (mode !== 'rejected' || cached === undefined) throw error;
    sayNotRefreshed(error, deps);
    return cached.text;
  }
}

interface Obtaining {
  readonly settings: Settings | AmbientSettings;
  readonly identity: Identity | undefined;
  readonly exec: ExecInfo | undefined;
  readonly cluster: string | undefined;
  readonly mode: GetTokenRequest['mode'];
  readonly cacheKey: CredentialKey | undefined;
  readonly credentials: Credentials;
  readonly deps: Deps;
  /** Of the credential. */
  readonly claim?: Claim | undefined;
}

/** Another process may have been quicker while this one waited. */
async function obtainUnlessDone(obtaining: Obtaining, before: CachedCredential | undefined): Promise<string> {
  const { mode, cacheKey, credentials, deps } = obtaining;
  const cached = credentials.read(cacheKey);
  if (cached !== undefined && cached.generation !== before?.generation) return cached.text;
  try {
    return await obtain(obtaining);
  } finally {
    // Only now: whoever waits for a forced refresh takes the mark for its end.
    if (mode === 'rejected') credentials.holdForced(cacheKey, deps.clock.now() + forcedRefreshInterval);
  }
}

async function obtain(obtaining: Obtaining): Promise<string> {
  const { settings, identity, exec, cluster, mode, deps, claim } = obtaining;
  const origin = await originOf(settings);
  const interactive = exec?.interactive ?? deps.stdin.isTTY;
  const beforeSignIn = async (milliseconds: number) => claim?.extend(milliseconds, 'signing in');
  return obtainToken({ settings, identity, mode, cluster, interactive, deps, beforeSignIn }, (fresh, session) =>
    keep(fresh, session, origin, obtaining),
  );
}

/** Puts the credential into the cache while it is worth it, and gives what to print. */
function keep(fresh: ObtainedToken, session: string, origin: string | undefined, obtaining: Obtaining): string {
  const { settings, exec, cacheKey, credentials, deps } = obtaining;
  const times = timesOf(fresh, settings);
  const until = freshUntil(times);
  const now = deps.clock.now();
  // A token in its last moments is still worth its request; a time that has passed would make kubectl ask again for each.
  const printed = fresh.expiresAt === undefined ? undefined : until > now ? until : fresh.expiresAt;
  const text = formatCredential(exec?.apiVersion, fresh.token.reveal(), printed);
  if (until > now) credentials.write(cacheKey, text, times, session, origin);
  return text;
}

/** What is cached is given once more: nothing says that it was refused. */
function sayNotRefreshed(error: unknown, deps: Deps): void {
  deps.report.debug(`The session was not refreshed: ${toFailure(error, deps).message}`);
  if (!deps.stderr.isTTY) return;
  deps.report.info('This credential was asked for twice: if the cluster refuses it, `kleis status` shows whose it is.');
}

/**
 * Where the credential will be sent. A Kubernetes client that does not say could send it anywhere: then there is none.
 * Undefined where a person or a script asks.
 */
function clusterOf(exec: ExecInfo | undefined): string | undefined {
  if (exec === undefined) return undefined;
  if (exec.cluster === undefined) {
    throw new KleisError(
      'cluster_unknown',
      'kubectl does not say which cluster the credential is for, so none is given.',
    );
  }
  return clusterIdentity(exec.cluster);
}

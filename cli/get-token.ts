import { KleisError } from '../shared/errors.ts';
import { loadConfig } from './config.ts';
import type { Deps } from './deps.ts';
import { type ExecInfo, formatCredential, parseExecInfo, serverOrigin } from './exec-credential.ts';
import { toFailure } from './failure.ts';
import type { SignInFlags } from './flags.ts';
import type { AmbientSettings } from './broker-settings.ts';
import type { Identity } from './identity/source.ts';
import { identityOf, keyFor, type ObtainedToken, obtainToken, originOf } from './obtain.ts';
import { placesOf } from './places.ts';
import { forcedRefreshInterval } from './session.ts';
import { isAmbient, resolveRequest, type Settings } from './settings.ts';
import {
  credentialKey,
  type Credentials,
  type CredentialKey,
  freshUntil,
  openCredentials,
} from './store/credentials.ts';

export interface GetTokenRequest {
  readonly flags: SignInFlags;
  /** As typed, without the launcher's own flag: what the credential is kept under. */
  readonly args: readonly string[];
  /** `background` and `rejected` come from the launcher (credential.sh). */
  readonly mode: 'normal' | 'background' | 'rejected';
}

// A provider that does not say how long an opaque token lives is asked again after this.
const unknownLifetime = 300_000;
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
  { flags, mode: asked }: GetTokenRequest,
  key: CredentialKey | undefined,
  credentials: Credentials,
  deps: Deps,
): Promise<string> {
  const exec = parseExecInfo(deps.env);
  const cluster = clusterOf(exec);
  const settings = resolveRequest(flags, exec?.cluster?.config, (await loadConfig(deps)).choices);
  const identity = await identityOf(settings, deps);
  const own = keyFor(key, identity);
  const kept = settings.cache === 'none' || settings.force ? undefined : own;

  const cached = credentials.read(kept);
  const refused = cached !== undefined && asked === 'normal' && credentials.isAskedAgain(kept, cached);
  if (cached !== undefined && asked === 'normal' && (!refused || credentials.isForcedHeld(kept))) return cached.text;
  const mode = refused ? 'rejected' : asked;

  const deadline = workDeadline + (mode === 'normal' && !isAmbient(settings) ? settings.loginTimeout : 0);
  try {
    return await credentials.queue(own, { mode, deadline, purpose: 'getting a credential' }, async () => {
      const again = credentials.read(kept);
      if (again !== undefined && again.generation !== cached?.generation) return again.text;
      try {
        return await obtain({ settings, identity, exec, cluster, mode, kept, credentials, deps });
      } finally {
        // Only now: whoever waits for a forced refresh takes the mark for its end.
        if (mode === 'rejected') credentials.holdForced(kept, deps.clock.now() + forcedRefreshInterval);
      }
    });
  } catch (error) {
    if (mode !== 'rejected' || cached === undefined) throw error;
    deps.report.debug(`The session was not refreshed: ${toFailure(error, deps).message}`);
    if (deps.stderr.isTTY) {
      deps.report.info(
        'This credential was asked for twice: if the cluster refuses it, `kleis status` shows whose it is.',
      );
    }
    return cached.text;
  }
}

interface Obtaining {
  readonly settings: Settings | AmbientSettings;
  readonly identity: Identity | undefined;
  readonly exec: ExecInfo | undefined;
  readonly cluster: string | undefined;
  readonly mode: GetTokenRequest['mode'];
  readonly kept: CredentialKey | undefined;
  readonly credentials: Credentials;
  readonly deps: Deps;
}

async function obtain(obtaining: Obtaining): Promise<string> {
  const { settings, identity, exec, cluster, mode, kept, credentials, deps } = obtaining;
  const origin = await originOf(settings);
  const keep = (fresh: ObtainedToken, session: string) => {
    const { token, issuedAt, expiresAt } = fresh;
    const times = { issuedAt, expiresAt: expiresAt ?? issuedAt + unknownLifetime, minValidity: settings.minValidity };
    const until = freshUntil(times);
    const now = deps.clock.now();
    // A token in its last moments is still worth its request; a time that has passed would make kubectl ask again for each.
    const printed = expiresAt === undefined ? undefined : until > now ? until : expiresAt;
    const text = formatCredential(exec?.apiVersion, token.reveal(), printed);
    if (until > now) credentials.write(kept, text, times, session, origin);
    return text;
  };
  const interactive = exec?.interactive ?? deps.stdin.isTTY;
  return obtainToken({ settings, identity, mode, cluster, interactive, deps }, keep);
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
  return serverOrigin(exec.cluster.server);
}

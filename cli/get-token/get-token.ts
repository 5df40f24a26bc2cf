import type { CredentialKey } from '../credentials/key.ts';
import { type CredentialTimes, freshUntil } from '../credentials/lifetime.ts';
import type { Credentials } from '../credentials/cache.ts';
import { shellWord } from '../../shared/shell.ts';
import { shown } from '../../shared/text.ts';
import { forcedRefreshInterval } from '../session/open.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { brokerOf, exchange } from './exchange.ts';
import { fromClient, fromPlatform, fromSession, identityOf, keyFor, type ObtainedToken, originOf } from './sources.ts';

/** What is asked for, by whom, and how the answer reads. */
export interface TokenCall {
  readonly settings: Settings | AmbientSettings;
  /** What the credential is kept under; undefined keeps nothing. */
  readonly key: CredentialKey | undefined;
  /** `background`: nobody waits. `rejected`: the launcher has seen that the credential seems to have been refused. */
  readonly mode: 'normal' | 'background' | 'rejected';
  /** `clusterIdentity` of where the token goes. */
  readonly cluster: string | undefined;
  /** The terminal is ours to read from. */
  readonly interactive: boolean;
  /** One line of JSON. `freshUntil` is when to ask again, in milliseconds. */
  format(token: ObtainedToken, freshUntil: number): string;
}

// One or two requests to the provider, each of bounded time.
const workDeadline = 60_000;

/**
 * What `kubectl get pods` then does, and `kleis token` too: read, claim, find, refresh or sign in, exchange, save, and
 * give what is to be printed.
 */
export async function getToken(call: TokenCall, credentials: Credentials, deps: Deps): Promise<string> {
  const { settings, cluster, interactive } = call;

  // Read what is kept. The same process that asks again for what is fresh was very likely refused with it (401).
  const identity = await identityOf(settings, deps);
  const key = keyFor(call.key, identity);
  const writeKey = settings.cache === 'none' ? undefined : key;
  const readKey = settings.force ? undefined : writeKey;
  const cached = credentials.read(readKey);
  if (deps.report.level === 'debug') deps.report.debug(credentials.describe(readKey));
  const isRefused = cached !== undefined && call.mode === 'normal' && credentials.isAskedAgain(readKey, cached);
  if (cached !== undefined && call.mode === 'normal' && (!isRefused || credentials.isForcedHeld(readKey))) {
    return cached.text;
  }
  const mode = isRefused ? 'rejected' : call.mode;
  if (mode === 'rejected') deps.report.debug('The same process asks again, so the cluster may have refused it.');

  try {
    // Claim it: one process gets a credential, the others wait for what it brings or fails with.
    const turn = await credentials.takeTurn(key, { mode, deadline: workDeadline, purpose: 'getting a credential' });
    try {
      // Find what another process may have brought while this one waited.
      const found = credentials.read(readKey);
      if (found !== undefined && found.generation !== cached?.generation) return found.text;

      // Refresh, sign in, or ask the platform that this runs on.
      const broker = settings.broker && (await brokerOf(settings.broker, settings.proxy, deps));
      const source = isAmbient(settings)
        ? await fromPlatform(settings, identity, broker, deps)
        : settings.identity === 'client-credentials'
          ? await fromClient(settings, deps)
          : await fromSession({ settings, mode, cluster, interactive, asker: credentials.asker, turn, deps });
      try {
        // Exchange it at the broker, where one is named: the cluster gets what the broker gives.
        const { proxy } = settings;
        const token =
          settings.broker && broker ? await exchange(settings.broker, broker, source, { proxy, deps }) : source.token;

        // Save it while it is worth that, and before the session is given back: a logout must not be overtaken.
        const times: CredentialTimes = { ...token, minValidity: settings.minValidity };
        const until = freshUntil(times);
        const text = call.format(token, until);
        if (until > deps.clock.now()) {
          credentials.write(writeKey, text, times, source.session, await originOf(settings));
        }
        return text;
      } finally {
        await source.release();
      }
    } catch (error) {
      turn.fail(error);
      throw error;
    } finally {
      // Only now: whoever waits for a forced refresh takes the mark for its end.
      if (mode === 'rejected') credentials.holdForced(readKey, deps.clock.now() + forcedRefreshInterval);
      turn.release();
    }
  } catch (error) {
    // What is cached is given once more where it was only a guess that it had been refused.
    if (mode !== 'rejected' || cached === undefined) throw error;
    deps.report.debug(`The session was not refreshed: ${toFailure(error, deps).message}`);
    if (deps.stderr.isTTY) {
      deps.report.info(await whoRefused(cluster, deps));
    }
    return cached.text;
  }
}

/** The same process asks twice for what it was refused with; kubectl does not say by which context. */
async function whoRefused(cluster: string | undefined, deps: Deps): Promise<string> {
  const { contextOf } = await import('../kubeconfig/context-of.ts');
  const context = cluster === undefined ? undefined : await contextOf(cluster, deps);
  if (context === undefined) return 'The API server seems to have refused this token. Why: kleis doctor';
  const name = shown(context);
  return `The API server of ${name} seems to have refused this token. Why: kleis doctor --context ${shellWord(context, deps.platform)}`;
}

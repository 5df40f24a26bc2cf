import { KleisError } from '../../shared/errors.ts';
import { readUnverified, type UnverifiedJwt } from '../../shared/jwt.ts';
import type { Secret } from '../../shared/secret.ts';
import { scriptOf } from '../credentials/asker.ts';
import { whoIs } from '../provider/tokens.ts';
import { brokerIdentity } from '../session/destinations.ts';
import type { Session } from '../session/file-format.ts';
import { openSession } from '../session/open.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import { openSignInFailures, storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { audienceOf } from './audience.ts';
import { brokerOf } from './exchange.ts';
import { fromClient, identityOf } from './sources.ts';

/** Who somebody is to the provider or platform, and the token that says so: what the cluster, or the broker, gets. */
export interface Present {
  /** For people. */
  readonly name: string;
  readonly token: Secret;
  /** Milliseconds since the epoch; undefined where nobody says. */
  readonly expiresAt: number | undefined;
  /** Of a person. */
  readonly session: Session | undefined;
  /** Of a job, a pod or a machine: what it runs on. */
  readonly platform: string | undefined;
}

/**
 * Who is there: of a person whose session lives, or renews itself; of a job in any case. Nobody signs in for it unless
 * `signIn` says so. Throws `sign_in_needed`, and what getting a token throws.
 *
 * @param cluster `clusterIdentity` of where the token may go
 */
export async function openPresent(
  settings: Settings | AmbientSettings,
  { cluster, signIn }: { readonly cluster: string | undefined; readonly signIn: boolean },
  deps: Deps,
): Promise<Present> {
  if (isAmbient(settings)) return ofPlatform(settings, deps);
  if (settings.identity === 'client-credentials') {
    const { token, expiresAt } = (await fromClient(settings, deps)).token;
    const name = settings.clientId;
    return { name, token, expiresAt, session: undefined, platform: 'client credentials' };
  }
  const store = storeOf(deps, settings.cache);
  try {
    const opened = await openSession({
      settings,
      deps,
      store,
      failures: openSignInFailures(deps, scriptOf(deps)),
      mode: signIn ? 'normal' : 'background',
      cluster,
      broker: await brokerIdentity(settings.broker),
      interactive: signIn && deps.stdin.isTTY,
      allowPaste: signIn,
    });
    opened.release();
    const { session, token } = opened;
    const name = whoIs(session.tokens.subject);
    return { name, token: token.token, expiresAt: token.expiresAt, session, platform: undefined };
  } finally {
    await store.close();
  }
}

async function ofPlatform(settings: AmbientSettings, deps: Deps): Promise<Present> {
  const identity = await identityOf(settings, deps);
  if (identity === undefined) throw new KleisError('identity_missing', 'Nothing here says that this is a job.');
  const broker = settings.broker && (await brokerOf(settings.broker, settings.proxy, deps));
  const { token, expiresAt } = await identity.token(await audienceOf(settings, identity, broker, deps));
  return { name: identity.title, token, expiresAt, session: undefined, platform: identity.title };
}

/** What a token says of itself; undefined for one that is opaque. */
export function readToken(token: Secret): UnverifiedJwt | undefined {
  return readUnverified(token.reveal());
}

import { readAuthority } from '../../shared/net/certificates.ts';
import { subjectTokenTypes } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
import type { Asker } from '../credentials/asker.ts';
import type { Turn } from '../credentials/cache.ts';
import { type CredentialKey, subjectKey } from '../credentials/key.ts';
import type { Identity } from '../identity/identity.ts';
import { keyOf, noSuchToken, openSession } from '../session/open.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import { noteNode, openSignInFailures, storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { netDeps } from '../surroundings/net-deps.ts';
import { audienceOf } from './audience.ts';
import { brokerIdentity } from '../session/destinations.ts';

/** A token for the cluster. Times in milliseconds since the epoch. */
export interface ObtainedToken {
  readonly token: Secret;
  readonly issuedAt: number;
  /** Undefined if whoever made it does not say. */
  readonly expiresAt: number | undefined;
  /** Only of a broker. */
  readonly lease?: string | undefined;
  readonly revocable?: boolean;
  readonly cluster?: string | undefined;
}

/** Where a token for the cluster, or for the broker, comes from. */
export interface Source {
  readonly token: ObtainedToken;
  /** RFC 8693 section 3. */
  readonly type: string;
  /** The session's key; where there is none, one of `noSession`. */
  readonly session: string;
  /** Of a platform: what it can say about an audience that a broker does not take. */
  readonly platform?: { readonly identity: Identity; readonly issuer: string | undefined };
  /** Gives the session back, which nobody else could change meanwhile. */
  release(): Promise<void>;
}

/** Whose session it is where there is none: what a logout of a person must not remove. */
export const noSession = { ambient: 'ambient', client: 'client-credentials' } as const;

const nothingHeld = async () => undefined;

/** Where the token of these settings comes from; undefined where somebody signs in. Throws `identity_missing`, `subject_…`. */
export async function identityOf(settings: Settings | AmbientSettings, deps: Deps): Promise<Identity | undefined> {
  if (!isAmbient(settings)) return undefined;
  const { env, platform, signal, clock } = deps;
  const { createFetch } = await import('../../shared/net/http.ts');
  const fetch = createFetch({
    certificateAuthority: await readAuthority(settings.certificateAuthority),
    proxy: settings.proxy,
    ...netDeps(deps),
    maxBody: 64 * 1024,
  });
  const { openIdentity } = await import('../identity/identity.ts');
  return openIdentity(settings.identity, { env, platform, signal, fetch, now: () => clock.now() });
}

/**
 * Says of a kept credential what it was got for, so that `kleis revoke` with the same flags finds it. Undefined without a
 * broker: nobody else takes a token back.
 */
export async function originOf(settings: Settings | AmbientSettings): Promise<string | undefined> {
  const { broker } = settings;
  if (broker === undefined) return undefined;
  return JSON.stringify([broker.url, broker.grant, isAmbient(settings) ? settings.identity : await keyOf(settings)]);
}

/**
 * What a credential is kept under. The launcher knows the job by its variables; where those do not say enough, only Node
 * can tell whose a credential is, and then only Node answers with it.
 */
export function keyFor(key: CredentialKey | undefined, identity: Identity | undefined): CredentialKey | undefined {
  if (key === undefined || identity === undefined || identity.keyedBy.kind === 'call') return key;
  const { keyedBy } = identity;
  if (keyedBy.kind === 'nothing') return undefined;
  return subjectKey(key, keyedBy.kind === 'job' ? keyedBy.platform : keyedBy.hash);
}

/** A CI job, a pod or a machine has its token already, or asks its platform for one. */
export async function fromPlatform(
  settings: AmbientSettings,
  identity: Identity | undefined,
  broker: BrokerClient | undefined,
  deps: Deps,
): Promise<Source> {
  if (identity === undefined) throw new Error('The identity has not been found yet.');
  if (settings.identity === 'auto') deps.report.info(`The identity is that of ${clean(identity.title)}.`);
  const audience = await audienceOf(settings, identity, broker, deps);
  const token = await identity.token(audience);
  return {
    token,
    type: subjectTokenTypes.jwt,
    session: noSession.ambient,
    platform: { identity, issuer: token.issuer },
    release: nothingHeld,
  };
}

/** For machines: no person, no session; the client itself is the identity (RFC 6749 section 4.4). */
export async function fromClient(settings: Settings, deps: Deps): Promise<Source> {
  const { connect } = await import('../provider/provider.ts');
  const provider = await connect(settings, deps);
  const { accessToken, issuedAt, accessTokenExpiresAt } = await provider.clientCredentials();
  if (accessToken === undefined) throw noSuchToken(settings);
  const token = { token: accessToken, issuedAt, expiresAt: accessTokenExpiresAt };
  return { token, type: typeOf(settings), session: noSession.client, release: nothingHeld };
}

interface SessionSourceRequest {
  readonly settings: Settings;
  readonly mode: 'normal' | 'background' | 'rejected';
  readonly cluster: string | undefined;
  readonly interactive: boolean;
  readonly asker: Asker;
  /** Extended while a person is asked to sign in. */
  readonly turn: Turn;
  readonly deps: Deps;
}

/** A person: refreshed, or signed in for. */
export async function fromSession(request: SessionSourceRequest): Promise<Source> {
  const { settings, mode, turn, deps } = request;
  const store = storeOf(deps, settings.cache, mode === 'background');
  try {
    const opened = await openSession({
      settings,
      deps,
      store,
      failures: openSignInFailures(deps, request.asker),
      // What the cluster refused is the broker's token; the provider's is as good as before.
      mode: settings.broker !== undefined && mode === 'rejected' ? 'background' : mode,
      cluster: request.cluster,
      broker: await brokerIdentity(settings.broker),
      interactive: request.interactive,
      allowPaste: false,
      beforeSignIn: (milliseconds) => turn.extend(milliseconds, 'signing in'),
    });
    if (settings.cache !== 'none') noteNode(deps);
    return {
      token: opened.token,
      type: typeOf(settings),
      session: opened.session.key,
      async release() {
        opened.release();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function typeOf({ token }: Settings): string {
  return token === 'id' ? subjectTokenTypes.idToken : subjectTokenTypes.accessToken;
}

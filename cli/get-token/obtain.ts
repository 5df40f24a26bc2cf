import { readAuthority } from '../../shared/net/certificates.ts';
import { KleisError } from '../../shared/errors.ts';
import { createFetch } from '../../shared/net/http.ts';
import { subjectTokenTypes } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { Identity } from '../identity/identity.ts';
import { placesOf } from '../settings/paths.ts';
import { storeOf } from '../stores.ts';
import { keyOf, type Mode, noSuchToken, useSession } from '../session/use.ts';
import { connect } from '../provider/provider.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import { type CredentialKey, subjectKey } from '../credentials/key.ts';
import type { CredentialTimes } from '../credentials/lifetime.ts';
import { openNotes } from '../credentials/notes.ts';

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

export interface ObtainRequest {
  readonly settings: Settings | AmbientSettings;
  /** Of `identityOf`. */
  readonly identity: Identity | undefined;
  readonly mode: Extract<Mode, 'normal' | 'background' | 'rejected'>;
  /** Origin of the server that the token is for. */
  readonly cluster: string | undefined;
  readonly interactive: boolean;
  readonly deps: Deps;
  readonly beforeSignIn?: (milliseconds: number) => Promise<void>;
}

/** Whose session it is where there is none: what a logout of a person must not remove. */
export const noSession = { ambient: 'ambient', client: 'client-credentials' } as const;

/**
 * From settings to the token that the cluster gets: an identity, and where a broker is named what it gives for that.
 * `keep` gets it while the claim of its session (whose key it is told) is held.
 */
export async function obtainToken<T>(
  request: ObtainRequest,
  keep: (token: ObtainedToken, session: string) => T | Promise<T>,
): Promise<T> {
  const { settings, deps, mode, identity } = request;
  const { broker } = settings;
  if (isAmbient(settings)) {
    if (identity === undefined) throw new Error('The identity has not been found yet.');
    return keep(await fromPlatform(settings, identity, deps), noSession.ambient);
  }
  const type = settings.token === 'id' ? subjectTokenTypes.idToken : subjectTokenTypes.accessToken;
  const finish = async (token: ObtainedToken) =>
    broker === undefined ? token : exchange(broker, await brokerOf(broker, settings.proxy, deps), token.token, type);
  if (settings.identity === 'client-credentials') {
    return keep(await finish(await clientCredentials(settings, deps)), noSession.client);
  }
  const store = storeOf(deps, settings.cache, mode === 'background');
  try {
    return await useSession(
      {
        settings,
        deps,
        store,
        // What the cluster refused is the broker's token; the provider's is as good as before.
        mode: broker !== undefined && mode === 'rejected' ? 'background' : mode,
        cluster: request.cluster,
        broker: broker && new URL(broker.url).origin,
        interactive: request.interactive,
        allowPaste: false,
        beforeSignIn: request.beforeSignIn,
      },
      async (token, session) => keep(await finish(token), session.key),
    );
  } finally {
    await store.close();
  }
}

/** For how long the token may be kept. */
export function timesOf(
  { issuedAt, expiresAt }: ObtainedToken,
  { minValidity }: { readonly minValidity: number },
): CredentialTimes {
  return { issuedAt, expiresAt, minValidity };
}

/** Where the token of these settings comes from; undefined where somebody signs in. Throws `identity_missing`, `subject_…`. */
export async function identityOf(settings: Settings | AmbientSettings, deps: Deps): Promise<Identity | undefined> {
  if (!isAmbient(settings)) return undefined;
  const { env, platform, signal, clock } = deps;
  const fetch = createFetch({
    certificateAuthority: await readAuthority(settings.certificateAuthority),
    proxy: settings.proxy,
    env,
    signal,
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

/** For machines: no person, no session; the client itself is the identity (RFC 6749 section 4.4). */
async function clientCredentials(settings: Settings, deps: Deps): Promise<ObtainedToken> {
  const provider = await connect(settings, deps);
  const { accessToken, issuedAt, accessTokenExpiresAt } = await provider.clientCredentials();
  if (accessToken === undefined) throw noSuchToken(settings);
  return { token: accessToken, issuedAt, expiresAt: accessTokenExpiresAt };
}

async function fromPlatform(settings: AmbientSettings, identity: Identity, deps: Deps): Promise<ObtainedToken> {
  const { broker: settingsOfBroker, proxy } = settings;
  if (settings.identity === 'auto') deps.report.info(`The identity is that of ${clean(identity.title)}.`);
  if (settingsOfBroker === undefined) {
    if (identity.asks && settings.audience === undefined) {
      throw new KleisError('usage', `${identity.title} makes tokens for an audience, and none is given.`, {
        hint: 'Give --audience (what the API server expects), or --broker, which tells its own.',
      });
    }
    return identity.token(settings.audience);
  }
  const broker = await brokerOf(settingsOfBroker, proxy, deps);
  const audience = settings.audience ?? (identity.asks ? await audienceFor(identity, broker) : undefined);
  const subject = await identity.token(audience);
  try {
    return await exchange(settingsOfBroker, broker, subject.token, subjectTokenTypes.jwt);
  } catch (error) {
    if (!(error instanceof KleisError) || error.code !== 'subject_audience') throw error;
    broker.forgetIssuers();
    const known = await broker.issuers().catch(() => []);
    const wanted = known.find(({ issuer }) => issuer === subject.issuer)?.audience;
    if (wanted === undefined) throw error;
    throw new KleisError(error.code, error.message, {
      hint: `The broker wants the audience ${clean(wanted)}. ${identity.hint(wanted)}`,
      cause: error,
    });
  }
}

/** By what the broker says of the issuer that this platform's tokens come from. */
async function audienceFor({ title, issuer }: Identity, broker: BrokerClient): Promise<string> {
  const issuers = await broker.issuers();
  const fitting = issuers.filter((known) => known.issuer === issuer || known.issuer.startsWith(`${issuer}/`));
  const audiences = new Set((fitting.length > 0 ? fitting : issuers).map(({ audience }) => audience));
  const [audience] = audiences;
  if (audience !== undefined && audiences.size === 1) return audience;
  throw new KleisError(
    'usage',
    audience === undefined
      ? 'The broker names no audience.'
      : `The broker takes tokens of several issuers, none of which is known to be that of ${title}.`,
    { hint: 'Give the audience that the broker wants with --audience.' },
  );
}

async function exchange(
  settings: BrokerSettings,
  broker: BrokerClient,
  subject: Secret,
  subjectType: string,
): Promise<ObtainedToken> {
  return broker.exchange({ subject, subjectType, grant: settings.grant, ttl: settings.ttl });
}

/** The client of a broker; its answers about itself are remembered for a while beside the credentials. */
export async function brokerOf(
  { url, certificateAuthority }: Pick<BrokerSettings, 'url' | 'certificateAuthority'>,
  proxy: string | undefined,
  deps: Deps,
): Promise<BrokerClient> {
  const pem = await readAuthority(certificateAuthority);
  const memory = openNotes(placesOf(deps).credentials, deps).note('broker', [url, pem ?? '']);
  const { openBroker } = await import('../broker/client.ts');
  return openBroker({ url, certificateAuthority: pem, proxy, memory, deps });
}

import { readFile } from 'node:fs/promises';
import { KleisError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';
import type { Deps } from './deps.ts';
import type { Settings } from './settings.ts';
import { connect } from './sign-in/provider.ts';
import { type TokenSet, UnusableAnswer } from './sign-in/tokens.ts';
import { type Claim, withClaim } from './store/claim.ts';
import { type CredentialTimes, freshUntil, renewalDueAt } from './store/credentials.ts';
import { type Session, sessionKey, type SessionStore } from './store/sessions.ts';

// A provider changes its endpoints rarely and says so beforehand; a day spares a round trip at nearly every refresh.
const metadataLifetime = 24 * 3_600_000;
// At most one refresh a minute for what may have been a 401: wrong guesses (k9s, `make -j`) must cost no more.
export const forcedRefreshInterval = 60_000;
// A refresh is one or two requests of bounded time; a sign-in extends the claim by what the person is given.
const refreshDeadline = 60_000;
// For an opaque token whose provider does not say how long it lives: it is asked for anew after this.
const unknownLifetime = 300_000;

export type Mode =
  /** Someone waits for the credential: refresh, else sign in. */
  | 'normal'
  /** The credential is still valid and nobody waits: refresh or give up, quietly. */
  | 'background'
  /** The server seems to have refused the credential: refresh if none was forced lately, never sign in. */
  | 'rejected'
  /** A person asked for a new sign-in. */
  | 'sign-in';

export interface SessionRequest {
  readonly settings: Settings;
  readonly deps: Deps;
  readonly store: SessionStore;
  readonly mode: Mode;
  /** Origin of the server that the credential is for. */
  readonly cluster: string | undefined;
  /** Origin of the broker that gets the session's token; the cluster then gets what the broker gives for it. */
  readonly broker?: string | undefined;
  /** The terminal is ours to read from. */
  readonly interactive: boolean;
  /** Beside a browser sign-in, let the person paste the address. */
  readonly allowPaste: boolean;
}

/** A token for the cluster, and by when (milliseconds) it ends. */
export interface FreshToken {
  readonly token: Secret;
  readonly issuedAt: number;
  /** Undefined if the provider does not say. */
  readonly expiresAt: number | undefined;
}

/**
 * Gives `use` the token of the session, refreshed or signed in for anew when it must be. All of it, `use` included,
 * happens under the session's claim: two clusters may share a refresh token, and a logout must not be overtaken.
 */
export async function useSession<T>(
  request: SessionRequest,
  use: (token: FreshToken, session: Session) => T | Promise<T>,
): Promise<T> {
  const { settings, deps, store } = request;
  const key = await keyOf(settings);
  const work = async (claim?: Claim) => {
    const earlier = await loadFor(request, key);
    await askForCluster(earlier, request, claim);
    const renewed = await renew(earlier, key, request, async () => {
      await claim?.extend(settings.loginTimeout + refreshDeadline, 'signing in');
    });
    const session = await noteCluster(renewed, request);
    const token = freshToken(session, settings, deps.clock.now(), 'to the end');
    if (token === undefined) throw noSuchToken(settings);
    return use(token, session);
  };
  const path = store.claimPath(key);
  if (path === undefined) return work();
  return withClaim(
    path,
    {
      deps,
      deadline: refreshDeadline,
      purpose: 'renewing the session',
      onWait: (holder) => deps.report.info(`Waiting for ${holder.text}.`),
    },
    work,
  );
}

async function loadFor({ store, mode }: SessionRequest, key: string): Promise<Session | undefined> {
  try {
    return await store.load(key);
  } catch (error) {
    // Whoever signs in anew does not need what was there.
    if (mode === 'sign-in' && error instanceof KleisError && error.code === 'storage_corrupt') return undefined;
    throw error;
  }
}

async function renew(
  session: Session | undefined,
  key: string,
  request: SessionRequest,
  beforeSignIn: () => Promise<void>,
): Promise<Session> {
  const { settings, deps, store, mode } = request;
  const now = deps.clock.now();
  const forced = mode === 'sign-in' || settings.force;
  if (session !== undefined && !forced && freshToken(session, settings, now) !== undefined) {
    const forcedAt = session.forcedRefreshAt ?? 0;
    const enough = {
      normal: true,
      // Another cluster may have renewed the session already; and without a refresh token there is nothing to do yet.
      background: session.tokens.refreshToken === undefined || now < renewalDueAt(timesOf(session, settings)),
      rejected: now - forcedAt < forcedRefreshInterval,
      'sign-in': false,
    };
    if (enough[mode]) return session;
  }
  if (session !== undefined && session.tokens.refreshToken !== undefined && !forced) {
    const refreshed = await refresh(session, request);
    if (refreshed !== undefined) return refreshed;
  }
  if (mode === 'background' || mode === 'rejected') {
    throw new KleisError('sign_in_needed', 'The session has ended, and this run may not sign in.');
  }
  await store.reserve(key);
  await beforeSignIn();
  const provider = await connect(settings, deps);
  const tokens = await provider.signIn({
    allowPaste: request.allowPaste,
    ...(settings.account?.includes('@') === true ? { loginHint: settings.account } : {}),
  });
  requireToken(tokens, settings);
  return store.save(store.start(key, settings, tokens, provider.metadata, session));
}

/** Undefined when the provider definitely refuses the refresh token, or what it sends is of no use any more. */
async function refresh(session: Session, request: SessionRequest): Promise<Session | undefined> {
  const { settings, deps, store, mode } = request;
  const { refreshToken, dpopKey, subject } = session.tokens;
  if (refreshToken === undefined) return undefined;
  // Before the refresh token is spent: a provider that rotates takes it back for ever.
  await store.reserve(session.key);
  const now = deps.clock.now();
  const cached = session.provider;
  const provider = await connect(
    settings,
    deps,
    cached !== undefined && now - cached.fetchedAt < metadataLifetime ? cached.metadata : undefined,
  );
  let tokens: TokenSet;
  try {
    tokens = await provider.refresh({ refreshToken, dpopKey, idTokenSub: subject?.sub });
  } catch (error) {
    if (error instanceof UnusableAnswer) {
      await store.save({ ...session, tokens: { ...session.tokens, refreshToken: error.refreshToken } });
    }
    if (!(error instanceof KleisError) || error.code !== 'sign_in_needed') throw error;
    if (mode === 'normal') deps.report.info(`${error.message} Signing in again.`);
    return undefined;
  }
  const saved = await store.save({
    ...session,
    tokens: merge(session.tokens, tokens),
    refreshedAt: deps.clock.now(),
    forcedRefreshAt: mode === 'rejected' ? deps.clock.now() : session.forcedRefreshAt,
    provider: {
      metadata: provider.metadata,
      fetchedAt: cached?.metadata === provider.metadata ? cached.fetchedAt : now,
    },
  });
  if (freshToken(saved, settings, deps.clock.now(), 'to the end') !== undefined) return saved;
  if (mode === 'normal') {
    deps.report.info(
      'The provider renewed the session but sent no ID token, and the last one has ended. Signing in again.',
    );
  }
  return undefined;
}

/** A refresh answer may leave out what has not changed (RFC 6749 section 6, OpenID Connect Core 12.2). */
function merge(old: TokenSet, next: TokenSet): TokenSet {
  return {
    ...next,
    refreshToken: next.refreshToken ?? old.refreshToken,
    idToken: next.idToken ?? old.idToken,
    idTokenExpiresAt: next.idToken === undefined ? old.idTokenExpiresAt : next.idTokenExpiresAt,
    dpopKey: next.dpopKey ?? old.dpopKey,
    subject: next.subject ?? old.subject,
  };
}

/** The kind of token that the settings ask for, while it is fresh, or to the end of its life. */
function freshToken(
  session: Session,
  settings: Settings,
  now: number,
  how: 'fresh' | 'to the end' = 'fresh',
): FreshToken | undefined {
  const { idToken, accessToken, idTokenExpiresAt, accessTokenExpiresAt } = session.tokens;
  const token = settings.token === 'id' ? idToken : accessToken;
  if (token === undefined) return undefined;
  const times = timesOf(session, settings);
  if (now >= (how === 'fresh' ? freshUntil(times) : times.expiresAt)) return undefined;
  const expiresAt = settings.token === 'id' ? idTokenExpiresAt : accessTokenExpiresAt;
  return { token, issuedAt: times.issuedAt, expiresAt };
}

function timesOf({ tokens }: Session, { token, minValidity }: Settings): CredentialTimes {
  const { issuedAt } = tokens;
  const expiresAt = token === 'id' ? tokens.idTokenExpiresAt : tokens.accessTokenExpiresAt;
  return { issuedAt, expiresAt: expiresAt ?? issuedAt + unknownLifetime, minValidity };
}

/** Asked before anything is spent, where the person wants to be asked; the claim is held meanwhile. */
async function askForCluster(session: Session | undefined, request: SessionRequest, claim?: Claim): Promise<void> {
  const { settings } = request;
  const places = newPlaces(session, request);
  if (!settings.confirmNewClusters || places.length === 0) return;
  await claim?.extend(settings.loginTimeout, 'asking about a new cluster');
  const names = places.map(({ kind, origin }) => `the ${kind} ${origin}`).join(' and ');
  await confirm(`Let ${names} have tokens of ${whose(session)} at ${settings.issuerUrl}?`, request);
}

/** A session that meets a new server says so: a kubeconfig from elsewhere may name a server that nobody knows. */
async function noteCluster(session: Session, request: SessionRequest): Promise<Session> {
  const { settings, deps, store } = request;
  const places = newPlaces(session, request);
  if (places.length === 0) return session;
  for (const { kind, origin } of session.clusters.length > 0 ? places : []) {
    deps.report.info(`New ${kind}: ${origin} now gets tokens of ${whose(session)} at ${settings.issuerUrl}.`);
  }
  return store.save({ ...session, clusters: [...session.clusters, ...places.map(({ origin }) => origin)] });
}

/** Where tokens of the session go now and have never gone. */
function newPlaces(session: Session | undefined, { broker, cluster }: SessionRequest) {
  return [
    { kind: 'broker', origin: broker },
    { kind: 'cluster', origin: cluster },
  ].flatMap(({ kind, origin }) =>
    origin === undefined || session?.clusters.includes(origin) === true ? [] : [{ kind, origin }],
  );
}

function whose(session: Session | undefined): string {
  return session?.tokens.subject?.name ?? session?.tokens.subject?.sub ?? 'your account';
}

async function confirm(question: string, request: SessionRequest): Promise<void> {
  const { deps } = request;
  const hint = 'Run `kleis login --context NAME` for that cluster in a terminal and answer there.';
  if (request.mode !== 'normal' && request.mode !== 'sign-in') {
    throw new KleisError('sign_in_needed', 'This cluster has not been confirmed yet.', { hint });
  }
  if (!request.interactive) {
    throw new KleisError('sign_in_needed', `${question} Nobody can be asked here.`, { hint });
  }
  const { askYesNo } = await import('./ask.ts');
  if (await askYesNo(question, deps)) return;
  throw new KleisError('sign_in_refused', 'The new cluster was not confirmed, so it gets no token.', {
    hint: 'Answer y if you trust that cluster.',
  });
}

/** For machines: no person, no session; the client itself is the identity (RFC 6749 section 4.4). */
export async function clientCredentials(settings: Settings, deps: Deps): Promise<FreshToken> {
  const provider = await connect(settings, deps);
  const { accessToken, issuedAt, accessTokenExpiresAt } = await provider.clientCredentials();
  if (accessToken === undefined) throw noSuchToken(settings);
  return { token: accessToken, issuedAt, expiresAt: accessTokenExpiresAt };
}

/** The session's key; reads the certificate authority, whose hash is part of it. */
export async function keyOf(settings: Settings): Promise<string> {
  const { certificateAuthority } = settings;
  if (certificateAuthority === undefined) return sessionKey(settings, undefined);
  try {
    return sessionKey(settings, await readFile(certificateAuthority, 'utf8'));
  } catch (cause) {
    throw new KleisError('config_invalid', `The certificate authority ${certificateAuthority} cannot be read.`, {
      cause,
    });
  }
}

function requireToken(tokens: TokenSet, settings: Settings): void {
  if ((settings.token === 'id' ? tokens.idToken : tokens.accessToken) === undefined) throw noSuchToken(settings);
}

function noSuchToken(settings: Settings): KleisError {
  return new KleisError(
    'token_unusable',
    `The provider gave no ${settings.token === 'id' ? 'ID' : 'access'} token that is still valid.`,
  );
}

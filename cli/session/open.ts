import { readAuthority } from '../../shared/net/certificates.ts';
import { KleisError } from '../../shared/errors.ts';
import type { Secret } from '../../shared/secret.ts';
import type { Deps } from '../surroundings/deps.ts';
import {
  confirmDestinations,
  describeDestinations,
  type Destinations,
  nameOfSession,
  newDestinations,
} from './destinations.ts';
import type { Settings } from '../settings/sign-in.ts';
import { type TokenSet, UnusableAnswer } from '../provider/tokens.ts';
import type { Claim, ClaimOptions } from '../files/claim.ts';
import type { Failures } from '../credentials/failures.ts';
import { type CredentialTimes, endOf, freshUntil, renewalDueAt } from '../credentials/lifetime.ts';
import { type Session, startSession } from './file-format.ts';
import { sessionKey } from './key.ts';
import type { SessionStore } from './contract.ts';

// A provider changes its endpoints rarely and says so beforehand; a day spares a round trip at nearly every refresh.
const metadataLifetime = 24 * 3_600_000;
// At most one refresh a minute for what may have been a 401: wrong guesses (k9s, `make -j`) must cost no more.
export const forcedRefreshInterval = 60_000;
// A refresh is one or two requests of bounded time; a sign-in extends the claim by what the person is given.
const refreshDeadline = 60_000;

export type Mode =
  /** Someone waits for the credential: refresh, else sign in. */
  | 'normal'
  /** The credential is still valid and nobody waits: refresh or give up, quietly. */
  | 'background'
  /** The server seems to have refused the credential: refresh if none was forced lately, never sign in. */
  | 'rejected'
  /** A person asked for a new sign-in. */
  | 'sign-in';

export interface SessionRequest extends Destinations {
  readonly settings: Settings;
  readonly deps: Deps;
  readonly store: SessionStore;
  /** What sign-ins failed with, by the session's key. */
  readonly failures: Failures;
  readonly mode: Mode;
  /** The terminal is ours to read from. */
  readonly interactive: boolean;
  /** Beside a browser sign-in, let the person paste the address. */
  readonly allowPaste: boolean;
  /** Told before a person is asked to sign in: how long (milliseconds) that may take. */
  readonly beforeSignIn?: ((milliseconds: number) => Promise<void>) | undefined;
}

/** A token for the cluster, and by when (milliseconds) it ends. */
export interface FreshToken {
  readonly token: Secret;
  readonly issuedAt: number;
  /** Undefined if the provider does not say. */
  readonly expiresAt: number | undefined;
}

/** A session that is open: nobody else changes it until it is released. */
export interface OpenSession {
  readonly session: Session;
  readonly token: FreshToken;
  /** Gives the claim back. What is made of the token is to be kept before: a logout must not be overtaken. */
  release(): void;
}

/**
 * The session with a token that lives, refreshed or signed in for anew when it must be, under the session's claim: two
 * clusters may share a refresh token.
 */
export async function openSession(request: SessionRequest): Promise<OpenSession> {
  const { settings, deps, store } = request;
  const key = await keyOf(settings);
  for (let attempt = 1; ; attempt += 1) {
    const claim = await store.claim(key, claimOptions(deps));
    try {
      const earlier = await loadFor(request, key);
      deps.report.debug(describeSession(earlier, key, settings));
      await askForDestinations(earlier, request, claim);
      const renewed = await renew(earlier, { key, claim, request });
      const session = await noteDestinations(renewed, earlier, request);
      deps.signal.throwIfAborted();
      const token = livingToken(session, settings, deps.clock.now());
      if (token === undefined) throw noSuchToken(settings);
      return { session, token, release: () => claim?.release() };
    } catch (error) {
      claim?.release();
      // Taken for dead (a suspended laptop): what the other process has stored is newer than what we hold.
      if (attempt > 1 || !(error instanceof KleisError) || error.code !== 'claim_held') throw error;
    }
  }
}

function claimOptions(deps: Deps): ClaimOptions {
  return {
    deps,
    deadline: refreshDeadline,
    purpose: 'renewing the session',
    onWait: (holder) => deps.report.info(`Waiting for ${holder.text}.`),
  };
}

/** For `--verbose`. */
function describeSession(session: Session | undefined, key: string, settings: Settings): string {
  const name = key.slice(0, 12);
  if (session === undefined) return `There is no session ${name}.`;
  const until = new Date(freshUntil(timesOf(session, settings))).toISOString();
  const renews = session.tokens.refreshToken === undefined ? 'no refresh token' : 'a refresh token';
  return `The session ${name} (${session.storage}, generation ${session.generation}) has a token that is fresh until ${until}, and ${renews}.`;
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

interface Renewal {
  readonly key: string;
  readonly claim: Claim | undefined;
  readonly request: SessionRequest;
}

async function renew(session: Session | undefined, renewal: Renewal): Promise<Session> {
  const { settings, mode } = renewal.request;
  const anew = mode === 'sign-in' || settings.signIn === true;
  if (session !== undefined && !anew && !settings.force && isEnough(session, renewal.request)) return session;
  if (session !== undefined && session.tokens.refreshToken !== undefined && !anew) {
    const refreshed = await refresh(session, renewal);
    if (refreshed !== undefined) return refreshed;
  }
  if (mode === 'background' || mode === 'rejected') {
    throw new KleisError(
      'sign_in_needed',
      session === undefined
        ? 'Nobody is signed in, and this run may not sign in.'
        : 'The session has ended, and this run may not sign in.',
    );
  }
  return signIn(session, renewal);
}

async function signIn(earlier: Session | undefined, { key, claim, request }: Renewal): Promise<Session> {
  const { settings, deps, store, failures, mode } = request;
  // Credentials of several clusters wait for one session: when the sign-in of one fails, the others open no window.
  const failure = mode === 'normal' ? failures.find(key, claim?.waitedFor ?? []) : undefined;
  if (failure !== undefined) throw failure;
  await store.reserve(key);
  const patience = settings.loginTimeout + refreshDeadline;
  await claim?.extend(patience, 'signing in');
  await request.beforeSignIn?.(patience);
  const asker = watchAsker(deps);
  try {
    const { connect } = await import('../provider/provider.ts');
    const provider = await connect(settings, { ...deps, signal: asker.signal });
    // Listener, page, QR code and the rest: nothing that a refresh needs, and it is refreshes that must be quick.
    const { signIn: askPerson } = await import('../sign-in/sign-in.ts');
    const loginHint = settings.account?.includes('@') === true ? settings.account : undefined;
    const place = { provider, settings, deps: { ...deps, signal: asker.signal } };
    const withoutRefreshToken = earlier !== undefined && earlier.tokens.refreshToken === undefined;
    // Whoever is asked to sign in is to know for what: a kubeconfig from elsewhere may name any server.
    const destination = describeDestinations(request);
    const { allowPaste } = request;
    const tokens = await askPerson(place, { allowPaste, loginHint, destination, withoutRefreshToken });
    requireToken(tokens, settings);
    const session = await store.save(startSession(deps.clock.now(), key, settings, tokens, provider.metadata, earlier));
    failures.forget(key);
    return session;
  } catch (error) {
    if (asker.gone()) throw new KleisError('interrupted', 'The program that asked for the credential has gone.');
    if (error instanceof KleisError) failures.note(key, error);
    throw error;
  } finally {
    asker.end();
  }
}

/** kubectl may be gone while a person is asked: then nobody is to wait for the answer, and the port is free again. */
function watchAsker({ signal, parentIsGone }: Deps) {
  const departure = new AbortController();
  const watch = setInterval(() => {
    if (parentIsGone()) departure.abort(new Error('the parent is gone'));
  }, 1000);
  return {
    signal: AbortSignal.any([signal, departure.signal]),
    gone: () => departure.signal.aborted,
    end: () => clearInterval(watch),
  };
}

/** True if the session's token is as fresh as this run wants it. */
function isEnough(session: Session, { settings, deps, mode }: SessionRequest): boolean {
  const now = deps.clock.now();
  if (freshToken(session, settings, now) === undefined) return false;
  // Another cluster may have renewed the session already; and without a refresh token there is nothing to do yet.
  if (mode === 'background') {
    return session.tokens.refreshToken === undefined || now < renewalDueAt(timesOf(session, settings));
  }
  // Also for a mark from the future, which a clock that was set back has left behind.
  if (mode === 'rejected') return Math.abs(now - (session.forcedRefreshAt ?? 0)) < forcedRefreshInterval;
  return true;
}

/** Undefined when the provider definitely refuses the refresh token, or what it sends is of no use any more. */
async function refresh(session: Session, { claim, request }: Renewal): Promise<Session | undefined> {
  const { settings, deps, store, mode } = request;
  const { refreshToken, dpopKey, subject } = session.tokens;
  if (refreshToken === undefined) return undefined;
  const now = deps.clock.now();
  const cached = session.provider;
  const interruption = deferrable(deps.signal);
  const connectAgain = async () => {
    const { connect } = await import('../provider/provider.ts');
    // Not all of them: stdin would be opened.
    const { env, platform, clock, report } = deps;
    const known = cached !== undefined && now - cached.fetchedAt < metadataLifetime ? cached.metadata : undefined;
    return connect(settings, { env, platform, clock, report, signal: interruption.signal }, known);
  };
  // The room before the refresh token is spent: a provider that rotates takes it back for ever.
  const [, provider] = await Promise.all([store.reserve(session.key), connectAgain()]);
  // Ours still? Another process that took us for dead may be spending the same refresh token.
  await claim?.extend(refreshDeadline);
  deps.signal.throwIfAborted();
  // From here on Ctrl-C waits: the provider may have replaced the refresh token already.
  interruption.defer();
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
  if (livingToken(saved, settings, deps.clock.now()) !== undefined) return saved;
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

/** The kind of token that the settings ask for, while it is fresh. */
function freshToken(session: Session, settings: Settings, now: number): FreshToken | undefined {
  return now < freshUntil(timesOf(session, settings)) ? tokenOf(session, settings) : undefined;
}

/** As `freshToken`, to the end of its life. */
function livingToken(session: Session, settings: Settings, now: number): FreshToken | undefined {
  return now < endOf(timesOf(session, settings)) ? tokenOf(session, settings) : undefined;
}

function tokenOf({ tokens }: Session, { token: kind }: Settings): FreshToken | undefined {
  const { issuedAt, idToken, accessToken, idTokenExpiresAt, accessTokenExpiresAt } = tokens;
  const token = kind === 'id' ? idToken : accessToken;
  return token && { token, issuedAt, expiresAt: kind === 'id' ? idTokenExpiresAt : accessTokenExpiresAt };
}

function timesOf({ tokens }: Session, { token, minValidity }: Settings): CredentialTimes {
  const { issuedAt, idTokenExpiresAt, accessTokenExpiresAt } = tokens;
  return { issuedAt, expiresAt: token === 'id' ? idTokenExpiresAt : accessTokenExpiresAt, minValidity };
}

/** Passes an interruption on until it is deferred. */
function deferrable(signal: AbortSignal) {
  const controller = new AbortController();
  const pass = () => controller.abort(signal.reason);
  if (signal.aborted) pass();
  signal.addEventListener('abort', pass);
  return { signal: controller.signal, defer: () => signal.removeEventListener('abort', pass) };
}

/** Asked before anything is spent, where the person wants to be asked; the claim is held meanwhile. */
async function askForDestinations(session: Session | undefined, request: SessionRequest, claim?: Claim): Promise<void> {
  const { settings, deps, mode, interactive } = request;
  const destinations = newDestinations(session, request);
  if (!settings.confirmNewClusters || destinations.length === 0) return;
  await claim?.extend(settings.loginTimeout, 'asking about a new cluster');
  const mayAsk = interactive && (mode === 'normal' || mode === 'sign-in');
  await confirmDestinations(destinations, `${nameOfSession(session)} at ${settings.issuerUrl}`, { mayAsk, deps });
}

/** A session that meets a new server says so: a kubeconfig from elsewhere may name a server that nobody knows. */
async function noteDestinations(
  session: Session,
  earlier: Session | undefined,
  request: SessionRequest,
): Promise<Session> {
  const { settings, deps, store } = request;
  const destinations = newDestinations(session, request);
  if (destinations.length === 0) return session;
  // Who has just signed in for a cluster knows which.
  const signedInForIt = session.signedInAt !== earlier?.signedInAt && session.clusters.length === 0;
  for (const { text } of signedInForIt ? [] : destinations) {
    deps.report.info(`New: ${text} now gets tokens of ${nameOfSession(session)} at ${settings.issuerUrl}.`);
  }
  return store.save({ ...session, clusters: [...session.clusters, ...destinations.map(({ identity }) => identity)] });
}

/** The session's key; reads the certificate authority, whose hash is part of it. */
export async function keyOf(settings: Settings): Promise<string> {
  return sessionKey(settings, await readAuthority(settings.certificateAuthority));
}

function requireToken(tokens: TokenSet, settings: Settings): void {
  if ((settings.token === 'id' ? tokens.idToken : tokens.accessToken) === undefined) throw noSuchToken(settings);
}

export function noSuchToken(settings: Settings): KleisError {
  return new KleisError(
    'token_unusable',
    `The provider gave no ${settings.token === 'id' ? 'ID' : 'access'} token that is still valid.`,
  );
}

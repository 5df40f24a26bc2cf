import { KleisError } from '../../shared/errors.ts';
import { isObject, parseObject } from '../../shared/json.ts';
import { type Kubeconfig, kubeconfigSources, loadKubeconfig } from '../kubeconfig/load.ts';
import { methodOf } from '../kubeconfig/method.ts';
import { textOf } from '../kubeconfig/document.ts';
import type { SessionEntry } from '../session/contract.ts';
import { keyOf } from '../session/open.ts';
import { contextSettings } from '../settings/of-context.ts';
import { configFile, placesOf } from '../settings/paths.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { loadConfig } from '../settings/person.ts';
import { isAmbient, resolveRequest } from '../settings/sign-in.ts';
import { openCredentials, storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { noSession, originOf } from './sources.ts';

/** A way to a cluster, or a session that no context leads to. */
export interface Access {
  readonly context: string | undefined;
  readonly current: boolean;
  /** Provider, platform or broker, in few words. */
  readonly via: string;
  readonly session: SessionEntry | undefined;
  /** In few words: what becomes of it when the token ends. */
  readonly state: string;
  readonly signInNeeded: boolean;
  /** Milliseconds. */
  readonly tokenExpiresAt: number | undefined;
  readonly problem: KleisError | undefined;
  /** Names of those that are kept for it, as far as that can be told. */
  readonly credentials: readonly string[];
}

interface Asked {
  readonly context?: string;
  readonly kubeconfig?: string;
}

/**
 * Each context that signs in with Kleis, then each session and each credential of a job that no context leads to; with a
 * context that one alone. Throws `kubeconfig_invalid` for a context or file that was named and cannot be used.
 */
export async function findAccess(asked: Asked, deps: Deps): Promise<Access[]> {
  const kept = createKept();
  if (asked.context !== undefined) return [await ofContext(asked.context, asked, undefined, kept, deps)];
  const sources = kubeconfigSources(asked.kubeconfig, deps);
  let kubeconfig: Kubeconfig | undefined;
  let broken: KleisError | undefined;
  try {
    kubeconfig = await loadKubeconfig(sources);
  } catch (error) {
    // Sessions are there without it.
    if (!(error instanceof KleisError) || asked.kubeconfig !== undefined) throw error;
    broken = error;
  }
  const contexts: Access[] = [];
  for (const { name, body } of kubeconfig?.entries.contexts.values() ?? []) {
    const user = kubeconfig?.entries.users.get(textOf(body['user']));
    if (user === undefined || methodOf(user.body).kind !== 'kleis') continue;
    // oxlint-disable-next-line no-await-in-loop -- a few small files each
    contexts.push(await ofContext(name, asked, kubeconfig, kept, deps));
  }
  const seen = new Set(contexts.map(({ session }) => session?.key));
  const others = (await kept.sessions(deps))
    .filter(({ key }) => !seen.has(key))
    .map((session): Access => ({ ...ofSession(session, deps), context: undefined, current: false }));
  const [first, ...rest] = [...contexts, ...others, ...ofJobs(contexts, deps)];
  if (first === undefined) {
    if (broken !== undefined) throw broken;
    return [];
  }
  return [{ ...first, problem: first.problem ?? broken }, ...rest];
}

/** What many contexts share, read once. */
interface Kept {
  /** Of the place that the environment of an entry names. */
  sessions(deps: Deps): Promise<readonly SessionEntry[]>;
  choices(deps: Deps): Promise<PersonChoices>;
}

function createKept(): Kept {
  return {
    sessions: remember(
      ({ env, platform }) => placesOf({ env, platform }).state,
      async (deps, state) => (state === undefined ? [] : storeOf(deps).list()),
    ),
    choices: remember(
      ({ env, platform }) => configFile(env, platform),
      async (deps) => (await loadConfig(deps)).choices,
    ),
  };
}

function remember<T>(
  placeOf: (deps: Deps) => string | undefined,
  read: (deps: Deps, place: string | undefined) => Promise<T>,
): (deps: Deps) => Promise<T> {
  const known = new Map<string | undefined, Promise<T>>();
  return async (deps) => {
    const place = placeOf(deps);
    const found = known.get(place) ?? read(deps, place);
    known.set(place, found);
    return found;
  };
}

/** Of what has neither session nor trouble. */
const nothing = {
  session: undefined,
  signInNeeded: false,
  tokenExpiresAt: undefined,
  problem: undefined,
  credentials: [],
};

async function ofContext(
  name: string,
  asked: Asked,
  loaded: Kubeconfig | undefined,
  kept: Kept,
  deps: Deps,
): Promise<Access> {
  const place = { ...nothing, context: name, current: loaded?.currentContext === name };
  try {
    const { kubeconfig } = asked;
    const request = { context: name, ...(kubeconfig !== undefined && { kubeconfig }), ...(loaded && { loaded }) };
    const { flags, extension, deps: own } = await contextSettings(request, deps);
    const settings = resolveRequest(flags, extension, await kept.choices(own));
    const { broker } = settings;
    const through = (otherwise: string, who = '') =>
      broker === undefined ? otherwise : `${broker.grant} at ${bare(broker.url)}${who}`;
    const { names: credentials, end: tokenExpiresAt } = keptFor(await originOf(settings), own);
    if (isAmbient(settings) || settings.identity === 'client-credentials') {
      const who = isAmbient(settings) ? settings.identity : `client ${settings.clientId}`;
      return { ...place, via: through(who, `, ${who}`), state: 'no sign-in', tokenExpiresAt, credentials };
    }
    const key = await keyOf(settings);
    const session = (await kept.sessions(own)).find((each) => each.key === key);
    const via = through(bare(settings.issuerUrl));
    if (session === undefined) return { ...place, via, state: 'sign-in needed', signInNeeded: true };
    const { context, current } = place;
    const access = ofSession(session, deps);
    const end = tokenExpiresAt ?? access.tokenExpiresAt;
    return { ...access, context, current, via, tokenExpiresAt: end, credentials };
  } catch (problem) {
    if (!(problem instanceof KleisError) || loaded === undefined) throw problem;
    return { ...place, via: '-', state: 'unusable', problem };
  }
}

/** The credentials that are kept for an origin, and when (milliseconds) the one that lasts longest ends. */
function keptFor(
  origin: string | undefined,
  deps: Deps,
): { readonly names: readonly string[]; readonly end: number | undefined } {
  const kept = origin === undefined ? [] : openCredentials(deps).ofOrigin(origin);
  const ends = kept.map(({ text }) => endOf(text)).filter((end) => end !== undefined);
  return { names: kept.map(({ name }) => name), end: ends.length === 0 ? undefined : Math.max(...ends) };
}

function ofSession(session: SessionEntry, deps: Deps): Omit<Access, 'context' | 'current'> {
  if ('problem' in session) {
    const { problem } = session;
    return { ...nothing, via: '-', session, state: 'unusable', signInNeeded: true, problem };
  }
  const { info } = session;
  const tokenExpiresAt = info.idTokenExpiresAt ?? info.accessTokenExpiresAt;
  const signInNeeded = !info.refreshable && tokenExpiresAt !== undefined && tokenExpiresAt <= deps.clock.now();
  const state = info.refreshable ? 'renews itself' : signInNeeded ? 'sign-in needed' : 'sign in again';
  return { ...nothing, via: bare(info.what.issuerUrl), session, state, signInNeeded, tokenExpiresAt };
}

/** Credentials of the job or the machine that no context asked for: `kleis token` with flags. */
function ofJobs(contexts: readonly Access[], deps: Deps): Access[] {
  const shown = new Set(contexts.flatMap((access) => access.credentials));
  // Without a broker nothing tells for which context one is.
  const mayBeOfContext = contexts.some(({ session, state }) => session === undefined && state === 'no sign-in');
  const credentials = openCredentials(deps);
  return Object.values(noSession).flatMap((session) =>
    credentials.ofSession(session).flatMap(({ name, text, hasOrigin }): Access[] => {
      if (shown.has(name) || (!hasOrigin && mayBeOfContext)) return [];
      const { grant, cluster } = parseObject(text) ?? {};
      const what = [grant, cluster].filter((each) => typeof each === 'string').join(' at ');
      const via = what === '' ? session : what;
      return [
        { ...nothing, context: undefined, current: false, via, state: 'no sign-in', tokenExpiresAt: endOf(text) },
      ];
    }),
  );
}

/** Of an ExecCredential, or of what `kleis token` keeps. */
function endOf(text: string): number | undefined {
  const value = parseObject(text) ?? {};
  const status = isObject(value['status']) ? value['status'] : {};
  const said = status['expirationTimestamp'] ?? value['expiresAt'];
  const end = typeof said === 'string' ? Date.parse(said) : Number.NaN;
  return Number.isNaN(end) ? undefined : end;
}

function bare(url: string): string {
  return url
    .replace(/:\/\/[^/?#]*@/, '://')
    .replace(/^https?:\/\//, '')
    .replace(/\/$/, '');
}

import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { openPresent, type Present } from '../get-token/present.ts';
import { nameOf, whoIs } from '../provider/tokens.ts';
import type { SessionInfo } from '../session/file-format.ts';
import { keyOf } from '../session/open.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import { storeOf } from '../stores.ts';
import { askYesNo } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

export interface SessionVisit {
  readonly settings: Settings | AmbientSettings;
  /** `clusterIdentity`, to which the token will go. */
  readonly cluster: string | undefined;
  /** What signs in: `kleis login --context prod`. */
  readonly command: string;
  /** A sign-in is wanted, without a question. */
  readonly signIn: boolean;
}

export interface SessionFindings {
  readonly findings: readonly DoctorFinding[];
  readonly present: Present | undefined;
}

/** Whether somebody is signed in, and stays so. */
export async function checkSession(visit: SessionVisit, deps: Deps): Promise<SessionFindings> {
  const { settings, cluster, command } = visit;
  const kept = isAmbient(settings) || settings.identity !== 'sso' ? undefined : await findKept(settings, deps);
  const lack = kept && whatLacks(kept, command, deps.clock.now());
  const signIn = visit.signIn || (lack !== undefined && (await wantsSignIn(command, deps)));
  if (lack !== undefined && !signIn) return { findings: [lack], present: undefined };
  try {
    const present = await openPresent(settings, { cluster, signIn }, deps);
    return { findings: describe(present, settings, command), present };
  } catch (error) {
    const failure = toFailure(error, deps);
    if (failure.code !== 'sign_in_needed') return { findings: [failed('session', failure)], present: undefined };
    const why = kept?.info?.refreshable === true ? 'The provider does not take its refresh token any more.' : undefined;
    return { findings: [failed('session', failure, { why, next: command })], present: undefined };
  }
}

function whatLacks({ info, why }: Kept, command: string, now: number): DoctorFinding | undefined {
  if (info === undefined) return unknown('session', 'Nobody is signed in.', { why, next: command });
  if (info.refreshable || endOf(info) > now) return undefined;
  return failed(
    'session',
    new KleisError('sign_in_needed', `The session of ${nameIn(info)} has ended, and it has no refresh token.`, {
      hint: `${command}. For sessions that renew themselves allow refresh tokens to this client, and ask for --scope offline_access.`,
    }),
  );
}

function describe(present: Present, settings: Settings | AmbientSettings, command: string): DoctorFinding[] {
  const { session, name, platform } = present;
  if (session === undefined)
    return [ok('session', `No session is needed: the identity is that of ${clean(platform)}.`)];
  const kept = session.storage === 'memory' ? 'nowhere' : session.storage === 'file' ? 'in a file' : 'in the keyring';
  const since = new Date(session.signedInAt).toISOString();
  const findings = [ok('session', `${clean(name)} is signed in since ${since}; the session is kept ${kept}.`)];
  if (session.tokens.refreshToken !== undefined) return [...findings, ok('refresh', 'It renews itself.')];
  const asked = !isAmbient(settings) && settings.scopes.includes('offline_access');
  return [
    ...findings,
    warning('refresh', 'no_refresh_token', 'It has no refresh token: it ends with its token.', {
      next: asked
        ? 'Allow refresh tokens (offline_access) to this client at the provider.'
        : `Ask for --scope offline_access, or allow refresh tokens to this client; then ${command}.`,
    }),
  ];
}

interface Kept {
  readonly info: SessionInfo | undefined;
  /** Of one that is nearly it. */
  readonly why?: string;
}

/** The session of these settings, without opening the keyring, and else one that was meant for them. */
async function findKept(settings: Settings, deps: Deps): Promise<Kept> {
  const store = storeOf(deps, settings.cache);
  try {
    const key = await keyOf(settings);
    const entries = await store.list();
    const found = entries.find((entry) => entry.key === key);
    if (found !== undefined && 'info' in found) return { info: found.info };
    if (found !== undefined) throw found.problem;
    const infos = entries.flatMap((entry) => ('info' in entry ? [entry.info] : []));
    const near = infos.find(({ what }) => what.issuerUrl === settings.issuerUrl && what.clientId === settings.clientId);
    return { info: undefined, ...(near && { why: howItDiffers(near, settings) }) };
  } catch (error) {
    deps.report.debug(toFailure(error, deps).message);
    return { info: undefined };
  } finally {
    await store.close();
  }
}

/** A session belongs to exactly what was asked for: other scopes, another session. */
function howItDiffers({ what, subject }: SessionInfo, settings: Settings): string {
  const less = settings.scopes.filter((scope) => !what.scopes.includes(scope));
  const more = what.scopes.filter((scope) => !settings.scopes.includes(scope));
  const parts = [
    ...(less.length > 0 ? [`without the scope ${clean(less.join(' '), 200)}`] : []),
    ...(more.length > 0 ? [`with the scope ${clean(more.join(' '), 200)}`] : []),
    ...(what.audience === settings.audience ? [] : [`for the audience ${clean(what.audience ?? '(none)')}`]),
    ...(what.account === settings.account ? [] : [`under the account ${clean(what.account ?? '(none)')}`]),
  ];
  const difference = parts.length === 0 ? 'with other settings' : parts.join(' and ');
  return `There is a session of ${clean(nameOf(subject) ?? 'someone')} at that provider, but ${difference}.`;
}

function endOf({ idTokenExpiresAt, accessTokenExpiresAt }: SessionInfo): number {
  return idTokenExpiresAt ?? accessTokenExpiresAt ?? Infinity;
}

function nameIn({ subject }: SessionInfo): string {
  return clean(whoIs(subject));
}

async function wantsSignIn(command: string, deps: Deps): Promise<boolean> {
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) return false;
  return askYesNo(`Nobody is signed in here. Sign in now, as ${clean(command)} would?`, deps);
}

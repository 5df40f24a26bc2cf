import { formatJson } from '../../shared/json.ts';
import { formatDuration, formatTime } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { type Claims, claimOf } from '../../shared/jwt.ts';
import { shellWord } from '../../shared/shell.ts';
import { widthOf } from '../../shared/table.ts';
import { clean, fold, revealUnseen } from '../../shared/text.ts';
import { openCluster } from '../cluster/client.ts';
import { type SeenUser, whoAmI } from '../cluster/questions.ts';
import { openPresent, type Present, readToken } from '../get-token/present.ts';
import { clusterToken } from '../get-token/script-token.ts';
import { allowClientFiles } from '../session/client-files.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { OutputFlags, SignInFlags } from '../settings/flags.ts';
import type { ContextSettings } from '../settings/of-context.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { settingsFor } from './token.ts';

export type WhoamiFlags = SignInFlags & OutputFlags & { context?: string; kubeconfig?: string; claims?: boolean };

/** Whom the API server sees, or why it was not asked. */
type Seen =
  | { readonly asked: true; readonly user: SeenUser | undefined }
  | { readonly asked: false; readonly why: string };

/** `kleis whoami`: who the caller is to the provider, and to the cluster. Signs nobody in. */
export async function whoami(flags: WhoamiFlags, surroundings: Deps): Promise<void> {
  const { settings, entry, deps } = await settingsFor(flags, surroundings);
  await allowClientFiles(settings, { byPerson: false, mayAsk: deps.stdin.isTTY }, deps);
  const present = await openPresent(settings, { cluster: entry?.identity, signIn: false }, deps).catch(
    (error: unknown) => {
      throw withCommand(error, entry, deps);
    },
  );
  const claims = readToken(present.session?.tokens.idToken ?? present.token)?.claims;
  const seen = entry === undefined ? notAsked('no context is named') : await askCluster(settings, entry, present, deps);
  if (flags.output === 'json') {
    const known = {
      ...toJson(present, settings, claims, entry, seen),
      ...(flags.claims === true && { claims: claims ?? null }),
    };
    deps.stdout.write(formatJson(known));
    return;
  }
  const rows = toRows(present, settings, claims, seen, deps.clock.now());
  const width = widthOf(deps.stdout);
  const text = rows.map(([name, value]) =>
    fold(`${name.padEnd(14)}${clean(value, 2000)}`, width, ' '.repeat(14)).trimEnd(),
  );
  if (flags.claims === true)
    text.push(
      '',
      ...JSON.stringify(claims ?? null, undefined, 2)
        .split('\n')
        .map(revealUnseen),
    );
  deps.stdout.write(`${text.join('\n')}\n`);
}

function withCommand(error: unknown, entry: ContextSettings | undefined, { platform }: Deps): unknown {
  if (!(error instanceof KleisError) || error.code !== 'sign_in_needed' || entry === undefined) return error;
  const hint = `Sign in: kleis login --context ${shellWord(entry.entry.context, platform)}`;
  return new KleisError(error.code, error.message, { hint, cause: error });
}

function notAsked(why: string): Seen {
  return { asked: false, why };
}

/** With the token that kubectl would send: of a broker, where one is between. */
async function askCluster(
  settings: Settings | AmbientSettings,
  { cluster, identity }: ContextSettings,
  present: Present,
  deps: Deps,
): Promise<Seen> {
  try {
    const client = openCluster(cluster, deps);
    const seen = await whoAmI(client, await clusterToken(settings, present, identity, deps));
    switch (seen.kind) {
      case 'known':
        return { asked: true, user: seen.user };
      case 'unknown':
        return { asked: true, user: undefined };
      case 'forbidden':
        return notAsked('it does not let you ask (403)');
      case 'silent':
        return notAsked('it takes the token, and is too old to say for whose');
      case 'odd':
        return notAsked(`it answers with HTTP ${seen.status}`);
    }
  } catch (error) {
    deps.signal.throwIfAborted();
    return notAsked(toFailure(error, deps).message.replace(/\.$/, ''));
  }
}

function toRows(
  present: Present,
  settings: Settings | AmbientSettings,
  claims: Claims | undefined,
  seen: Seen,
  now: number,
): (readonly [string, string])[] {
  const { session, platform, expiresAt } = present;
  const groups = listOf(claims, 'groups');
  const authenticated = timeOf(claims, 'auth_time');
  const how = [textOf(claims, 'acr') ?? '', listOf(claims, 'amr')?.join(', ') ?? ''].filter((each) => each !== '');
  const since = authenticated ?? session?.signedInAt;
  return [
    ...row('Name', present.name),
    ...row('Subject', session?.tokens.subject?.sub ?? textOf(claims, 'sub')),
    ...row('Account', session?.what.account),
    ...row('Provider', session?.what.issuerUrl ?? textOf(claims, 'iss')),
    ...row('Client', session?.what.clientId),
    ...row('Platform', platform),
    ...row('Signed in', since === undefined ? undefined : `${formatTime(since)} (${formatDuration(now - since)} ago)`),
    ...row('How', how.length === 0 ? undefined : how.join('; ')),
    ...row('Groups', claims === undefined ? undefined : (groups ?? []).join(', ') || '(none in the token)'),
    ...row(
      'Token ends',
      expiresAt === undefined ? 'unknown' : `${formatTime(expiresAt)} (in ${formatDuration(expiresAt - now)})`,
    ),
    ...row(
      'Renews',
      session && (session.tokens.refreshToken === undefined ? 'no: sign in again then' : 'yes, by itself'),
    ),
    ...row('Through', settings.broker && `${settings.broker.url}, as the grant ${settings.broker.grant}`),
    ...row('Cluster sees', describeSeen(seen)),
  ];
}

function row(name: string, value: string | undefined): (readonly [string, string])[] {
  return value === undefined ? [] : [[name, value]];
}

function describeSeen(seen: Seen): string {
  if (!seen.asked) return `not asked: ${seen.why}`;
  if (seen.user === undefined) return 'nobody: it refuses this token (401). Why: kleis doctor';
  const groups = seen.user.groups.filter((group) => group !== 'system:authenticated');
  return `${seen.user.username}${groups.length === 0 ? '' : `, in ${groups.join(', ')}`}`;
}

function toJson(
  present: Present,
  settings: Settings | AmbientSettings,
  claims: Claims | undefined,
  entry: ContextSettings | undefined,
  seen: Seen,
): Record<string, unknown> {
  const { session, platform, expiresAt } = present;
  const { broker } = settings;
  return {
    name: present.name,
    subject: session?.tokens.subject?.sub ?? textOf(claims, 'sub'),
    account: session?.what.account,
    issuer: session?.what.issuerUrl ?? textOf(claims, 'iss'),
    clientId: session?.what.clientId,
    platform,
    signedInAt: session && formatTime(session.signedInAt),
    authenticatedAt: maybeIso(timeOf(claims, 'auth_time')),
    acr: textOf(claims, 'acr'),
    amr: listOf(claims, 'amr'),
    groups: listOf(claims, 'groups') ?? [],
    tokenExpiresAt: maybeIso(expiresAt),
    renewsItself: session?.tokens.refreshToken !== undefined,
    ...(broker && { broker: { url: broker.url, grant: broker.grant } }),
    context: entry?.entry.context,
    cluster: {
      server: entry?.cluster.server,
      asked: seen.asked,
      ...(seen.asked ? { accepted: seen.user !== undefined, ...seen.user } : { why: seen.why }),
    },
  };
}

function textOf(claims: Claims | undefined, name: string): string | undefined {
  const value = claims && claimOf(claims, name);
  return typeof value === 'string' ? clean(value, 300) : undefined;
}

/** A claim that is a list, or one of them; undefined where there is none. */
function listOf(claims: Claims | undefined, name: string): string[] | undefined {
  const value = claims && claimOf(claims, name);
  if (value === undefined || value === null) return undefined;
  return [value]
    .flat()
    .slice(0, 1000)
    .map((each) => clean(each, 300));
}

/** Milliseconds. */
function timeOf(claims: Claims | undefined, name: string): number | undefined {
  const value = claims && claimOf(claims, name);
  return typeof value === 'number' && value > 0 && value < 8.64e12 ? value * 1000 : undefined;
}

function maybeIso(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : formatTime(milliseconds);
}

import { formatJson } from '../../shared/json.ts';
import { exitCodes } from '../../shared/errors.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { addressOf } from '../kubeconfig/cluster-identity.ts';
import { nameOf } from '../provider/tokens.ts';
import type { SessionEntry, SessionStore } from '../session/contract.ts';
import { describeDifferences } from '../session/differences.ts';
import type { StatusFlags } from '../settings/flags.ts';
import { storeOf } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';
import { findAccess, type Access } from '../get-token/accesses.ts';

/**
 * `kleis status`: each context of the kubeconfig and each session without one: who, through what, until when. Opens no
 * keyring unless tokens are asked for. Gives 3 where `quiet` is all that is wanted and somebody has to sign in, else 0.
 */
export async function status(flags: StatusFlags, deps: Deps): Promise<number> {
  const store = storeOf(deps);
  const all = await findAccess(flags, deps);
  const signInNeeded = all.length === 0 || all.some((each) => each.signInNeeded);
  if (flags.quiet === true) return signInNeeded ? exitCodes.signIn : exitCodes.ok;
  if (flags.output === 'json') {
    const entries = await store.list();
    const sessions = await Promise.all(entries.map((entry) => toJson(entry, flags.showToken === true, store)));
    const contexts = all.flatMap(({ context, current, via, session, signInNeeded: needed, tokenExpiresAt }) =>
      context === undefined
        ? []
        : [
            {
              name: context,
              current,
              via,
              session: session?.key,
              signInNeeded: needed,
              tokenExpiresAt: toDate(tokenExpiresAt),
            },
          ],
    );
    const credentials = all.flatMap(({ context, session, via, tokenExpiresAt }) =>
      context === undefined && session === undefined ? [{ via, tokenExpiresAt: toDate(tokenExpiresAt) }] : [],
    );
    deps.stdout.write(formatJson({ contexts, sessions, credentials }));
    return exitCodes.ok;
  }
  if (all.length === 0) {
    deps.report.info('Nobody is signed in. `kleis login` signs in, and so does kubectl when it needs to.');
    return exitCodes.ok;
  }
  const sessions = [
    ...new Map(all.flatMap(({ session }) => (session === undefined ? [] : [[session.key, session] as const]))).values(),
  ];
  // All of it before the first byte: what cannot be read must not leave half an answer on stdout.
  const tokens = flags.showToken === true ? await Promise.all(sessions.map((entry) => tokensOf(entry, store))) : [];
  const differences = describeDifferences(sessions);
  const wide = flags.output === 'wide';
  const head = [
    'CONTEXT',
    'ACCOUNT',
    'VIA',
    'TOKEN',
    'SESSION',
    'KEPT',
    ...(wide ? ['ISSUER', 'SCOPES', 'CLUSTERS', 'ID'] : []),
  ];
  printTable(
    head,
    all.map((access) => toRow(access, differences, wide, deps)),
    deps,
  );
  deps.stdout.write(tokens.join(''));
  const problems = new Set(
    all.flatMap(({ problem }) => (problem === undefined ? [] : [`${problem.message} ${problem.hint}`])),
  );
  for (const problem of problems) deps.report.warn(problem);
  return exitCodes.ok;
}

function toRow(access: Access, differences: ReadonlyMap<string, string>, wide: boolean, deps: Deps): string[] {
  const { context, current, via, session, state, tokenExpiresAt } = access;
  const info = session !== undefined && 'info' in session ? session.info : undefined;
  const name = nameOf(info?.subject) ?? '-';
  const account = info?.what.account;
  const who = account === undefined || account === name ? name : `${account} (${name})`;
  const difference = session === undefined ? undefined : differences.get(session.key);
  return [
    context === undefined ? '-' : `${context}${current ? ' *' : ''}`,
    difference === undefined ? who : `${who} (${difference})`,
    via,
    info === undefined && tokenExpiresAt === undefined ? '-' : remaining(tokenExpiresAt, deps.clock.now()),
    state,
    info?.storage ?? (session === undefined ? '-' : 'file'),
    ...(wide
      ? [
          info?.what.issuerUrl ?? '-',
          info?.what.scopes.join(' ') ?? '-',
          shortList([...new Set((info?.clusters ?? []).map(addressOf))]),
          session?.key.slice(0, 12) ?? '-',
        ]
      : []),
  ].map((cell) => clean(cell, 400));
}

async function toJson(entry: SessionEntry, showToken: boolean, store: SessionStore): Promise<Record<string, unknown>> {
  if ('problem' in entry) {
    const { code, message } = entry.problem;
    return { key: entry.key, problem: { code, message } };
  }
  const { info } = entry;
  const tokens = showToken ? (await store.load(entry.key))?.tokens : undefined;
  return {
    key: entry.key,
    issuer: info.what.issuerUrl,
    clientId: info.what.clientId,
    account: info.what.account,
    subject: info.subject?.sub,
    name: info.subject?.name,
    scopes: info.what.scopes,
    audience: info.what.audience,
    resource: info.what.resource,
    idTokenExpiresAt: toDate(info.idTokenExpiresAt),
    accessTokenExpiresAt: toDate(info.accessTokenExpiresAt),
    refreshable: info.refreshable,
    signedInAt: toDate(info.signedInAt),
    refreshedAt: toDate(info.refreshedAt),
    storage: info.storage,
    clusters: [...new Set(info.clusters.map(addressOf))],
    ...(tokens && { idToken: tokens.idToken?.reveal(), accessToken: tokens.accessToken?.reveal() }),
  };
}

/** The first and how many more, without what is the same for all: a table is to fit a terminal. */
function shortList(origins: readonly string[]): string {
  const [first, ...more] = origins.map((origin) => origin.replace(/^https:\/\//, ''));
  if (first === undefined) return '-';
  return more.length === 0 ? first : `${first} +${more.length}`;
}

async function tokensOf(entry: SessionEntry, store: SessionStore): Promise<string> {
  if ('problem' in entry) return '';
  const tokens = (await store.load(entry.key))?.tokens;
  return section('ID token', tokens?.idToken) + section('access token', tokens?.accessToken);
}

function section(kind: string, token: Secret | undefined): string {
  return token === undefined ? '' : `\n${kind}\n${token.reveal()}\n`;
}

function remaining(expiresAt: number | undefined, now: number): string {
  if (expiresAt === undefined) return 'unknown';
  if (expiresAt <= now) return 'ended';
  const minutes = Math.floor((expiresAt - now) / 60_000);
  if (minutes < 1) return `${Math.ceil((expiresAt - now) / 1000)}s left`;
  if (minutes < 120) return `${minutes}m left`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)}h left` : `${Math.floor(minutes / 1440)}d left`;
}

function toDate(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : new Date(milliseconds).toISOString();
}

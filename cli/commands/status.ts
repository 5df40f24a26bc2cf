import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { addressOf } from '../kubeconfig/cluster-identity.ts';
import type { StatusFlags } from '../settings/flags.ts';
import { storeOf } from '../stores.ts';
import { nameOf } from '../provider/tokens.ts';
import type { SessionEntry, SessionStore } from '../session/contract.ts';
import { boldOn } from '../surroundings/report.ts';
import { formatTable } from '../../shared/table.ts';

/** `kleis status`: who is signed in where, until when. Opens no keyring unless tokens are asked for. */
export async function status(flags: StatusFlags, deps: Deps): Promise<void> {
  const store = storeOf(deps);
  const entries = await store.list();
  if (flags.output === 'json') {
    const sessions = await Promise.all(entries.map((entry) => toJson(entry, flags.showToken === true, store)));
    deps.stdout.write(`${JSON.stringify({ sessions }, undefined, 2)}\n`);
    return;
  }
  if (entries.length === 0) {
    deps.report.info('Nobody is signed in. `kleis login` signs in, and so does kubectl when it needs to.');
    return;
  }
  // All of it before the first byte: what cannot be read must not leave half an answer on stdout.
  const tokens = flags.showToken === true ? await Promise.all(entries.map((entry) => tokensOf(entry, store))) : [];
  const rows = entries.map((entry) => toRow(entry, deps));
  const table = formatTable(
    ['ACCOUNT', 'ISSUER', 'TOKEN', 'SESSION', 'KEPT IN', 'CLUSTERS'],
    rows,
    boldOn(deps.stdout, deps.env),
  );
  deps.stdout.write([table, ...tokens].join(''));
  for (const entry of entries) {
    if ('problem' in entry) deps.report.warn(`${entry.problem.message} ${entry.problem.hint}`);
  }
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

function toRow(entry: SessionEntry, deps: Deps): string[] {
  if ('problem' in entry) return [entry.key.slice(0, 12), '', '', 'unusable', 'file', ''];
  const { info } = entry;
  const now = deps.clock.now();
  const name = nameOf(info.subject) ?? '';
  const account = info.what.account;
  return [
    account === undefined || account === name ? name : `${account} (${name})`,
    info.what.issuerUrl,
    remaining(info.idTokenExpiresAt ?? info.accessTokenExpiresAt, now),
    info.refreshable ? 'renews itself' : 'sign in again',
    info.storage,
    shortList([...new Set(info.clusters.map(addressOf))]),
  ].map((cell) => clean(cell, 120));
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

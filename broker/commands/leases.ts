import { readFile } from 'node:fs/promises';
import { exitCodes, isErrorCode, KleisError } from '../../shared/errors.ts';
import { createFetch } from '../../shared/net/http.ts';
import {
  type ErrorResponse,
  type LeasesResponse,
  type LeaseView,
  type RevokeResponse,
  routes,
} from '../../shared/protocol.ts';
import { isLoopback } from '../../shared/net/proxy.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings.ts';
import { formatTable } from '../../shared/table.ts';

/** A running broker, and the token of one of its admins. */
export interface RemoteFlags {
  readonly broker: string;
  readonly tokenFile: string;
  readonly certificateAuthority?: string;
  readonly output: 'table' | 'json';
}

export interface LeasesFlags extends RemoteFlags {
  readonly grant?: string;
}

/** `kleis-broker leases`. Throws what the broker answered. */
export async function listRemote(flags: LeasesFlags, deps: Deps): Promise<void> {
  const leases = await allLeases(await connect(flags, deps), flags.grant);
  if (flags.output === 'json') {
    deps.stdout.write(`${JSON.stringify({ leases }, undefined, 2)}\n`);
    return;
  }
  const rows = leases.map(({ id, grant, cluster, state, holder, created, expires }) =>
    [id, grant, cluster, state, created, expires, holder].map((cell) => clean(cell, 120)),
  );
  deps.stdout.write(formatTable(['ID', 'GRANT', 'CLUSTER', 'STATE', 'CREATED', 'ENDS BY', 'HOLDER'], rows));
}

/** `kleis-broker revoke ID…`, or all of a grant. Gives 0 if all of them are dead or will be at once. */
export async function revokeRemote(ids: readonly string[], flags: LeasesFlags, deps: Deps): Promise<number> {
  const { grant } = flags;
  if (ids.length > 0 === (grant !== undefined)) {
    throw new KleisError('usage', 'Name leases, or the grant whose leases are meant, and not both.');
  }
  const call = await connect(flags, deps);
  const active = async () =>
    (await allLeases(call, grant)).filter(({ state }) => state === 'active').map(({ id }) => id);
  let code: number = exitCodes.ok;
  const results: (RevokeResponse & { readonly id: string; readonly error?: string })[] = [];
  for (const id of grant === undefined ? ids : await active()) {
    try {
      const answer = await call<RevokeResponse>('DELETE', `${routes.leases}/${encodeURIComponent(id)}`);
      results.push({ ...answer, id });
    } catch (error) {
      // The others are to end all the same.
      if (!(error instanceof KleisError)) throw error;
      code = error.exitCode;
      results.push({ id, revoked: false, error: error.message });
    }
  }
  const told = (result: (typeof results)[number]) => result.error ?? whenDead(result);
  deps.stdout.write(
    flags.output === 'json'
      ? `${JSON.stringify({ results }, undefined, 2)}\n`
      : formatTable(
          ['ID', 'OUTCOME'],
          results.map((result) => [clean(result.id, 80), told(result)]),
        ),
  );
  return code;
}

function whenDead({ reason, dead_within: seconds = 0 }: RevokeResponse): string {
  if (reason === 'expired') return 'it had expired';
  return seconds === 0 ? 'dead' : `dead within ${seconds} s`;
}

type Call = <T>(method: 'GET' | 'DELETE', path: string) => Promise<T>;

async function connect({ broker, tokenFile, certificateAuthority }: RemoteFlags, { env }: Deps): Promise<Call> {
  const base = URL.canParse(broker) ? new URL(broker) : undefined;
  if (base === undefined || (base.protocol !== 'https:' && !(base.protocol === 'http:' && isLoopback(base.hostname)))) {
    throw new KleisError('usage', '--broker is the https URL of the broker.');
  }
  const token = (await read(tokenFile)).trim();
  const authority = certificateAuthority === undefined ? undefined : await read(certificateAuthority);
  const fetch = createFetch({ certificateAuthority: authority, env, maxBody: 4 * 1024 * 1024 });
  return async <T>(method: 'GET' | 'DELETE', path: string) => {
    const url = `${base.href.replace(/\/$/, '')}${path}`;
    const response = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok && typeof body === 'object' && body !== null) return body as T;
    throw failure(response.status, body as Partial<ErrorResponse> | undefined);
  };
}

function failure(status: number, body: Partial<ErrorResponse> | undefined): KleisError {
  const { code, message, hint, request_id: id } = body ?? {};
  if (typeof code !== 'string' || !isErrorCode(code) || typeof message !== 'string') {
    return new KleisError('provider_invalid', `The broker answers with HTTP ${status} and nothing that can be read.`, {
      hint: 'Check --broker.',
    });
  }
  return new KleisError(code, `${clean(message)} (request ${clean(id ?? 'unknown', 60)})`, {
    ...(typeof hint === 'string' && { hint: clean(hint) }),
  });
}

async function allLeases(call: Call, grant: string | undefined): Promise<LeaseView[]> {
  const leases: LeaseView[] = [];
  let next: string | undefined;
  do {
    const query = new URLSearchParams({ limit: '500' });
    if (grant !== undefined) query.set('grant', grant);
    if (next !== undefined) query.set('continue', next);
    const page = await call<LeasesResponse>('GET', `${routes.leases}?${query.toString()}`);
    leases.push(...page.leases);
    next = page.continue;
  } while (next !== undefined);
  return leases;
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw new KleisError('usage', `${clean(file)} cannot be read: ${clean(code ?? cause)}.`, { cause });
  });
}

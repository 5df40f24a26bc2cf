import {
  type BrokerAnswer,
  type BrokerConnection,
  openBrokerConnection,
  readRevocation,
} from '../../shared/broker-client.ts';
import { exitCodes, KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { serverUrlFaults, urlFaults } from '../../shared/net/url.ts';
import { type LeaseView, type RevokeResponse, routes } from '../../shared/protocol.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { Secret } from '../../shared/secret.ts';
import { clean, shown } from '../../shared/text.ts';
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
  const remote = await connect(flags, deps);
  const active = async () =>
    (await allLeases(remote, grant)).filter(({ state }) => state === 'active').map(({ id }) => id);
  let code: number = exitCodes.ok;
  const results: (RevokeResponse & { readonly id: string; readonly error?: string })[] = [];
  for (const id of grant === undefined ? ids : await active()) {
    try {
      const answer = await remote.call('DELETE', `${routes.leases}/${encodeURIComponent(id)}`);
      results.push({ ...readRevocation(answer, remote), id });
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

async function connect({ broker: url, tokenFile, certificateAuthority }: RemoteFlags, deps: Deps): Promise<Remote> {
  const [fault] = serverUrlFaults(url);
  if (fault !== undefined) throw new KleisError('usage', `--broker ${shown(url)} ${urlFaults[fault]}.`);
  const token = (await readTextFile(tokenFile, { code: 'usage', limit: 64 * 1024 })).trim();
  if (!/^[\x21-\x7e]+$/.test(token)) throw new KleisError('usage', `There is no token in ${clean(tokenFile, 400)}.`);
  const broker = openBrokerConnection({
    url,
    certificateAuthority: await readAuthority(certificateAuthority),
    authorityFlag: '--certificate-authority',
    env: deps.env,
    clock: deps.clock,
    signal: deps.signal,
    maxBody: 4 * 1024 * 1024,
  });
  const bearer = new Secret(token);
  return {
    call: async (method, path) => broker.request({ method, path, bearer }),
    notABroker: (why) => broker.notABroker(why),
  };
}

/** A broker, asked as one of its admins. */
interface Remote extends Pick<BrokerConnection, 'notABroker'> {
  call(method: 'GET' | 'DELETE', path: string): Promise<BrokerAnswer>;
}

async function allLeases(remote: Remote, grant: string | undefined): Promise<LeaseView[]> {
  const leases: LeaseView[] = [];
  const seen = new Set<string>();
  for (let next: string | undefined; ;) {
    const query = new URLSearchParams({ limit: '500' });
    if (grant !== undefined) query.set('grant', grant);
    if (next !== undefined) query.set('continue', next);
    const { body } = await remote.call('GET', `${routes.leases}?${query.toString()}`);
    if (!Array.isArray(body['leases'])) throw remote.notABroker('it gives no list of leases');
    leases.push(...(body['leases'] as LeaseView[]));
    if (typeof body['continue'] !== 'string') return leases;
    next = body['continue'];
    if (seen.has(next)) throw remote.notABroker('its list of leases has no end');
    seen.add(next);
  }
}

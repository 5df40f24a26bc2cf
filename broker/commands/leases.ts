import { formatJson } from '../../shared/json.ts';
import { openBrokerConnection } from '../../shared/broker-client.ts';
import { type Admin, allLeases, describeEnd, endLeases } from '../../shared/broker-leases.ts';
import { KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { serverUrlFaults, urlFaults } from '../../shared/net/url.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { Secret } from '../../shared/secret.ts';
import { clean, shown } from '../../shared/text.ts';
import type { Deps } from '../surroundings.ts';
import { fitTable, formatTable, widthOf } from '../../shared/table.ts';

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
  const leases = await allLeases(await connect(flags, deps), { grant: flags.grant });
  if (flags.output === 'json') {
    deps.stdout.write(formatJson({ leases }));
    return;
  }
  const rows = leases.map(({ id, grant, cluster, state, holder, created, expires }) =>
    [id, grant, cluster, state, created, expires, holder].map((cell) => clean(cell, 120)),
  );
  deps.stdout.write(
    fitTable(['ID', 'GRANT', 'CLUSTER', 'STATE', 'CREATED', 'ENDS BY', 'HOLDER'], rows, widthOf(deps.stdout)),
  );
}

/** `kleis-broker revoke ID…`, or all of a grant. Gives 0 if all of them are dead or will be at once. */
export async function revokeRemote(ids: readonly string[], flags: LeasesFlags, deps: Deps): Promise<number> {
  const { grant } = flags;
  if (ids.length > 0 === (grant !== undefined)) {
    throw new KleisError('usage', 'Name leases, or the grant whose leases are meant, and not both.');
  }
  const admin = await connect(flags, deps);
  const ofGrant = async () => (await allLeases(admin, { grant, state: 'active' })).map(({ id }) => id);
  const { results, code } = await endLeases(admin, grant === undefined ? ids : await ofGrant());
  deps.stdout.write(
    flags.output === 'json'
      ? formatJson({ results })
      : formatTable(
          ['ID', 'OUTCOME'],
          results.map((result) => [clean(result.id, 80), describeEnd(result)]),
        ),
  );
  return code;
}

async function connect({ broker: url, tokenFile, certificateAuthority }: RemoteFlags, deps: Deps): Promise<Admin> {
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
  return { broker, bearer: new Secret(token) };
}

import { formatJson } from '../../shared/json.ts';
import { type Admin, allLeases, describeEnd, endLeases } from '../../shared/broker-leases.ts';
import { KleisError } from '../../shared/errors.ts';
import type { LeaseView } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { openAdmin } from '../get-token/ask-broker.ts';
import type { AdminRevokeFlags } from '../settings/flags.ts';
import { askYesNo, requireTerminal } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';
import { shortId, whoOf } from './admin-leases.ts';

/** Shorter ones fit by accident. */
const leastPrefix = 4;
const mostShown = 10;

/**
 * `kleis admin revoke`: ends leases by id, subject or grant, or all. Gives 0 if all of them are dead or will be at once,
 * else the exit code of one that could not be ended.
 */
export async function adminRevoke(ids: readonly string[], flags: AdminRevokeFlags, deps: Deps): Promise<number> {
  const { subject, grant, all = false } = flags;
  const byFilter = subject !== undefined || grant !== undefined;
  if ([ids.length > 0, byFilter, all].filter(Boolean).length !== 1) {
    throw new KleisError('usage', 'It is not said, in one way, what to revoke.', {
      hint: 'Name leases, or --subject or --grant or both, or say --all.',
    });
  }
  const admin = await openAdmin(flags, deps);
  const wanted =
    ids.length > 0 ? await leasesNamed(ids, admin) : await allLeases(admin, { subject, grant, state: 'active' });
  if (wanted.length === 0) {
    if (flags.output === 'json') deps.stdout.write(formatJson({ results: [] }));
    else deps.report.info('There is no such lease, so nothing is revoked.');
    return 0;
  }
  if (flags.yes !== true) await confirm(wanted, deps);
  const { results, code } = await endLeases(
    admin,
    wanted.map(({ id }) => id),
  );
  if (flags.output === 'json') {
    deps.stdout.write(formatJson({ results }));
    return code;
  }
  const leases = new Map(wanted.map((lease) => [lease.id, lease]));
  const rows = results.map((ended) => {
    const lease = leases.get(ended.id)!;
    return [ended.id.slice(0, shortId), lease.grant, whoOf(lease), describeEnd(ended)];
  });
  printTable(['ID', 'GRANT', 'WHO', 'OUTCOME'], rows, deps);
  return code;
}

/** Each by its id, or by a beginning that no other has. Throws before anything is revoked. */
async function leasesNamed(ids: readonly string[], admin: Admin): Promise<LeaseView[]> {
  const there = await allLeases(admin);
  const found = ids.map((id) => {
    const exact = there.find((lease) => lease.id === id);
    if (exact !== undefined) return exact;
    const fitting = id.length < leastPrefix ? [] : there.filter((lease) => lease.id.startsWith(id));
    const [only, ...more] = fitting;
    if (only !== undefined && more.length === 0) return only;
    if (only === undefined) {
      const short = id.length < leastPrefix ? ` A beginning of it has at least ${leastPrefix} characters.` : '';
      throw new KleisError('lease_unknown', `There is no lease ${clean(id, 80)}.${short}`, {
        hint: 'List those there are with `kleis admin leases`.',
      });
    }
    const list = fitting.slice(0, mostShown).map((lease) => lease.id);
    throw new KleisError('usage', `Several leases begin with ${clean(id, 80)}: ${list.join(', ')}.`, {
      hint: 'Give more of the one that is meant; `kleis admin leases -o wide` shows all of it.',
    });
  });
  return [...new Map(found.map((lease) => [lease.id, lease])).values()];
}

async function confirm(leases: readonly LeaseView[], deps: Deps): Promise<void> {
  const count = leases.length === 1 ? 'a lease' : `${leases.length} leases`;
  requireTerminal(`That revokes ${count}`, 'Pass --yes if that is meant.', deps);
  for (const lease of leases.slice(0, mostShown)) {
    deps.report.info(`  ${lease.id.slice(0, shortId)}   ${lease.grant}   ${whoOf(lease)}`);
  }
  if (leases.length > mostShown) deps.report.info(`  and ${leases.length - mostShown} more`);
  if (await askYesNo(`Revoke ${count}?`, deps)) return;
  throw new KleisError('sign_in_refused', 'That was not confirmed, so nothing is revoked.', {
    hint: 'Answer y if it is meant.',
  });
}

import { formatJson } from '../../shared/json.ts';
import { allLeases } from '../../shared/broker-leases.ts';
import { formatAge } from '../../shared/duration.ts';
import type { GrantView } from '../../shared/protocol.ts';
import { readAllGrants } from '../broker/admin.ts';
import { openAdmin } from '../get-token/ask-broker.ts';
import type { AdminGrantsFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';
import { livesOf } from './grants.ts';

/** `kleis admin grants`: every grant of a broker, when a lease of it was last taken, and what is unwise about it. */
export async function adminGrants(flags: AdminGrantsFlags, deps: Deps): Promise<void> {
  const admin = await openAdmin(flags, deps);
  const grants = await readAllGrants(admin.address, admin.bearer);
  if (flags.output === 'name') {
    for (const { name } of grants) deps.stdout.write(`${name}\n`);
    return;
  }
  const used = new Map<string, string>();
  for (const { grant, created } of await allLeases(admin)) {
    if (created > (used.get(grant) ?? '')) used.set(grant, created);
  }
  if (flags.output === 'json') {
    const all = grants.map((grant) => ({ ...grant, last_used: used.get(grant.name) }));
    deps.stdout.write(formatJson({ grants: all }));
    return;
  }
  if (grants.length === 0) return deps.report.info('That broker has no grant.');
  const now = deps.clock.now();
  const wide = flags.output === 'wide';
  const row = (grant: GrantView): string[] => {
    const last = used.get(grant.name);
    return [
      grant.name,
      grant.cluster,
      grant.issuer,
      livesOf(grant),
      grant.revocable ? 'yes' : 'no',
      last === undefined ? '-' : formatAge(now - Date.parse(last)),
      String(grant.warnings?.length ?? 0),
      ...(wide ? [grant.account, (grant.access ?? []).join('; ') || '-'] : []),
    ];
  };
  const head = ['NAME', 'CLUSTER', 'ISSUER', 'LIVES', 'REVOCABLE', 'USED', 'WARNINGS'];
  printTable(wide ? [...head, 'ACCOUNT', 'ACCESS'] : head, grants.map(row), deps);
  for (const { name, warnings = [] } of grants) {
    for (const { code, message } of warnings) deps.report.warn(`${name}: ${message} (${code})`);
  }
}

import { formatJson } from '../../shared/json.ts';
import { formatDuration } from '../../shared/duration.ts';
import type { WellKnownGrant } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { readDirectory } from '../broker/directory.ts';
import { askBroker } from '../get-token/ask-broker.ts';
import type { GrantsFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';

/** `kleis grants`: what a broker would give the caller now. */
export async function listGrants(flags: GrantsFlags, deps: Deps): Promise<void> {
  const { broker, caller } = await askBroker(flags, deps);
  const { grants } = await readDirectory(broker, caller.token);
  if (flags.output === 'json') {
    deps.stdout.write(formatJson({ grants }));
    return;
  }
  if (flags.output === 'name') {
    for (const { name } of grants) deps.stdout.write(`${name}\n`);
    return;
  }
  if (grants.length === 0) {
    deps.report.info(
      `${clean(broker.url)} has no grant for ${clean(caller.name)}. Ask whoever runs that broker for one.`,
    );
    return;
  }
  const said = grants.some(({ access }) => access !== undefined);
  const head = ['NAME', 'CLUSTER', 'LIVES', 'REVOCABLE', ...(said ? ['ACCESS'] : [])];
  const rows = grants.map((grant) => [
    grant.name,
    grant.cluster,
    livesOf(grant),
    grant.revocable ? 'yes' : 'no',
    ...(said ? [clean((grant.access ?? []).join('; ') || '-', 2000)] : []),
  ]);
  printTable(head, rows, deps);
}

/** `15m, up to 1h` */
export function livesOf({ expires_in: usual, max_expires_in: most }: WellKnownGrant): string {
  const text = formatDuration(usual * 1000);
  return most > usual ? `${text}, up to ${formatDuration(most * 1000)}` : text;
}

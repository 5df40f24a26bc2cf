import { formatJson } from '../../shared/json.ts';
import { allLeases } from '../../shared/broker-leases.ts';
import { formatAge } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import type { LeaseView } from '../../shared/protocol.ts';
import { formatTable } from '../../shared/table.ts';
import { printBlock } from '../kubeconfig/print.ts';
import { openAdmin } from '../get-token/ask-broker.ts';
import type { AdminLeasesFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';

/** Milliseconds between two questions of `--watch`; each of them stands in the broker's audit. */
const watchPause = 5_000;

/** `kleis admin leases`: who has which token now, the newest first. */
export async function adminLeases(flags: AdminLeasesFlags, deps: Deps): Promise<void> {
  const { all = false, grant, subject, output } = flags;
  if (flags.watch === true && output !== 'table' && output !== 'wide' && output !== 'name') {
    throw new KleisError('usage', '--watch prints lines, so it goes with -o table, wide and name.');
  }
  let admin = await openAdmin(flags, deps);
  const read = async (): Promise<LeaseView[]> => {
    const found = await allLeases(admin, { grant, subject, state: all ? undefined : 'active' });
    return found
      .filter((lease) => all || stateOf(lease, deps.clock.now()) === 'active')
      .toSorted((left, right) => (left.created < right.created ? 1 : -1));
  };
  let known = await read();
  print(known, output, deps);
  while (flags.watch === true) {
    await deps.clock.sleep(watchPause, deps.signal);
    const now = await read().catch(async (error: unknown) => {
      if (!(error instanceof KleisError) || error.code !== 'bearer_invalid') throw error;
      // The sign-in of who watches for hours ends, and is renewed.
      admin = await openAdmin(flags, deps);
      return read();
    });
    const before = new Map(known.map((lease) => [lease.id, lease]));
    const ids = new Set(now.map(({ id }) => id));
    const changed = [
      ...now.filter(({ id, state }) => before.get(id)?.state !== state),
      ...known.filter(({ id }) => !ids.has(id)).map((lease) => ({ ...lease, state: 'ended' })),
    ];
    printLines(changed, output, deps);
    known = now;
  }
}

function print(leases: readonly LeaseView[], output: AdminLeasesFlags['output'], deps: Deps): void {
  const { stdout } = deps;
  if (output === 'json') return void stdout.write(formatJson({ leases }));
  if (output === 'yaml') return void stdout.write(`${printBlock({ leases }, { listIndent: 2 }).join('\n')}\n`);
  if (output === 'name') return printLines(leases, output, deps);
  if (leases.length === 0) return deps.report.info('There is no such lease.');
  printTable(headOf(output), rowsOf(leases, output, deps.clock.now()), deps);
}

/** What has changed since, as lines below what stands there. */
function printLines(leases: readonly LeaseView[], output: AdminLeasesFlags['output'], deps: Deps): void {
  if (leases.length === 0) return;
  if (output === 'name') return void deps.stdout.write(leases.map(({ id }) => `${id}\n`).join(''));
  const table = formatTable(headOf(output), rowsOf(leases, output, deps.clock.now()));
  deps.stdout.write(table.slice(table.indexOf('\n') + 1));
}

function headOf(output: AdminLeasesFlags['output']): string[] {
  const head = ['ID', 'GRANT', 'WHO', 'AGE', 'ENDS', 'STATE'];
  return output === 'wide' ? [...head, 'CLUSTER', 'ACCOUNT', 'REVOCABLE', 'WHY'] : head;
}

function rowsOf(leases: readonly LeaseView[], output: AdminLeasesFlags['output'], now: number): string[][] {
  return leases.map((lease) => {
    const { id, grant, holder, created, expires, cluster, account, revocable, why } = lease;
    const [age, left] = [now - Date.parse(created), Date.parse(expires) - now];
    const wide = output === 'wide';
    return [
      wide ? id : id.slice(0, shortId),
      grant,
      wide ? holder : whoOf(lease),
      formatAge(age),
      left > 0 ? `in ${formatAge(left)}` : `${formatAge(-left)} ago`,
      stateOf(lease, now),
      ...(wide ? [cluster, account, revocable ? 'yes' : 'no', why ?? ''] : []),
    ];
  });
}

export const shortId = 8;

/** Without the issuer. */
export function whoOf({ holder }: LeaseView): string {
  return holder.slice(holder.indexOf(' ') + 1);
}

/** A lease whose token has ended stays active until the broker clears it away. */
export function stateOf({ state, expires }: LeaseView, now: number): string {
  return state === 'active' && Date.parse(expires) <= now ? 'ended' : state;
}

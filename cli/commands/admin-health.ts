import { formatJson } from '../../shared/json.ts';
import { exitCodes } from '../../shared/errors.ts';
import { readHealth } from '../broker/admin.ts';
import { openAdmin } from '../get-token/ask-broker.ts';
import type { AdminFlags, OutputFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';

/** `kleis admin health`: what the broker says of itself. Gives 0 if it is ready, else 5. */
export async function adminHealth(flags: AdminFlags & OutputFlags, deps: Deps): Promise<number> {
  const { address, bearer } = await openAdmin(flags, deps);
  const { ready, checks } = await readHealth(address, bearer);
  const code = ready ? exitCodes.ok : exitCodes.unavailable;
  if (flags.output === 'json') {
    deps.stdout.write(formatJson({ ready, checks }));
    return code;
  }
  if (checks === undefined) {
    deps.report.info('What it checks it tells at its address for operations alone (`metrics.listen`).');
  } else {
    const rows = checks.map(({ name, ok, critical, pending, message }) => [
      ok ? 'ok' : pending ? 'unknown' : critical ? 'FAILED' : 'warning',
      name,
      message,
    ]);
    printTable(['', 'CHECK', 'WHY'], rows, deps);
    deps.stdout.write('\n');
  }
  deps.stdout.write(ready ? 'ready\n' : 'not ready\n');
  return code;
}

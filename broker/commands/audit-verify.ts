import { formatJson } from '../../shared/json.ts';
import { exitCodes, KleisError } from '../../shared/errors.ts';
import { openCluster } from '../../shared/kube/client.ts';
import { clean } from '../../shared/text.ts';
import { openAdmin } from '../cluster/admin-access.ts';
import { loadConfig } from '../config/load.ts';
import type { Deps } from '../surroundings.ts';
import { formatTable } from '../../shared/table.ts';
import { type Anchor, kubeAnchors } from '../audit/anchors.ts';
import { type AuditReport, type ChainReport, verifyAudit } from '../audit/verify.ts';

export interface AuditVerifyFlags {
  /** Says where the anchors are. */
  readonly config?: string;
  /** To read them with, instead of the broker's own credentials. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly partial: boolean;
  readonly output: 'table' | 'json';
}

/**
 * `kleis-broker audit verify FILE…`. Gives 0 if anchors vouch for what is there, 1 if something is wrong with it, 5 if
 * nothing is but nobody vouches for it: without anchors a chain can be invented as a whole. Throws when it cannot look.
 */
export async function auditVerify(files: readonly string[], flags: AuditVerifyFlags, deps: Deps): Promise<number> {
  const anchors = await findAnchors(flags, deps);
  const { partial } = flags;
  const report = await verifyAudit(files, { anchors, partial, now: deps.clock.now() }).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new KleisError('usage', `The files cannot be read: ${clean(message)}.`, { detail: code ?? '', cause });
  });
  deps.stdout.write(
    flags.output === 'json'
      ? formatJson({ ...report, anchorsAsked: anchors !== undefined })
      : printReport(report, flags),
  );
  if (!report.ok) return exitCodes.unexpected;
  return report.verified ? exitCodes.ok : exitCodes.unavailable;
}

async function findAnchors(
  { config: location, kubeconfig, context }: AuditVerifyFlags,
  { env, clock, stderr }: Deps,
): Promise<readonly Anchor[] | undefined> {
  if (location === undefined) return undefined;
  const { state, clusters } = (await loadConfig(location)).config;
  // Nobody keeps any there.
  if ('memory' in state) return undefined;
  const now = () => clock.now();
  const config = clusters[state.cluster]!;
  const { server, certificateAuthority, tlsServerName } = config;
  const admin = kubeconfig === undefined ? undefined : await openAdmin({ kubeconfig, context, env, now });
  const kube =
    admin?.kube ??
    openCluster({ credentials: config.credentials, server, certificateAuthority, tlsServerName, env, now });
  try {
    return await kubeAnchors(kube, state.namespace, now).list();
  } catch (error) {
    const reason = clean(error instanceof Error ? error.message : error, 400);
    stderr.write(`warning: the anchors cannot be read: ${reason}\n`);
    return undefined;
  } finally {
    await (admin?.close() ?? kube.close());
  }
}

function printReport({ ok, verified, chains, faults, others }: AuditReport, { config }: AuditVerifyFlags): string {
  const rows = chains.map((chain) => [
    chain.chain,
    `${chain.first}-${chain.last}`,
    chain.from,
    chain.to,
    chain.ended ? 'yes' : 'no',
    uncovered(chain),
  ]);
  const parts = [formatTable(['CHAIN', 'LINES', 'FROM', 'TO', 'ENDED', 'NOT ANCHORED'], rows)];
  if (faults.length > 0) {
    parts.push(faults.map(({ kind, chain, place, message }) => `${place ?? chain}: ${kind}: ${message}\n`).join(''));
  }
  if (others > 0) parts.push(`${others} lines are no audit and were passed over\n`);
  if (!ok) parts.push(faults.length === 1 ? '1 fault\n' : `${faults.length} faults\n`);
  else if (!verified) {
    const advice = config === undefined ? ' --config says where the anchors are.' : '';
    parts.push(
      'NOT VERIFIED: the lines hang together, but nothing vouches for those that are not anchored. ' +
        `Whoever has the files could have made them, or cut others off.${advice}\n`,
    );
  } else if (rows.every(([, , , , , lines]) => lines === 'none'))
    parts.push('verified: anchors vouch for every line\n');
  else parts.push('verified: anchors vouch for every line but the latest of replicas that run\n');
  return parts.join('\n');
}

/** The lines that nothing vouches for. */
function uncovered({ covered, first, last }: ChainReport): string {
  if (covered === undefined) return `all, ${first}-${last}`;
  const parts = [
    covered.first > first ? `${first}-${covered.first - 1}` : '',
    covered.last < last ? `${covered.last + 1}-${last}` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'none' : parts.join(', ');
}

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
 * `kleis-broker audit verify FILE…`. Gives 1 if something is wrong with the files, 5 if nothing is but the anchors that
 * should vouch for their ends cannot be read. Throws when it cannot look.
 */
export async function auditVerify(files: readonly string[], flags: AuditVerifyFlags, deps: Deps): Promise<number> {
  const { anchors, unreadable } = await findAnchors(flags, deps);
  const report = await verifyAudit(files, { anchors, partial: flags.partial }).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new KleisError('usage', `The files cannot be read: ${clean(message)}.`, { detail: code ?? '', cause });
  });
  const asked = anchors !== undefined;
  deps.stdout.write(
    flags.output === 'json'
      ? `${JSON.stringify({ ...report, anchorsAsked: asked }, undefined, 2)}\n`
      : printReport(report, asked),
  );
  if (!report.ok) return exitCodes.unexpected;
  return unreadable ? exitCodes.unavailable : exitCodes.ok;
}

async function findAnchors(
  { config: location, kubeconfig, context }: AuditVerifyFlags,
  { env, clock, stderr }: Deps,
): Promise<{ readonly anchors: readonly Anchor[] | undefined; readonly unreadable: boolean }> {
  if (location === undefined) return { anchors: undefined, unreadable: false };
  const { state, clusters } = (await loadConfig(location)).config;
  // Nobody keeps any there.
  if ('memory' in state) return { anchors: undefined, unreadable: false };
  const now = () => clock.now();
  const config = clusters[state.cluster]!;
  const { server, certificateAuthority, tlsServerName } = config;
  const admin = kubeconfig === undefined ? undefined : await openAdmin({ kubeconfig, context, env, now });
  const kube =
    admin?.kube ??
    openCluster({ credentials: config.credentials, server, certificateAuthority, tlsServerName, env, now });
  try {
    return { anchors: await kubeAnchors(kube, state.namespace, now).list(), unreadable: false };
  } catch (error) {
    const reason = clean(error instanceof Error ? error.message : error, 400);
    stderr.write(`warning: the anchors cannot be read, so nothing can be said about the ends of chains: ${reason}\n`);
    return { anchors: undefined, unreadable: true };
  } finally {
    await (admin?.close() ?? kube.close());
  }
}

function printReport({ ok, chains, faults, others }: AuditReport, anchorsAsked: boolean): string {
  const rows = chains.map((chain) => [
    chain.chain,
    `${chain.first}-${chain.last}`,
    chain.from,
    chain.to,
    chain.ended ? 'yes' : 'no',
    covered(chain, anchorsAsked),
  ]);
  const parts = [formatTable(['CHAIN', 'LINES', 'FROM', 'TO', 'ENDED', 'NOT ANCHORED'], rows)];
  if (faults.length > 0) {
    parts.push(faults.map(({ kind, chain, place, message }) => `${place ?? chain}: ${kind}: ${message}\n`).join(''));
  }
  if (others > 0) parts.push(`${others} lines are no audit and were passed over\n`);
  parts.push(ok ? 'nothing is wrong with what is there\n' : `${faults.length} faults\n`);
  return parts.join('\n');
}

/** The lines that could be cut off without a trace. */
function covered({ anchored, last }: ChainReport, asked: boolean): string {
  if (!asked) return 'unknown';
  if (anchored === undefined) return `all, 1-${last}`;
  return anchored >= last ? 'none' : `${anchored + 1}-${last}`;
}

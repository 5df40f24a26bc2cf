import type { Logger } from 'pino';
import { clean } from '../../shared/text.ts';
import type { AuditLog } from '../audit/log.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { Grant } from '../policy/grant.ts';
import { pullKillSwitch } from '../leases/bound-objects.ts';
import type { Lease } from '../leases/lease.ts';
import type { LeaseServices } from '../leases/lifecycle.ts';
import { revokeLease } from '../leases/revocation.ts';
import { ClusterFault } from '../cluster/fault.ts';
import type { Telemetry } from './telemetry.ts';

const why = 'its grant was dropped';

/**
 * Milliseconds for which a replica leaves tokens of grants that it never knew alone. One that starts with the old
 * configuration amid a rollout is gone by then, and what it does not know were the honest jobs of the new one.
 */
const rollout = 15 * 60_000;

/** Milliseconds. API servers tell the time in whole seconds, and a lease was taken before or after one of them. */
const precision = 2_000;

/** For each question about the leases of one grant the API server looks at all of them. */
const mostQuestions = 20;

/** Since when this process has no such grants. */
export interface Dropped {
  /** A configuration came that has these no more. */
  follow(config: BrokerConfig, dropped: readonly string[]): void;
  has(grant: string): boolean;
  /** Grants whose leases it may cover; undefined: those of any that the configuration has not. */
  suspects(): readonly string[] | undefined;
  /**
   * Whether the lease is of a grant that is certainly gone, and not of one that is yet to come here. `at`: the time now,
   * by which leases are kept.
   */
  covers(lease: Pick<Lease, 'grant' | 'renewedAt'>, at: number): boolean;
}

export function createDropped(now: () => number): Dropped {
  const started = stopwatch(now);
  const droppedAt = new Map<string, () => number>();
  return {
    follow({ grants }, dropped) {
      for (const name of dropped) droppedAt.set(name, stopwatch(now));
      for (const name of droppedAt.keys()) if (Object.hasOwn(grants, name)) droppedAt.delete(name);
    },
    has: (grant) => droppedAt.has(grant),
    suspects: () => (started() >= rollout || droppedAt.size > mostQuestions ? undefined : [...droppedAt.keys()]),
    covers({ grant, renewedAt }, at) {
      const seen = droppedAt.get(grant);
      // Later ones are of a replica with a newer configuration, or of one that will see the drop itself.
      if (seen !== undefined) return renewedAt <= at - seen() + precision;
      const passed = started();
      return passed >= rollout && renewedAt <= at - passed;
    },
  };
}

/**
 * Milliseconds since it was made. Our clock may be set and the steady one stops while a machine sleeps: more time passed
 * than either says at the least, and too much leaves a lease alone.
 */
function stopwatch(now: () => number): () => number {
  const [wall, steady] = [now(), performance.now()];
  return () => Math.max(now() - wall, performance.now() - steady);
}

/** Of the services, what it takes to revoke and to say so. */
export interface RevocationServices {
  readonly loaded: { readonly config: BrokerConfig; readonly hash: string };
  readonly dropped: Dropped;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly telemetry: Pick<Telemetry, 'revoked'>;
  readonly log: Pick<Logger, 'warn'>;
}

/**
 * Revokes what was minted for grants that the configuration no longer has. `leases` may know clusters that went with
 * them. What fails is told in the log and left to the next round; gives how many did.
 */
export async function revokeDropped(
  services: RevocationServices,
  leases: LeaseServices,
  signal: AbortSignal,
): Promise<number> {
  const { grants } = services.loaded.config;
  const now = await leases.store.now();
  if (now === undefined) {
    services.log.warn('tokens of dropped grants are left alone: what the time is is not certain');
    return 0;
  }
  let failed = 0;
  for (const suspect of services.dropped.suspects() ?? [undefined]) {
    let next: string | undefined;
    do {
      const page = await leases.store.list({ limit: 200, continue: next, state: 'active', grant: suspect });
      for (const lease of page.leases) {
        if (signal.aborted) return failed;
        if (lease.bound === 'none' || Object.hasOwn(grants, lease.grant) || !services.dropped.covers(lease, now))
          continue;
        const { name, grant, cluster } = lease;
        const done = await attempt(services, { lease: name, grant, cluster }, async () => {
          const { outcome } = await revokeLease(leases, name, why);
          return outcome;
        });
        if (!done) failed += 1;
      }
      next = page.continue;
    } while (next !== undefined);
  }
  return failed;
}

/** The only way to end tokens of accounts elsewhere; not while another grant has tokens of the same account. */
export async function pullDroppedSwitches(
  services: RevocationServices,
  leases: LeaseServices,
  before: BrokerConfig,
  dropped: readonly string[],
): Promise<void> {
  const accountsInUse = Object.values(services.loaded.config.grants).map(accountOf);
  for (const name of dropped) {
    const grant = before.grants[name];
    const cluster = grant === undefined ? undefined : leases.clusters.get(grant.cluster);
    if (grant?.killSwitch === undefined || cluster === undefined || accountsInUse.includes(accountOf(grant))) continue;
    const { account, killSwitch } = grant;
    await attempt(services, { grant: name, cluster: cluster.name }, async () => {
      const seconds = await pullKillSwitch(cluster, account.namespace, killSwitch);
      return seconds === undefined ? 'unknown' : 'revoked';
    });
  }
}

function accountOf({ cluster, account }: Grant): string {
  return JSON.stringify([cluster, account.namespace, account.kind === 'ephemeral' ? '' : account.name]);
}

async function attempt(
  { audit, telemetry, log, loaded }: RevocationServices,
  facts: { readonly lease?: string; readonly grant: string; readonly cluster: string },
  work: () => Promise<string>,
): Promise<boolean> {
  const common = { ...facts, policy: loaded.hash };
  try {
    const outcome = await work();
    telemetry.revoked(outcome);
    await audit.record({ event: 'revoke', outcome: 'done', reason: 'grant_dropped', detail: outcome, ...common });
    return true;
  } catch (error) {
    const detail = error instanceof ClusterFault ? clean(error.message, 400) : 'it was not foreseen';
    log.warn({ ...facts, detail }, 'a token of a dropped grant could not be revoked');
    await audit
      .record({ event: 'revoke', outcome: 'failed', reason: 'grant_dropped', detail, ...common })
      .catch(() => undefined);
    return false;
  }
}

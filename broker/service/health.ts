import type { Readiness } from '../../shared/protocol.ts';
import type { Cluster } from '../cluster/clusters.ts';
import { maxSkew } from '../../shared/kube/time.ts';
import type { ReloadState } from '../config/reload.ts';
import type { LiveUsage } from '../leases/live-limits.ts';
import { endsSoon, type Lifetime } from './lifetime.ts';
import { lacksForAll } from './rights.ts';
import type { Services } from './services.ts';

export type HealthCheck = NonNullable<Readiness['checks']>[number];

export type Health = Required<Readiness>;

export interface HealthInputs {
  readonly services: Services;
  readonly reload: ReloadState;
  readonly draining: boolean;
  /** What is wrong with the store of leases; undefined if nothing is. */
  readonly stateFault: string | undefined;
  /** Whether the store was asked yet. */
  readonly stateAsked: boolean;
  readonly anchorFault: string | undefined;
  readonly anchoredAt: number | undefined;
  /** Of the certificate for HTTPS. */
  readonly certificate: Lifetime | undefined;
  readonly certificateFault: string | undefined;
  /** When leases were last swept without a fault, or the start; ms. */
  readonly sweptAt: number;
  readonly usage: () => LiveUsage;
}

/**
 * What is well and what is not. One issuer or one of several clusters that is down leaves the rest at work, so the
 * replica stays ready; it is not when nothing could be minted, recorded, or judged by a configuration that holds.
 */
export function assessHealth(inputs: HealthInputs): Health {
  const { services, reload, draining, stateFault, anchorFault, certificate, certificateFault } = inputs;
  const { loaded, issuers, leases, audit, clock } = services;
  const { config } = loaded;
  const checks: HealthCheck[] = [];
  const add = (name: string, ok: boolean, critical: boolean, message?: string, known = true): void => {
    const more = { ...(!ok && message !== undefined && { message }), ...(!known && { pending: true as const }) };
    checks.push({ name, ok, critical: critical && !ok, ...more });
  };
  const addLifetime = (name: string, lifetime: Lifetime): void => {
    const message = `It ends at ${new Date(lifetime.until).toISOString()}, and nothing has renewed it.`;
    add(name, !endsSoon(lifetime, clock.now()), false, message);
  };

  add('draining', !draining, true, 'This replica is ending.');
  const denies = reload.deniesFrom !== undefined && reload.deniesFrom <= clock.now();
  add('configuration', reload.failingSince === undefined, denies, describeReload(reload, denies));
  add('audit', audit.health.ok, true, audit.health.lastError);
  add('audit anchors', anchorFault === undefined, false, anchorFault);
  add('state', stateFault === undefined, true, stateFault, inputs.stateAsked);
  if (certificate !== undefined) {
    add('certificate', certificateFault === undefined, false, certificateFault);
    addLifetime('lifetime of the certificate', certificate);
  }

  for (const { place, fault } of services.files.state()) add(`file of ${place}`, fault === undefined, false, fault);

  const clusters = leases.clusters.all();
  const demanded = config.admissionPolicy === 'required';
  const faults = clusters.map((cluster) => faultOf(cluster, demanded));
  const anyUsable = clusters.some(
    ({ name }, index) => faults[index] === undefined && !lacksForAll(leases.clusters, config, name),
  );
  const stateCluster = 'memory' in config.state ? undefined : config.state.cluster;
  for (const [index, cluster] of clusters.entries()) {
    const fault = faults[index];
    const critical = !anyUsable || cluster.name === stateCluster;
    add(`cluster ${cluster.name}`, fault === undefined, critical, fault, cluster.health().probedAt !== undefined);
    const stale = cluster.kube.fault();
    const kept = stale && `${stale.message} The last good credential stays in use.`;
    add(`files of clusters.${cluster.name}`, stale === undefined, false, kept);
    const lifetime = cluster.kube.lifetime();
    if (lifetime !== undefined) addLifetime(`credential for cluster ${cluster.name}`, lifetime);
    // Grants that need none of these go on.
    const { missing } = cluster.health();
    add(`rights in cluster ${cluster.name}`, missing.length === 0, !anyUsable, describeMissing(missing));
  }
  for (const [name, { ok, keys, lastError }] of Object.entries(issuers.health())) {
    const kept = keys > 0 ? ' The last good keys are in use.' : '';
    const message = `${lastError ?? 'Its keys are not loaded yet.'}${kept}`;
    add(`issuer ${name}`, ok, false, message, ok || lastError !== undefined);
  }
  return { ready: checks.every(({ critical }) => !critical), checks };
}

function describeReload({ faults }: ReloadState, denies: boolean): string {
  const [first] = faults;
  const where = first === undefined ? '' : ` ${first.file}:${first.line}: ${first.path} ${first.message}.`;
  const what = denies ? 'everything is denied' : 'the last good one is in force';
  return `The files cannot be used, ${what}.${where}`;
}

function faultOf(cluster: Cluster, policyDemanded: boolean): string | undefined {
  const { reachable, policy, skew, problem } = cluster.health();
  if (!reachable) return problem ?? 'It does not answer.';
  if (skew !== undefined && Math.abs(skew) > maxSkew) return `Its clock and ours are ${Math.abs(skew) / 1000} s apart.`;
  if (policyDemanded && policy !== 'in_force') return problem ?? 'The admission policy is not in force.';
  return undefined;
}

function describeMissing(missing: readonly string[]): string {
  const shown = missing.slice(0, 10);
  const more = missing.length > 10 ? ` and ${missing.length - 10} more` : '';
  return `The broker may not ${shown.join(', ')}${more}: apply what \`kleis-broker rbac\` prints.`;
}

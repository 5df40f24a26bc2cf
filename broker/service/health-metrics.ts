import packageJson from '../../package.json' with { type: 'json' };
import { assessHealth, type HealthInputs } from './health.ts';
import { type Lifetime, renewalDue } from './lifetime.ts';
import type { GaugeName, Telemetry } from './telemetry.ts';

/** Sets what Prometheus asks for. */
export function publishHealth(telemetry: Telemetry, inputs: HealthInputs): void {
  const { services, reload, stateFault, anchorFault, anchoredAt, certificate, certificateFault, sweptAt } = inputs;
  const { loaded, audit } = services;
  const set = (name: GaugeName, value: number | boolean | undefined): void => telemetry.set(name, {}, value);
  set('ready', assessHealth(inputs).ready);
  set('state_up', stateFault === undefined);
  set('config_ok', reload.failingSince === undefined);
  set('config_last_good_timestamp_seconds', reload.lastGoodAt / 1000);
  set('config_denies_timestamp_seconds', inSeconds(reload.deniesFrom));
  set('config_grants', Object.keys(loaded.config.grants).length);
  set('admission_policy_required', loaded.config.admissionPolicy === 'required');
  set('audit_ok', audit.health.ok);
  set('audit_lines', audit.health.lines);
  set('audit_lost', audit.health.lost);
  set('audit_truncations', audit.health.truncations);
  set('audit_anchor_ok', 'memory' in loaded.config.state ? undefined : anchorFault === undefined);
  set('audit_anchor_timestamp_seconds', inSeconds(anchoredAt));
  set('certificate_ok', certificate && certificateFault === undefined);
  set('certificate_expires_timestamp_seconds', inSeconds(certificate?.until));
  set('certificate_renewal_due_timestamp_seconds', dueInSeconds(certificate));
  set('sweep_last_success_timestamp_seconds', sweptAt / 1000);
  // Those of what is no longer there go.
  for (const name of byName) telemetry.clear(name);
  telemetry.set('config_info', { hash: loaded.hash }, 1);
  telemetry.set('build_info', { version: packageJson.version }, 1);
  publishUsage(telemetry, inputs);
  publishDependencies(telemetry, inputs);
}

/** Gauges with labels. */
const byName = [
  'config_info',
  'build_info',
  'leases_live',
  'lease_limit_used_ratio',
  'issuer_up',
  'issuer_keys',
  'cluster_up',
  'cluster_rights_missing',
  'cluster_clock_skew_seconds',
  'cluster_credential_expires_timestamp_seconds',
  'cluster_credential_renewal_due_timestamp_seconds',
  'admission_policy_in_force',
] as const satisfies readonly GaugeName[];

function publishUsage(telemetry: Telemetry, { usage }: HealthInputs): void {
  const { byGrant, perGrant, perSubject } = usage();
  for (const [grant, count] of byGrant) telemetry.set('leases_live', { grant }, count);
  telemetry.set('lease_limit_used_ratio', { by: 'grant' }, perGrant);
  telemetry.set('lease_limit_used_ratio', { by: 'subject' }, perSubject);
}

function publishDependencies(telemetry: Telemetry, { services: { issuers, leases } }: HealthInputs): void {
  for (const [issuer, { ok, keys }] of Object.entries(issuers.health())) {
    telemetry.set('issuer_up', { issuer }, ok);
    telemetry.set('issuer_keys', { issuer }, keys);
  }
  for (const cluster of leases.clusters.all()) {
    const { reachable, policy, skew, missing } = cluster.health();
    const labels = { cluster: cluster.name };
    const lifetime = cluster.kube.lifetime();
    telemetry.set('cluster_up', labels, reachable);
    telemetry.set('cluster_rights_missing', labels, missing.length);
    telemetry.set('cluster_clock_skew_seconds', labels, inSeconds(skew));
    telemetry.set('cluster_credential_expires_timestamp_seconds', labels, inSeconds(lifetime?.until));
    telemetry.set('cluster_credential_renewal_due_timestamp_seconds', labels, dueInSeconds(lifetime));
    telemetry.set('admission_policy_in_force', labels, policy === 'in_force');
  }
}

function inSeconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}

function dueInSeconds(lifetime: Lifetime | undefined): number | undefined {
  return lifetime && renewalDue(lifetime) / 1000;
}

import { KleisError } from '../../shared/errors.ts';
import { formatDuration } from '../../shared/duration.ts';
import { KubeError } from '../../shared/kube/error.ts';
import type { KubeClient } from '../../shared/kube/client.ts';
import type { BrokerConfig, ClusterConfig } from '../config/broker-config.ts';
import { type ClusterNeeds, findNeeds } from '../rbac/needs.ts';
import { checkAccounts } from './accounts.ts';
import { checkConfinement, probeBrokerPolicy, probeNamespacesPolicy } from './confinement.ts';
import type { Finding } from '../../shared/findings.ts';
import { askForToken, type Issued } from '../cluster/issued-audiences.ts';
import { type Live, readLive } from './cluster-objects.ts';
import { checkOthers } from './other-holders.ts';
import { reviewAccess } from './review.ts';
import { checkWriters } from './writers.ts';

const oldestMinor = 30;

/** A configuration against one live cluster, with an admin's eyes. Throws `cluster_unavailable`, `cluster_refused`. */
export async function checkCluster(
  config: BrokerConfig,
  cluster: ClusterConfig,
  { kube, sleep }: { readonly kube: KubeClient; readonly sleep: (milliseconds: number) => Promise<void> },
): Promise<Finding[]> {
  try {
    const live = await readLive(kube);
    const longest = longestTtl(findNeeds(config, cluster, []));
    const issued = await askForToken(kube, cluster.identityNamespace, longest);
    const needs = findNeeds(config, cluster, cluster.audiences ?? issued?.audiences ?? []);
    const others = checkOthers(needs, live);
    const findings = [
      ...checkVersion(needs, live),
      ...checkIssued(config, needs, longest, issued),
      ...(needs.audiences.length === 0 ? [] : checkConfinement(needs, live)),
      ...(await probeBrokerPolicy(kube, needs, live, sleep)),
      ...(others.stopped === undefined ? [] : await probeNamespacesPolicy(kube, needs, live, sleep, others.stopped)),
      ...checkAccounts(needs, live),
      ...(await reviewAccess(kube, needs, live)),
      ...checkWriters(needs, live),
      ...others.findings,
    ];
    return config.admissionPolicy === 'required' ? findings : findings.map(withoutPolicy);
  } catch (error) {
    throw toFailure(error, cluster);
  }
}

/** `admissionPolicy: optional` says that the cluster may do without; that it does is worth a word. */
function withoutPolicy(finding: Finding): Finding {
  const optional = ['version', 'policy-missing', 'policy-in-force', 'namespaces-policy-in-force'];
  return finding.severity === 'error' && optional.includes(finding.code)
    ? { ...finding, severity: 'warning' }
    : finding;
}

function toFailure(error: unknown, { name }: ClusterConfig): unknown {
  if (!(error instanceof KubeError)) return error;
  if (error.status === 401 || error.status === 403) {
    return new KleisError('cluster_refused', `The cluster ${name} refuses: ${error.message}`, {
      hint: 'Give a kubeconfig of somebody who may read RBAC and admission policies, like cluster-admin.',
      cause: error,
    });
  }
  return new KleisError('cluster_unavailable', `The cluster ${name} did not answer: ${error.message}`, {
    cause: error,
  });
}

/** Seconds. */
function longestTtl({ identities, elsewhere, ephemeral }: ClusterNeeds): number {
  return Math.max(600, ephemeral?.maxTtl ?? 0, ...[...identities, ...elsewhere].map(({ maxTtl }) => maxTtl));
}

function checkVersion({ cluster }: ClusterNeeds, { version }: Live): Finding[] {
  const place = { about: `clusters.${cluster.name}`, code: 'version' } as const;
  if (version.minor >= oldestMinor) return [{ ...place, severity: 'ok', what: `The API server is ${version.text}.` }];
  return [
    {
      ...place,
      severity: 'error',
      what: `The API server is ${version.text}, older than 1.30.`,
      why: 'It has no ValidatingAdmissionPolicy, so nothing but RBAC confines the broker.',
      next: 'Upgrade the cluster.',
    },
  ];
}

function checkIssued(
  config: BrokerConfig,
  needs: ClusterNeeds,
  longest: number,
  issued: Issued | undefined,
): Finding[] {
  const { cluster } = needs;
  const place = { about: `clusters.${cluster.name}` } as const;
  if (issued === undefined) {
    const configured = cluster.audiences !== undefined;
    return [
      {
        ...place,
        severity: configured ? 'warning' : 'error',
        code: 'audiences-unknown',
        what: 'The API server could not be asked for its audiences and its longest lifetime of a token.',
        why: `There is no account named default in ${cluster.identityNamespace} or default, or it may not be asked for a token.${configured ? '' : ' Without audiences the policies are unknown, so the broker was not compared.'}`,
        next: configured ? 'Check with a kubeconfig of cluster-admin.' : `Write clusters.${cluster.name}.audiences.`,
      },
    ];
  }
  const findings: Finding[] = [];
  const foreign = (cluster.audiences ?? []).filter((audience) => !issued.audiences.includes(audience));
  if (foreign.length > 0) {
    findings.push({
      ...place,
      severity: 'error',
      code: 'audience-foreign',
      what: `audiences names ${foreign.join(', ')}, which this API server does not accept (it accepts ${issued.audiences.join(', ')}).`,
      why: 'A token with that audience opens something else, and not this cluster.',
      next: `Correct clusters.${cluster.name}.audiences, or leave it out.`,
    });
  }
  for (const issuer of Object.values(config.issuers)) {
    if (!issued.audiences.includes(issuer.audience)) continue;
    findings.push({
      about: `issuers.${issuer.name}`,
      severity: 'error',
      code: 'audience-shared',
      what: `Its audience ${issuer.audience} is what the API server of ${cluster.name} accepts.`,
      why: 'Tokens that were made for the API server would open the broker.',
      next: 'Choose an audience for the broker alone, like its publicUrl.',
    });
  }
  // Two seconds: both times were whole ones.
  const shortened = issued.lifetime < longest - 2;
  const max = issued.lifetime * 1000;
  if (shortened) {
    for (const grant of Object.values(config.grants)) {
      if (grant.cluster !== cluster.name || grant.ttl.max <= max + 2000) continue;
      findings.push({
        about: `grants.${grant.name}`,
        severity: 'warning',
        code: 'ttl-shortened',
        what: `ttl.max is ${formatDuration(grant.ttl.max)}, and the API server gives ${formatDuration(max)} at most.`,
        why: 'Longer tokens are shortened by it, with a warning.',
        next: `Set ttl.max to ${formatDuration(max)}, or raise --service-account-max-token-expiration there.`,
      });
    }
  }
  if (findings.length === 0) {
    findings.push({
      ...place,
      severity: 'ok',
      code: 'tokens',
      what: `Tokens are for ${issued.audiences.join(', ')}, and live as long as the grants say.`,
    });
  }
  return findings;
}

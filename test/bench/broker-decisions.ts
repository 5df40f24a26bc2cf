import type { BrokerConfig } from '../../broker/config/broker-config.ts';
import type { Grant } from '../../broker/policy/grant.ts';
import type { CompiledPolicy } from '../../broker/policy/compile.ts';
import { compilePolicy } from '../support/compile-policy.ts';
import { decide } from '../../broker/policy/decide.ts';

export interface Decisions {
  readonly grants: number;
  /** Microseconds for one, when the claims decide. */
  readonly claims: number;
  /** The same, of grants that have a CEL condition too. */
  readonly condition: number;
}

/** How long it takes to decide about one of so many grants, each time another one. */
export function measureDecisions(count: number): Decisions {
  const policy = compilePolicy(configOf(count));
  const names = (first: number) =>
    Array.from({ length: Math.max(1, count / 10) }, (_, index) => `deploy-${index * 10 + first}`);
  return { grants: count, claims: timeOf(policy, names(1)), condition: timeOf(policy, names(0)) };
}

/** In a random order, so that no cache of the processor knows what comes next. */
function timeOf(policy: CompiledPolicy, names: readonly string[]): number {
  const order = Array.from({ length: 20_000 }, () => names[Math.floor(Math.random() * names.length)]!);
  const claims = order.map((name) => ({ ...jobOf(name), iss: 'https://ci.example.com', jti: name }));
  const times: number[] = [];
  for (let round = 0; round < 6; round += 1) {
    const began = performance.now();
    for (const [index, grant] of order.entries()) {
      const decision = decide(policy, { issuer: 'ci', claims: claims[index]! }, { grant }, 0);
      if (!decision.allowed) throw new Error(`${grant} is denied: ${decision.reason}`);
    }
    times.push(((performance.now() - began) / order.length) * 1000);
  }
  // The first warms up.
  const measured = times.slice(1).toSorted((a, b) => a - b);
  return measured[Math.floor(measured.length / 2)]!;
}

function jobOf(grant: string) {
  const number = Number(grant.slice('deploy-'.length));
  return {
    repository_id: String(100_000 + number),
    environment: 'production',
    event_name: 'push',
    ref: `refs/heads/release-${number}`,
  };
}

/** Every tenth with a condition. */
function configOf(count: number): BrokerConfig {
  const grants = Array.from({ length: count }, (_, index): [string, Grant] => {
    const name = `deploy-${index}`;
    const { repository_id, environment, ref } = jobOf(name);
    return [
      name,
      {
        name,
        issuer: 'ci',
        where: {
          repository_id,
          environment,
          event_name: { not: 'pull_request_target' },
          ref: { glob: 'refs/heads/*' },
        },
        ...(index % 10 === 0 && { condition: `claims.ref == "${ref}" || claims.ref_type == "tag"` }),
        cluster: 'prod',
        serviceAccount: 'deploy',
        account: { kind: 'identity', namespace: 'kleis-identities', name: 'deploy' },
        ttl: { default: 900_000, max: 3_600_000 },
        revocable: true,
        explain: false,
      },
    ];
  });
  const issuer = { name: 'ci', url: 'https://ci.example.com', audience: 'https://kleis.example.com' };
  return {
    publicUrl: 'https://kleis.example.com',
    listen: { address: '127.0.0.1:0' },
    state: { memory: true },
    audit: { file: '-' },
    admins: [],
    issuers: { ci: { ...issuer, platform: 'github', singleUse: false, leeway: 30_000, idClaims: ['repository_id'] } },
    clusters: {
      prod: {
        name: 'prod',
        credentials: { inCluster: true },
        identityNamespace: 'kleis-identities',
        ephemeralNamespace: 'kleis-ephemeral',
        systemNamespace: 'kleis-system',
        serviceAccount: 'kleis-broker',
      },
    },
    grants: Object.fromEntries(grants),
    admissionPolicy: 'required',
    namespaces: { writers: [] },
    trustedProxies: [],
    limits: { perAddress: 600, perTenant: 600, perIssuer: 6000, leases: { perGrant: 5000, perSubject: 500 } },
    reload: { maxStale: 86_400_000 },
  };
}

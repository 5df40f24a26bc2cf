import {
  routes,
  subjectTokenTypes,
  tokenExchangeGrant,
  type WellKnown,
  type WellKnownCluster,
  type WellKnownGrant,
} from '../../shared/protocol.ts';
import type { BrokerConfig, IssuerConfig } from '../config/schema.ts';
import { CompiledPolicy, type CompiledGrant } from '../policy/compile.ts';
import { decide } from '../policy/decide.ts';
import type { Subject } from '../issuers/issuers.ts';

/** For anyone: what a client needs in order to get a token that this broker takes. */
export function describeBroker({ publicUrl, issuers }: BrokerConfig): WellKnown {
  return {
    broker: publicUrl,
    token_endpoint: `${publicUrl}${routes.token}`,
    revocation_endpoint: `${publicUrl}${routes.revoke}`,
    grant_types_supported: [tokenExchangeGrant],
    subject_token_types_supported: Object.values(subjectTokenTypes),
    issuers: Object.values(issuers).map(({ name, url, audience }) => ({ name, issuer: url, audience })),
  };
}

/** As many decisions before others get their turn; each takes some 20 µs. */
const atOnce = 250;

/** The grants that the subject would get now. */
export async function grantsOf(policy: CompiledPolicy, subject: Subject, now: number): Promise<CompiledGrant[]> {
  const found: CompiledGrant[] = [];
  let tried = 0;
  for (const grant of CompiledPolicy.grants(policy)) {
    if (grant.issuer !== subject.issuer) continue;
    tried += 1;
    if (tried % atOnce === 0) await new Promise(setImmediate);
    if (decide(policy, subject, { grant: grant.name }, now).allowed) found.push(grant);
  }
  return found;
}

export function describeGrant({ name, cluster, config }: CompiledGrant): WellKnownGrant {
  return {
    name,
    cluster,
    expires_in: config.ttl.default / 1000,
    max_expires_in: config.ttl.max / 1000,
    revocable: config.revocable,
  };
}

/**
 * A kubeconfig with one context for each grant. JSON, which is YAML too, and in which no name can break out of its
 * place. It holds no token: the entries run `kleis-credential`, which gets them.
 */
export function writeKubeconfig(
  broker: string,
  issuer: IssuerConfig,
  grants: readonly CompiledGrant[],
  clusters: readonly WellKnownCluster[],
): string {
  const reachable = grants.filter(({ cluster }) => clusters.some(({ name }) => name === cluster));
  const user = ({ name }: CompiledGrant) => ({
    name: `kleis-${name}`,
    user: {
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: 'kleis-credential',
        args: [
          ...['--issuer-url', issuer.url],
          ...['--client-id', issuer.audience],
          ...['--broker', broker],
          ...['--grant', name],
        ],
        installHint: 'Kleis signs you in to this cluster. To install it: npm install --global kleis',
        interactiveMode: 'IfAvailable',
        provideClusterInfo: true,
      },
    },
  });
  const only = reachable.length === 1 ? contextName(reachable[0]!, reachable) : '';
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: clusters
      .filter(({ name }) => reachable.some(({ cluster }) => cluster === name))
      .map(({ name, server, certificate_authority: pem, tls_server_name: tlsName }) => ({
        name,
        cluster: {
          server,
          ...(pem !== undefined && { 'certificate-authority-data': Buffer.from(pem).toString('base64') }),
          ...(tlsName !== undefined && { 'tls-server-name': tlsName }),
        },
      })),
    users: reachable.map(user),
    contexts: reachable.map((grant) => ({
      name: contextName(grant, reachable),
      context: { cluster: grant.cluster, user: `kleis-${grant.name}` },
    })),
    'current-context': only,
  };
  return `${JSON.stringify(kubeconfig, undefined, 2)}\n`;
}

/** The cluster's name, as people call it, where it is enough to tell the context. */
function contextName(grant: CompiledGrant, all: readonly CompiledGrant[]): string {
  const alone = all.filter(({ cluster }) => cluster === grant.cluster).length === 1;
  return alone ? grant.cluster : `${grant.cluster}-${grant.name}`;
}

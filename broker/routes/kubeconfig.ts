import type { WellKnownCluster } from '../../shared/protocol.ts';
import type { Answer } from '../http/answer.ts';
import { signedIn } from '../http/caller.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import type { CompiledGrant } from '../policy/compile.ts';
import type { Services } from '../service/services.ts';
import { accessOf } from './well-known.ts';

/** `GET /kubeconfig`: a kubeconfig for the grants that who signs in would get now. */
export async function kubeconfig(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const { config } = services.loaded;
  const subject = await signedIn(call, services, trail.addSubject);
  const { grants, clusters } = await accessOf(subject, services);
  const { audience } = config.issuers[subject.issuer]!;
  const issuer = { url: subject.claims['iss'] as string, audience };
  const body = writeKubeconfig(config.publicUrl, issuer, grants, clusters);
  return { status: 200, type: 'application/yaml', body };
}

/**
 * A kubeconfig with one context for each grant. JSON, which is YAML too, and in which no name can break out of its
 * place. It holds no token: the entries run `kleis-credential`, which gets them.
 */
function writeKubeconfig(
  broker: string,
  issuer: { readonly url: string; readonly audience: string },
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
  const document = {
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
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** The cluster's name, as people call it, where it is enough to tell the context. */
function contextName(grant: CompiledGrant, all: readonly CompiledGrant[]): string {
  const alone = all.filter(({ cluster }) => cluster === grant.cluster).length === 1;
  return alone ? grant.cluster : `${grant.cluster}-${grant.name}`;
}

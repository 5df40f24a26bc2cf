import { formatJson } from '../../shared/json.ts';
import { exitCodes, KleisError } from '../../shared/errors.ts';
import { readConnection } from '../../shared/kube/connection.ts';
import { readCertificates } from '../../shared/net/certificates.ts';
import { serverUrlFaults, urlFaults } from '../../shared/net/url.ts';
import type { WellKnown, WellKnownCluster } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings.ts';

export interface WellKnownFlags {
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly scope?: readonly string[];
  readonly certificateAuthority?: string;
  readonly kubeconfig: string;
  readonly context: readonly string[];
}

/** What the one issuer of such a document is called. */
const issuerName = 'sso';

/**
 * `kleis-broker well-known`: the document of clusters without a broker, whose API servers take the provider's tokens
 * themselves. An admin puts it on a web server as `/.well-known/kleis`.
 */
export async function printWellKnown(flags: WellKnownFlags, { stdout, env }: Deps): Promise<number> {
  const { issuerUrl, clientId, scope, certificateAuthority: file, kubeconfig, context } = flags;
  const [fault] = serverUrlFaults(issuerUrl);
  if (fault !== undefined) throw new KleisError('usage', `--issuer-url ${clean(issuerUrl)} ${urlFaults[fault]}.`);
  const document: Partial<WellKnown> = {
    issuers: [
      {
        name: issuerName,
        issuer: issuerUrl,
        audience: clientId,
        sign_in: {
          client_id: clientId,
          ...(scope && { scopes: scope }),
          ...(file !== undefined && { certificate_authority: await readCertificates(file, '--certificate-authority') }),
        },
      },
    ],
    clusters: await Promise.all(context.map(async (name) => describeCluster(kubeconfig, name, env))),
  };
  stdout.write(formatJson(document));
  return exitCodes.ok;
}

async function describeCluster(kubeconfig: string, name: string, env: Deps['env']): Promise<WellKnownCluster> {
  const { server, ca, tlsServerName } = await readConnection({ credentials: { kubeconfig, context: name }, env });
  return {
    name,
    server: server.href.replace(/\/$/, ''),
    ...(ca !== undefined && { certificate_authority: ca }),
    ...(tlsServerName !== undefined && { tls_server_name: tlsServerName }),
    issuer: issuerName,
  };
}

import { execEntry } from '../../shared/kube/exec-entry.ts';
import { contextNames, type EntryFlags, subjectFlags, toArguments } from '../../shared/kube/broker-entries.ts';
import type { WellKnownCluster } from '../../shared/protocol.ts';
import type { Answer } from '../http/answer.ts';
import { kubeconfigQuery } from '../contract/requests.ts';
import { signedIn } from '../http/caller.ts';
import { parseParameters } from '../http/form.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { onlyNamespace } from '../policy/access.ts';
import type { CompiledGrant } from '../policy/compile.ts';
import type { Subject } from '../issuers/issuers.ts';
import type { Services } from '../service/services.ts';
import { accessOf } from './well-known.ts';

/** On Windows there is no shell for the launcher. */
const platforms = { posix: 'posix', windows: 'win32' } as const;

/** `GET /kubeconfig?platform=posix|windows`: a kubeconfig for the grants that who signs in would get now. */
export async function kubeconfig(call: Call, services: Services, trail: Trail): Promise<Answer> {
  return kubeconfigOf(await signedIn(call, services, trail.addSubject), call.query, services);
}

/** Throws `request_malformed` for a query that is none of its own. */
export async function kubeconfigOf(subject: Subject, query: Call['query'], services: Services): Promise<Answer> {
  const { config } = services.loaded;
  const { platform } = parseParameters(kubeconfigQuery, query);
  const { grants, clusters } = await accessOf(subject, services);
  const urls = { [subject.issuer]: subject.claims['iss'] as string };
  const [issuer] = await services.publicIssuers.describe(config.issuers, urls);
  const broker = { broker: config.publicUrl };
  const body = writeKubeconfig(platforms[platform], { ...subjectFlags(broker, issuer!), ...broker }, grants, clusters);
  return { status: 200, type: 'application/yaml; charset=utf-8', body };
}

/**
 * A kubeconfig with one context for each grant. JSON, which is YAML too, and in which no name can break out of its
 * place. It holds no token: the entries run Kleis, which gets them.
 */
function writeKubeconfig(
  platform: string,
  flags: EntryFlags,
  grants: readonly CompiledGrant[],
  clusters: readonly WellKnownCluster[],
): string {
  const reachable = grants.filter(({ cluster }) => clusters.some(({ name }) => name === cluster));
  const user = ({ name }: CompiledGrant) => ({
    name: `kleis-${name}`,
    user: {
      exec: execEntry({
        platform,
        args: toArguments({ ...flags, grant: name }),
        hint: '. On Windows fetch this file from /kubeconfig?platform=windows',
      }),
    },
  });
  const names = contextNames(reachable);
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
    contexts: reachable.map(({ name, cluster, config }) => {
      const namespace = onlyNamespace(config.access);
      return {
        name: names.get(name),
        context: { cluster, user: `kleis-${name}`, ...(namespace !== undefined && { namespace }) },
      };
    }),
    'current-context': reachable.length === 1 ? names.get(reachable[0]!.name) : '',
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

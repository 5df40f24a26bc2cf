import { KleisError } from '../../shared/errors.ts';
import type { WellKnownCluster } from '../../shared/protocol.ts';
import type { Answer } from '../http/answer.ts';
import { signedIn } from '../http/caller.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import type { CompiledGrant } from '../policy/compile.ts';
import type { Services } from '../service/services.ts';
import { accessOf } from './well-known.ts';

/**
 * The program that kubectl runs. On Windows there is no shell for the launcher, so that it is Node's own; elsewhere that
 * would cost each call of kubectl the start of Node.
 */
const commands = { posix: 'kleis-credential', windows: 'kleis-get-token' } as const;

/** `GET /kubeconfig?platform=posix|windows`: a kubeconfig for the grants that who signs in would get now. */
export async function kubeconfig(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const { config } = services.loaded;
  const subject = await signedIn(call, services, trail.addSubject);
  const command = commandOf(call.query['platform']);
  const { grants, clusters } = await accessOf(subject, services);
  const { audience } = config.issuers[subject.issuer]!;
  const issuer = { url: subject.claims['iss'] as string, audience };
  const body = writeKubeconfig(command, config.publicUrl, issuer, grants, clusters);
  return { status: 200, type: 'application/yaml', body };
}

/** Asked for and not guessed: who fetches the file is not always who uses it. */
function commandOf(platform: unknown = 'posix'): string {
  if (typeof platform === 'string' && Object.hasOwn(commands, platform))
    return commands[platform as keyof typeof commands];
  throw new KleisError('request_malformed', `platform is one of ${Object.keys(commands).join(', ')}.`);
}

/**
 * A kubeconfig with one context for each grant. JSON, which is YAML too, and in which no name can break out of its
 * place. It holds no token: the entries run `command`, which gets them.
 */
function writeKubeconfig(
  command: string,
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
        command,
        args: [
          ...['--issuer-url', issuer.url],
          ...['--client-id', issuer.audience],
          ...['--broker', broker],
          ...['--grant', name],
        ],
        installHint:
          'Kleis signs you in to this cluster. To install it: npm install --global kleis. On Windows fetch this file from /kubeconfig?platform=windows',
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

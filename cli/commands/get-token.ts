import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { credentialKey } from '../credentials/key.ts';
import { type ExecInfo, formatCredential, parseExecInfo } from '../get-token/exec-credential.ts';
import { getToken, type TokenCall } from '../get-token/get-token.ts';
import { checkServer } from '../kubeconfig/cluster-fields.ts';
import { addressOf, clusterIdentity } from '../kubeconfig/cluster-identity.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { describeSettings } from '../settings/origins.ts';
import { loadConfig } from '../settings/person.ts';
import { resolveRequest } from '../settings/sign-in.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { openCredentials } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';

export interface GetTokenRequest {
  readonly flags: SignInFlags;
  /** As typed, without the launcher's own flag: what the credential is kept under. */
  readonly args: readonly string[];
  /** `background` and `rejected` come from the launcher (kleis-credential.sh). */
  readonly mode: TokenCall['mode'];
}

/** `kleis get-token`: prints the ExecCredential that kubectl asked for. Nothing else ever writes to stdout here. */
export async function printCredential(request: GetTokenRequest, deps: Deps): Promise<void> {
  const { flags, args, mode } = request;
  const key = credentialKey(args, deps.env);
  const credentials = openCredentials(deps);
  try {
    if (mode === 'normal') credentials.throwTold(key);
    const exec = parseExecInfo(deps.env);
    const person = await loadConfig(deps);
    deps.report.debug(describeSettings(flags, exec?.cluster?.config, person));
    const settings = resolveRequest(flags, exec?.cluster?.config, person.choices);
    const cluster = clusterOf(exec, flags.clusterServer);
    // Whoever does not say may be reading the terminal itself.
    const interactive = exec?.interactive ?? false;
    await allowClientFiles(settings, { byPerson: false, mayAsk: interactive && mode === 'normal' }, deps);
    const call: TokenCall = {
      settings,
      key,
      mode,
      cluster,
      interactive,
      // A token in its last moments is still worth its request; a time that has passed would make kubectl ask again for each.
      format: ({ token, expiresAt }, until) =>
        formatCredential(
          exec?.apiVersion,
          token.reveal(),
          expiresAt === undefined ? undefined : until > deps.clock.now() ? until : expiresAt,
        ),
    };
    const text = await getToken(call, credentials, deps);
    if (mode !== 'background') deps.stdout.write(text);
    credentials.settle(key, mode);
  } catch (error) {
    const failure = toFailure(error, deps);
    credentials.settle(key, mode, failure);
    throw failure;
  }
}

/**
 * Where the credential will be sent: what the client says, or where it cannot say that the flag. A client of which nobody
 * knows could send it anywhere: then there is none.
 */
function clusterOf(exec: ExecInfo | undefined, named: string | undefined): string {
  const server = named === undefined ? undefined : checkServer('--cluster-server', named);
  if (exec?.cluster !== undefined) {
    const said = clusterIdentity(exec.cluster);
    if (server === undefined || addressOf(said) === addressOf(clusterIdentity({ server }))) return said;
    throw new KleisError(
      'cluster_unknown',
      `The client asks for the cluster ${clean(addressOf(said))}, and --cluster-server names ${clean(server)}.`,
      { hint: 'Leave --cluster-server away, or make both the same.' },
    );
  }
  if (server !== undefined) return clusterIdentity({ server });
  throw exec === undefined
    ? new KleisError('cluster_unknown', 'Nobody says which cluster the credential is for, so none is given.', {
        hint: 'A person or a script uses `kleis token`. For a client that sets no KUBERNETES_EXEC_INFO add --cluster-server=URL to the args of the kubeconfig user.',
      })
    : new KleisError(
        'cluster_unknown',
        'The client does not say which cluster the credential is for, so none is given.',
        {
          hint: 'Set `provideClusterInfo: true` in the exec section of the kubeconfig user; where a client has no such setting (Terraform, Argo CD, C#), add --cluster-server=URL to its args.',
        },
      );
}

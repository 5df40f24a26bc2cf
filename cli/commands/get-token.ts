import { KleisError } from '../../shared/errors.ts';
import { credentialKey } from '../credentials/key.ts';
import { type ExecInfo, formatCredential, parseExecInfo } from '../get-token/exec-credential.ts';
import { getToken, type TokenCall } from '../get-token/get-token.ts';
import { clusterIdentity } from '../kubeconfig/cluster-identity.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { loadConfig } from '../settings/person.ts';
import { resolveRequest } from '../settings/sign-in.ts';
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
    const cluster = clusterOf(exec);
    const settings = resolveRequest(flags, exec?.cluster?.config, (await loadConfig(deps)).choices);
    const call: TokenCall = {
      settings,
      key,
      mode,
      cluster,
      interactive: exec?.interactive ?? deps.stdin.isTTY,
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
 * Where the credential will be sent. A Kubernetes client that does not say could send it anywhere: then there is none.
 * Undefined where a person or a script asks.
 */
function clusterOf(exec: ExecInfo | undefined): string | undefined {
  if (exec === undefined) return undefined;
  if (exec.cluster === undefined) {
    throw new KleisError(
      'cluster_unknown',
      'kubectl does not say which cluster the credential is for, so none is given.',
    );
  }
  return clusterIdentity(exec.cluster);
}

import { type ClusterClient, type ClusterCredential, openCluster } from '../cluster/client.ts';
import { clusterIdentity } from '../kubeconfig/cluster-identity.ts';
import { readHeldCredential, refuseImpersonation } from '../kubeconfig/credential.ts';
import { readExec } from '../kubeconfig/entry.ts';
import type { FoundContext } from '../kubeconfig/find.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { contextSettings } from '../settings/of-context.ts';
import { loadConfig } from '../settings/person.ts';
import { isAmbient, resolveRequest } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { openPresent } from './present.ts';
import { clusterToken } from './script-token.ts';

/** A cluster of the kubeconfig, asked as the user of the context. */
export interface OwnCluster {
  readonly cluster: ClusterClient;
  /** The issuer whose own token the cluster gets, where it gets one. */
  readonly issuer: string | undefined;
}

interface OwnRequest {
  /** `--kubeconfig`. */
  readonly kubeconfig: string | undefined;
  /** Where nobody is signed in: sign in, instead of `sign_in_needed`. */
  readonly signIn: boolean;
}

/** Bytes; pages of large objects, and the metrics of a large cluster. */
const maxBody = 32 * 1024 * 1024;

/**
 * The cluster of a context with the credential of its user: of Kleis, a client certificate or a token. Throws
 * `kubeconfig_invalid`, and what getting a token throws.
 */
export async function openOwnCluster(
  found: FoundContext,
  { signIn, kubeconfig }: OwnRequest,
  deps: Deps,
): Promise<OwnCluster> {
  if (readExec(found.user.body) === undefined) {
    return { cluster: open(found, await readHeldCredential(found.user), deps), issuer: undefined };
  }
  refuseImpersonation(found.user);
  const entry = await contextSettings({ context: found.context, kubeconfig, loaded: found.kubeconfig }, deps);
  const settings = resolveRequest(entry.flags, entry.extension, (await loadConfig(entry.deps)).choices);
  await allowClientFiles(settings, { byPerson: false, mayAsk: deps.stdin.isTTY }, entry.deps);
  const identity = clusterIdentity(found.cluster);
  const present = await openPresent(settings, { cluster: identity, signIn }, entry.deps);
  const token = await clusterToken(settings, present, identity, entry.deps);
  const issuer = settings.broker === undefined && !isAmbient(settings) ? settings.issuerUrl : undefined;
  return { cluster: open(found, { token }, entry.deps), issuer };
}

function open(found: FoundContext, credential: ClusterCredential, deps: Deps): ClusterClient {
  return openCluster(found.cluster, deps, { credential, maxBody });
}

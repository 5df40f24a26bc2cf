import { shellWord } from '../../shared/shell.ts';
import { type DoctorFinding, failed, soften } from '../doctor/finding.ts';
import { askServer, reachServer } from '../doctor/server.ts';
import { checkSession } from '../doctor/session.ts';
import { readToken } from '../get-token/present.ts';
import { clusterToken } from '../get-token/script-token.ts';
import { clusterToBe, type WantedEntry } from '../kubeconfig/add.ts';
import { clusterIdentity } from '../kubeconfig/cluster-identity.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';

/** What comes of an entry before it is written: signs in by it, and asks the cluster whom it sees. */
export async function attempt(
  { entry, settings }: { readonly entry: WantedEntry; readonly settings: Settings | AmbientSettings },
  kubeconfig: string | undefined,
  deps: Deps,
): Promise<readonly DoctorFinding[]> {
  const { names, namespace } = entry;
  const target = await clusterToBe(entry, kubeconfig, deps);
  const cluster = clusterIdentity(target);
  const command = `kleis login --context ${shellWord(names.contexts, deps.platform)}`;
  const session = await checkSession({ settings, cluster, command, signIn: true }, deps);
  deps.signal.throwIfAborted();
  const { present } = session;
  if (present === undefined) return session.findings;
  const server = await reachServer({ cluster: target }, deps);
  if (!('cluster' in server)) return [...session.findings, ...server];
  const found = [...session.findings, ...server.findings];
  try {
    const token = await clusterToken(settings, present, cluster, deps);
    const ofBroker = settings.broker !== undefined;
    const presented = { token, jwt: readToken(token), ofBroker, knownFault: false, context: names.contexts };
    // What somebody may do is no question of how they sign in.
    const seen = await askServer(server, presented, { namespace }, deps);
    return [...found, ...seen.map((each) => (each.about === 'rights' ? soften(each) : each))];
  } catch (error) {
    deps.signal.throwIfAborted();
    return [...found, failed('broker', toFailure(error, deps))];
  }
}

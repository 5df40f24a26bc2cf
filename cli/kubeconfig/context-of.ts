import { asText } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { addressOf } from './cluster-identity.ts';
import { readExec } from './entry.ts';
import { kubeconfigSources, loadKubeconfig } from './load.ts';

/**
 * The context that a credential for this cluster was most likely asked for, since kubectl tells a plugin of none: the
 * current one, or the only one that runs Kleis for that server. Undefined where nobody can know.
 *
 * @param cluster `clusterIdentity`
 */
export async function contextOf(cluster: string, deps: Pick<Deps, 'env' | 'platform'>): Promise<string | undefined> {
  try {
    const { entries, currentContext } = await loadKubeconfig(kubeconfigSources(undefined, deps), 0);
    const fitting = [...entries.contexts.values()].filter(({ body }) => {
      const user = entries.users.get(asText(body['user']));
      const server = entries.clusters.get(asText(body['cluster']))?.body['server'];
      const url = typeof server === 'string' ? URL.parse(server) : null;
      return url?.origin === addressOf(cluster) && user !== undefined && readExec(user.body) !== undefined;
    });
    const names = fitting.map(({ name }) => name);
    return names.includes(currentContext) ? currentContext : names.length === 1 ? names[0] : undefined;
  } catch {
    return undefined;
  }
}

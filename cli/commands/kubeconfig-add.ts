import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { loadConfig } from '../settings/person.ts';
import { noteNode } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type KubeconfigAddFlags, toArguments } from '../settings/flags.ts';
import { addEntries, type AddResult } from '../kubeconfig/add.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { resolveRequest } from '../settings/sign-in.ts';

/** `kleis kubeconfig add NAME`: checks the sign-in as `get-token` will, then writes the entries. */
export async function kubeconfigAdd(name: string, flags: KubeconfigAddFlags, deps: Deps): Promise<void> {
  const extension = {
    ...(flags.clusterAudience !== undefined && { audience: flags.clusterAudience }),
    ...(flags.clusterScope !== undefined && { scope: flags.clusterScope }),
    ...(flags.clusterResource !== undefined && { resource: flags.clusterResource }),
    ...(flags.clusterGrant !== undefined && { grant: flags.clusterGrant }),
  };
  const settings = resolveRequest(flags, extension, (await loadConfig(deps)).choices);
  if (flags.clusterGrant !== undefined && settings.broker === undefined) {
    throw new KleisError('usage', '--cluster-grant is for a broker: give --broker too.');
  }
  const result = await addEntries(
    {
      name,
      server: flags.server,
      clusterCertificateAuthority: flags.clusterCertificateAuthority,
      tlsServerName: flags.tlsServerName,
      namespace: flags.namespace,
      clusterName: flags.cluster,
      userName: flags.user,
      args: toArguments(flags),
      ...(Object.keys(extension).length > 0 && { clusterExtension: extension }),
      kubeconfig: flags.kubeconfig,
      dryRun: flags.dryRun,
      yes: flags.yes,
      current: flags.current,
    },
    deps,
  );
  // A desktop program has another PATH than the shell that this runs in.
  if (result.outcome === 'written') noteNode(deps);
  if (result.outcome === 'written' || result.outcome === 'unchanged') {
    await allowClientFiles(settings, { byPerson: true, mayAsk: false }, deps);
  }
  tell(result, deps);
}

function tell(result: AddResult, deps: Deps): void {
  if (result.outcome === 'written') {
    const files = [...new Set(result.changes.map((change) => clean(change.file, 400)))].join(', ');
    deps.report.info(`Wrote the context ${clean(result.context)} to ${files}.`);
    deps.report.info(`Try it: kubectl --context ${clean(result.context)} auth whoami`);
  } else if (result.outcome === 'unchanged') {
    deps.report.info('Nothing to change: the kubeconfig says all of this already.');
  } else if (result.outcome === 'declined') {
    deps.report.info('Nothing was changed.');
  }
}

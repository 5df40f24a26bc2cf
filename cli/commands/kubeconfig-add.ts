import { KleisError } from '../../shared/errors.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import { loadConfig } from '../settings/person.ts';
import { noteNode } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type KubeconfigAddFlags, type SignInFlags, toArguments } from '../settings/flags.ts';
import { addEntries, checkEntry, clusterToBe } from '../kubeconfig/add.ts';
import { checkBefore, refuseFaults } from '../doctor/before.ts';
import type { Changed, Plan } from '../kubeconfig/change.ts';
import { readCertificates } from '../../shared/net/certificates.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { resolveRequest, type Settings } from '../settings/sign-in.ts';
import { maxCertificateData } from '../settings/values.ts';

/** `kleis kubeconfig add NAME`: checks the sign-in as far as it can without one, then writes the entries. */
export async function kubeconfigAdd(name: string | undefined, flags: KubeconfigAddFlags, deps: Deps): Promise<void> {
  if (name === undefined) {
    throw new KleisError('usage', 'The context has no name.', {
      hint: 'Give one: kleis kubeconfig add NAME --server URL --issuer-url URL; or let an address say all: --from URL.',
    });
  }
  if (flags.all === true) throw new KleisError('usage', '--all is for --from.');
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
  const entry = await checkEntry({
    ...flags,
    name,
    clusterName: flags.cluster,
    userName: flags.user,
    args: toArguments(flags.embed ? await embedAuthorities(flags) : flags),
    clusterExtension: Object.keys(extension).length > 0 ? extension : undefined,
  });
  const { kubeconfig, dryRun, yes } = flags;
  const cluster = await clusterToBe(entry, kubeconfig, deps);
  if (flags.offline !== true) refuseFaults(await checkBefore(settings, cluster, deps), deps);
  const options = { kubeconfig, dryRun, yes, current: flags.current === true ? name : undefined };
  const { outcome, plan } = await addEntries([entry], options, deps);
  await afterwards(outcome, settings, deps);
  if (outcome === 'written') {
    deps.report.info(`Wrote the context ${clean(name)} to ${filesOf(plan)}.`);
    tellTry(name, undefined, deps);
  } else tellUnwritten(outcome, deps);
}

/** @param kubeconfig a file, where kubectl does not look there by itself */
export function tellTry(
  name: string,
  kubeconfig: string | undefined,
  { report, platform }: Pick<Deps, 'report' | 'platform'>,
): void {
  const file = kubeconfig === undefined ? '' : ` --kubeconfig ${shellWord(kubeconfig, platform)}`;
  report.info(`Try it: kubectl${file} --context ${shellWord(name, platform)} auth whoami`);
}

/** What every command does that has written, or found, entries. */
export async function afterwards(
  outcome: Changed<Plan>['outcome'],
  settings: Settings | AmbientSettings,
  deps: Deps,
): Promise<void> {
  // A desktop program has another PATH than the shell that this runs in.
  if (outcome === 'written') noteNode(deps);
  if (outcome === 'written' || outcome === 'unchanged') {
    await allowClientFiles(settings, { byPerson: true, mayAsk: false }, deps);
  }
}

export function tellUnwritten(outcome: Changed<Plan>['outcome'], deps: Deps): void {
  if (outcome === 'unchanged') deps.report.info('Nothing to change: the kubeconfig says all of this already.');
  if (outcome === 'declined') deps.report.info('Nothing was changed.');
}

export function filesOf({ changes }: Plan): string {
  return [...new Set(changes.map((change) => clean(change.file, 400)))].join(', ');
}

/** With the text of the authorities in place of their files: the entry works on another machine too. */
export async function embedAuthorities(flags: SignInFlags): Promise<SignInFlags> {
  const { certificateAuthority: provider, brokerCertificateAuthority: broker, ...rest } = flags;
  return {
    ...rest,
    ...(provider !== undefined && { certificateAuthorityData: await dataOf(provider) }),
    ...(broker !== undefined && { brokerCertificateAuthorityData: await dataOf(broker) }),
  };
}

async function dataOf(file: string): Promise<string> {
  const data = Buffer.from(await readCertificates(file)).toString('base64');
  if (data.length <= maxCertificateData) return data;
  const most = maxCertificateData / 1024;
  throw new KleisError(
    'config_invalid',
    `${clean(file, 400)} is too large to travel in a kubeconfig entry: more than ${most} KiB as base64.`,
    { hint: 'Give a file with the one authority that is needed; `kleis kubeconfig add --no-embed` keeps a path.' },
  );
}

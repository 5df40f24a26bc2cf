import { clean } from '../../shared/text.ts';
import { type Offer, readOffers, toEntry } from '../init/offers.ts';
import { addEntries } from '../kubeconfig/add.ts';
import type { KubeconfigAddFlags } from '../settings/flags.ts';
import { loadConfig } from '../settings/person.ts';
import { resolveRequest, type Settings } from '../settings/sign-in.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { checkBefore, refuseFaults } from '../doctor/before.ts';
import { usage } from '../settings/values.ts';
import type { Deps } from '../surroundings/deps.ts';
import { afterwards, embedAuthorities, filesOf, tellTry, tellUnwritten } from './kubeconfig-add.ts';

/** More contexts than these are written with --all alone: nobody would find one among them. */
const manyContexts = 100;

/** Providers that are asked at once. */
const mostChecked = 16;

/**
 * `kleis kubeconfig add --from URL`: asks the address which clusters there are, signs in once where a broker knows whose
 * they are, and writes a context for each that is the caller's.
 */
export async function kubeconfigFrom(
  from: string,
  name: string | undefined,
  flags: KubeconfigAddFlags,
  deps: Deps,
): Promise<void> {
  refuseOthers(flags);
  const { kubeconfig, dryRun, yes } = flags;
  const { choices } = await loadConfig(deps);
  const typed = flags.embed ? await embedAuthorities(flags) : flags;
  const offers = await readOffers(from, typed, { yes: yes === true, choices }, deps);
  const wanted = choose(offers, name, flags);
  const settings = wanted.map(({ flags: each }) => resolveRequest(each, undefined, choices));
  if (flags.offline !== true) await checkIssuers(settings, deps);
  const entries = wanted.map((offer) => toEntry(offer, flags.namespace));
  const [first] = wanted;
  const current = flags.current === true ? first?.context : undefined;
  const { outcome, plan } = await addEntries(entries, { kubeconfig, dryRun, yes, current, namedByOthers: true }, deps);
  for (const each of settings.slice(0, 1)) await afterwards(outcome, each, deps);
  if (outcome !== 'written') return tellUnwritten(outcome, deps);
  deps.report.info(`Wrote ${wanted.length === 1 ? 'the context' : `${wanted.length} contexts`} to ${filesOf(plan)}:`);
  for (const { context, cluster } of wanted) deps.report.info(`  ${clean(context)}  ${clean(cluster.server)}`);
  if (first !== undefined) tellTry(first.context, undefined, deps);
}

/** The address itself was just read; what it says of providers was not. */
async function checkIssuers(all: readonly (Settings | AmbientSettings)[], deps: Deps): Promise<void> {
  const distinct = new Map(
    all.map((settings) => [JSON.stringify([settings.issuerUrl, settings.certificateAuthority]), settings]),
  );
  const some = [...distinct.values()].slice(0, mostChecked);
  const found = await Promise.all(
    some.map(async (settings) => checkBefore({ ...settings, broker: undefined }, undefined, deps)),
  );
  refuseFaults(found.flat(), deps);
}

/** What the address says is not to be typed as well. */
function refuseOthers(flags: KubeconfigAddFlags): void {
  const said = {
    '--server': flags.server,
    '--cluster-certificate-authority': flags.clusterCertificateAuthority,
    '--tls-server-name': flags.tlsServerName,
    '--user': flags.user,
    '--cluster-audience': flags.clusterAudience,
    '--cluster-scope': flags.clusterScope,
    '--cluster-resource': flags.clusterResource,
    '--cluster-grant': flags.clusterGrant,
    '--broker': flags.broker,
  };
  const odd = Object.entries(said).find(([, value]) => value !== undefined)?.[0];
  if (odd === undefined) return;
  throw usage(`${odd} is what the address of --from says.`, `Leave ${odd} or --from away.`);
}

function choose(offers: readonly Offer[], name: string | undefined, flags: KubeconfigAddFlags): readonly Offer[] {
  const known = [...new Set(offers.map(({ cluster }) => clean(cluster.name, 80)))].toSorted();
  const list = `${known.slice(0, 20).join(', ')}${known.length > 20 ? `, and ${known.length - 20} more` : ''}`;
  const { cluster: only, grant } = flags;
  const found = offers.filter(
    (offer) =>
      (only ?? offer.cluster.name) === offer.cluster.name && (grant ?? offer.flags.grant) === offer.flags.grant,
  );
  if (found.length === 0) throw usage('There is no such cluster or grant there for you.', `There are: ${list}.`);
  if (found.length > manyContexts && flags.all !== true) {
    throw usage(`There are ${found.length} contexts for you.`, 'Name a cluster with --cluster, or pass --all.');
  }
  if (name === undefined && !(flags.current === true && found.length > 1)) return found;
  const what = name === undefined ? '--current is for one context' : 'A name is for one context';
  if (found.length > 1)
    throw usage(`${what}, and there are ${found.length}.`, `Name a cluster with --cluster: ${list}.`);
  return found.map((offer) => ({ ...offer, context: name ?? offer.context }));
}

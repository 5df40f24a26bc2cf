import { KleisError } from '../../shared/errors.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import { errorOf } from '../doctor/finding.ts';
import { printFindings } from '../doctor/print.ts';
import { askAddress, askOffers } from '../init/address.ts';
import { attempt } from '../init/attempt.ts';
import { askCluster } from '../init/cluster.ts';
import { toEntry } from '../init/offers.ts';
import { askProvider } from '../init/provider.ts';
import { addEntries, clusterToBe, type WantedEntry } from '../kubeconfig/add.ts';
import { PlanBuilder } from '../kubeconfig/change.ts';
import { editKubeconfig } from '../kubeconfig/edit.ts';
import { type Kubeconfig, kubeconfigSources, loadKubeconfig } from '../kubeconfig/load.ts';
import { checkReplaceable, followLinks } from '../kubeconfig/write.ts';
import { allowClientFiles } from '../session/client-files.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { type KubeconfigFlags, toArguments } from '../settings/flags.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { loadConfig } from '../settings/person.ts';
import { resolveRequest, type Settings } from '../settings/sign-in.ts';
import { askYesNo, requireTerminal, tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { afterwards, filesOf, tellUnwritten } from './kubeconfig-add.ts';

interface Wanted {
  readonly entry: WantedEntry;
  readonly settings: Settings | AmbientSettings;
}

const withFlags =
  'Say it with flags: kleis kubeconfig add --from URL, or kleis kubeconfig add NAME --server URL --issuer-url URL.';

/** `kleis init`: asks for what an entry needs, tries it, and writes it. */
export async function init({ kubeconfig }: KubeconfigFlags, deps: Deps): Promise<void> {
  requireTerminal('kleis init asks', withFlags, deps);
  const { choices } = await loadConfig(deps);
  const loaded = await openKubeconfig(kubeconfig, deps);
  tell(
    'This lets kubectl sign in with your single sign-on. Nothing is written before you say y; Ctrl-C stops it.',
    deps,
  );
  const address = await askAddress(choices, deps);
  const wanted =
    address === undefined
      ? [await askEntry(loaded, kubeconfig, choices, deps)]
      : (await askOffers(address, choices, deps)).map((offer) => ({
          entry: toEntry(offer),
          settings: resolveRequest(offer.flags, undefined, choices),
        }));
  const [first] = wanted;
  if (first === undefined) throw new KleisError('broker_invalid', 'There is nothing to write.');
  await confirmFaults(first, kubeconfig, deps);
  await write(wanted, first, { kubeconfig, loaded }, deps);
}

/** What cannot be read or written is said before anybody answers a question. */
async function openKubeconfig(explicit: string | undefined, deps: Deps): Promise<Kubeconfig> {
  const loaded = await loadKubeconfig(kubeconfigSources(explicit, deps));
  const trial = new PlanBuilder(loaded);
  for (const section of ['users', 'contexts'] as const) trial.set(section, 'kleis-init', {});
  for (const [file, value] of trial.values) editKubeconfig(file, value, file.path);
  await checkReplaceable(await followLinks(loaded.defaultFile.path));
  return loaded;
}

async function askEntry(
  loaded: Kubeconfig,
  kubeconfig: string | undefined,
  choices: PersonChoices,
  deps: Deps,
): Promise<Wanted> {
  const cluster = await askCluster(loaded, deps);
  const flags = await askProvider(cluster.before, choices, deps);
  const entry = {
    names: { contexts: cluster.context, clusters: cluster.name, users: `kleis-${cluster.context}` },
    cluster: cluster.fields,
    namespace: undefined,
    args: toArguments(flags),
  };
  const { config } = await clusterToBe(entry, kubeconfig, deps);
  return { entry, settings: resolveRequest(flags, config, choices) };
}

/** Tries it. Throws the first fault that the person does not want to write all the same. */
async function confirmFaults(wanted: Wanted, kubeconfig: string | undefined, deps: Deps): Promise<void> {
  tell('\nTrying it: you sign in, and the cluster is asked whom it sees.', deps);
  // An entry that was built on may name a file.
  await allowClientFiles(wanted.settings, { byPerson: false, mayAsk: true }, deps);
  const findings = await attempt(wanted, kubeconfig, deps);
  deps.stderr.write(printFindings(findings, { stdout: deps.stderr, env: deps.env }));
  const fault = findings.find(({ severity }) => severity === 'error');
  // Ctrl-C while something was to be pasted is meant for all of it.
  if (fault?.code === 'sign_in_cancelled') throw errorOf(fault);
  if (fault === undefined || (await askYesNo('Write it all the same?', deps))) return;
  throw errorOf(fault);
}

async function write(
  wanted: readonly Wanted[],
  first: Wanted,
  { kubeconfig, loaded }: { readonly kubeconfig: string | undefined; readonly loaded: Kubeconfig },
  deps: Deps,
): Promise<void> {
  const name = first.entry.names.contexts;
  const { currentContext } = loaded;
  const another = wanted.length === 1 && currentContext !== '' && currentContext !== name;
  const question = `Make ${clean(name, 80)} the current context, in place of ${clean(currentContext, 80)}?`;
  const current = another && (await askYesNo(question, deps)) ? name : undefined;
  const entries = wanted.map(({ entry }) => entry);
  const { outcome, plan } = await addEntries(entries, { kubeconfig, current, showAll: true }, deps);
  await afterwards(outcome, first.settings, deps);
  if (outcome === 'written') tell(`Wrote ${filesOf(plan)}.`, deps);
  else tellUnwritten(outcome, deps);
  if (outcome === 'declined') return;
  deps.report.info(`Try it: kubectl --context ${shellWord(name, deps.platform)} get pods`);
}

import { formatJson } from '../../shared/json.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { widthOf } from '../../shared/table.ts';
import { clean } from '../../shared/text.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { loadConfig } from '../settings/person.ts';
import { usage } from '../settings/values.ts';
import type { Advice } from '../setup/advice.ts';
import { authenticationConfiguration, oidcFlags } from '../setup/authentication-config.ts';
import { bindingObject, judgeBindings } from '../setup/bindings.ts';
import { kubeconfigCommand, kubeconfigFile } from '../setup/developers.ts';
import { authenticationFile, distribution } from '../setup/distributions.ts';
import { alreadyThere, takenIn, writeFiles } from '../setup/files.ts';
import type { SetupFlags } from '../setup/flags.ts';
import { formatSections } from '../setup/guide.ts';
import { chooseClient, seeToken } from '../setup/choose-client.ts';
import { chooseBindings, chooseCluster, chooseMapping, chooseServer } from '../setup/choose-cluster.ts';
import { algorithmsOf, expectedAudience } from '../setup/look.ts';
import { answer, type Dialog, openDialog } from '../setup/questions.ts';
import {
  bindingsSection,
  caNames,
  clientWanted,
  developersSection,
  mappingSection,
  namesOf,
  type Pieces,
  registrationSection,
  serverSection,
  spellAdvice,
  tokenSection,
} from '../setup/sections.ts';
import { registrationSteps } from '../setup/registration.ts';
import { toYaml } from '../setup/yaml.ts';
import { askYesNo, tell } from '../surroundings/ask.ts';
import { boldOn } from '../surroundings/report.ts';
import type { Deps } from '../surroundings/deps.ts';

/** `kleis setup`: all that an admin gives the provider, the API server and the developers, from one provider's URL. */
export async function setup(name: string | undefined, flags: SetupFlags, deps: Deps): Promise<void> {
  const dialog = openDialog(flags, deps);
  const person = await loadConfig(deps);

  // The provider and the client there; a person, who signs in once; what their token holds.
  const client = await chooseClient(flags, person.choices, dialog);
  await allowClientFiles(client.settings, { byPerson: true, mayAsk: false }, deps);
  const token = await seeToken(client, flags, dialog);
  const { provider, found, settings, shared } = client;
  const known = { provider, claims: token?.claims, listed: found.claims, subjectTypes: found.subjectTypes };

  // The cluster, the names that it sees, what their groups may do there.
  const server = await chooseServer(flags, dialog);
  const { title, throughBroker = false, recipe } = distribution(server.name);
  const rest = throughBroker ? { ...dialog, asks: false } : dialog;
  const mapping = await chooseMapping(flags, known, server.name, rest);
  const bindings = await chooseBindings(flags, mapping, rest);
  const cluster = await chooseCluster(name, flags, rest);

  // All of it as text.
  const wants = {
    issuer: settings.issuerUrl,
    audience: token?.audience ?? expectedAudience(settings),
    certificateAuthority: await readAuthority(settings.certificateAuthority),
    username: mapping.username,
    groups: mapping.groups,
    groupsAreText: mapping.groupsAreText,
    algorithms: token === undefined ? algorithmsOf(found.metadata) : [token.algorithm],
  };
  const made = recipe({
    wants,
    version: server.version,
    signIn: { clientId: settings.clientId, scopes: settings.scopes },
  });
  const objects = bindings.map((binding) => bindingObject(binding, mapping.groups?.prefix ?? ''));
  const signIn = { settings: shared, flags: client.flags };
  const pieces: Pieces = {
    recipe: made,
    title,
    flags: made.files[authenticationFile] === undefined ? undefined : oidcFlags(wants, caPlace),
    authorities: { cluster: cluster.certificateAuthority, provider: wants.certificateAuthority },
    bindings: objects.length === 0 ? undefined : toYaml(...objects),
    command: throughBroker ? undefined : kubeconfigCommand(cluster, signIn, caNames),
    kubeconfig: throughBroker ? undefined : await kubeconfigFile(cluster, signIn),
  };
  const seen = token && mapping.groups && namesOf({ ...mapping.groups, prefix: '' }, token);
  const prefix = mapping.groups?.prefix ?? '';
  const advice = [...mapping.advice, ...made.findings, ...judgeBindings(bindings, prefix, seen)];

  // Written into a folder, if there is one, and printed.
  const written = await write(filesOf(pieces), flags, dialog);
  const places = new Map(written);
  if (flags.output === 'json') {
    deps.stdout.write(
      formatJson({
        provider,
        issuer: wants.issuer,
        client: { ...clientWanted(shared), scopes: shared.scopes },
        registration: registrationSteps(provider, clientWanted(shared)),
        signedInAs: token?.name,
        claims: token?.claims ?? null,
        username: { ...describe(mapping.username), names: namesOf(mapping.username, token) },
        groups:
          mapping.groups === undefined ? null : { ...describe(mapping.groups), names: namesOf(mapping.groups, token) },
        findings: advice,
        distribution: server.name,
        authenticationConfiguration:
          made.files[authenticationFile] === undefined ? null : authenticationConfiguration(wants, server.version),
        flags: pieces.flags !== undefined && 'flags' in pieces.flags ? pieces.flags.flags : null,
        steps: made.steps,
        bindings: objects,
        developers: { command: pieces.command?.join('\n') ?? null },
        files: filesOf(pieces),
        written: written.map(([, path]) => path),
      }),
    );
    return;
  }
  if (flags.output !== 'guide') {
    deps.stdout.write(pieceOf(flags.output, pieces));
    // A part alone has no place for them; some were said beside their question.
    const told: readonly Advice[] = dialog.asks ? mapping.advice : [];
    for (const each of advice) {
      if (each.severity === 'warning' && !told.includes(each)) deps.report.warn(spellAdvice(each));
    }
    return;
  }
  const placeOf = (file: string) => places.get(file);
  const sections = [
    registrationSection(provider, shared),
    tokenSection(token),
    ...(throughBroker ? [] : [mappingSection({ ...mapping, advice }, token)]),
    serverSection(pieces, placeOf),
    ...(throughBroker
      ? []
      : [bindingsSection(pieces, mapping, { placeOf, platform: deps.platform }), developersSection(pieces, placeOf)]),
  ];
  // What a person has just read is not said again.
  const told = dialog.asks && flags.signIn && deps.stdout.isTTY ? (token === undefined ? 1 : 2) : 0;
  const columns = widthOf(deps.stdout);
  const bold = boldOn(deps.stdout, deps.env);
  if (told > 0) deps.stdout.write('\n');
  deps.stdout.write(formatSections(sections.slice(told), { columns, first: told + 1, bold }));
  if (written.length === 0 && !throughBroker) tell(`\n${alone}`, deps);
}

const alone =
  'With --output-dir FOLDER the files are written there; -o authentication, flags, bindings and kubeconfig print one of them alone.';

const caPlace = `/etc/kubernetes/pki/${caNames.provider}`;

function describe({ path, prefix }: { readonly path: readonly string[]; readonly prefix: string }) {
  return { claim: path.join('.'), nested: path.length > 1, prefix };
}

function filesOf({ recipe, flags, authorities, bindings, kubeconfig }: Pieces): Record<string, string> {
  return {
    ...recipe.files,
    ...(flags !== undefined && 'flags' in flags && { 'oidc-flags.txt': lines(flags.flags) }),
    ...(authorities.provider !== undefined && { [caNames.provider]: authorities.provider }),
    ...(authorities.cluster !== undefined && { [caNames.cluster]: authorities.cluster }),
    ...(bindings !== undefined && { 'bindings.yaml': bindings }),
    ...(kubeconfig !== undefined && { 'kubeconfig.yaml': kubeconfig }),
  };
}

const lines = (list: readonly string[]) => list.map((line) => `${line}\n`).join('');

/** By their names, where they are now. */
async function write(
  files: Readonly<Record<string, string>>,
  { outputDir, force }: SetupFlags,
  dialog: Dialog,
): Promise<(readonly [string, string])[]> {
  const folder = await answer(
    {
      text: 'The folder to write the files to (Enter to print them)',
      flag: '--output-dir',
      given: outputDir,
      usual: '',
      check: (text) => text,
    },
    dialog,
  );
  if (folder === '') {
    if (outputDir === undefined) return [];
    throw usage('--output-dir names no folder.', 'Name one, or leave it away to print all.');
  }
  const names = Object.keys(files);
  const taken = force === true ? [] : takenIn(folder, names);
  if (taken.length > 0) {
    const list = taken.map((file) => clean(file)).join(', ');
    const agreed = dialog.asks && (await askYesNo(`Replace ${list} in ${clean(folder, 400)}?`, dialog.deps));
    if (!agreed) throw alreadyThere(folder, taken);
  }
  const paths = writeFiles(folder, files, {
    replace: force === true || taken.length > 0,
    env: dialog.deps.env,
  });
  dialog.deps.report.info(`Wrote ${names.join(', ')} to ${clean(folder, 400)}.`);
  return names.map((file, index) => [file, paths[index] ?? file] as const);
}

/** One part alone, for a pipe or a file. Throws `usage` where there is none. */
function pieceOf(output: 'authentication' | 'flags' | 'bindings' | 'kubeconfig', pieces: Pieces): string {
  switch (output) {
    case 'authentication': {
      const text = pieces.recipe.files[authenticationFile];
      if (text === undefined)
        throw usage(`${pieces.title} takes no AuthenticationConfiguration.`, '-o guide says what it takes.');
      return text;
    }
    case 'flags': {
      if (pieces.flags === undefined) throw usage(`${pieces.title} takes no flags.`, '-o guide says what it takes.');
      if ('why' in pieces.flags) throw usage(pieces.flags.why, 'Use -o authentication.');
      return lines(pieces.flags.flags);
    }
    case 'bindings':
      if (pieces.bindings === undefined) throw usage('No group is bound.', 'Give --bind GROUP=ROLE.');
      return pieces.bindings;
    case 'kubeconfig':
      if (pieces.kubeconfig === undefined) {
        throw usage(
          'There is no kubeconfig to hand out.',
          'It needs --context or --server, and a client without a secret; -o guide has the line for each developer.',
        );
      }
      return pieces.kubeconfig;
  }
}

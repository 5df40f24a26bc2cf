import { type Command, Option } from 'commander';
import { apiVersions, distributionNames, providerNames, setupOutputs, type SetupFlags } from '../setup/flags.ts';
import { addSignInFlags, collect, unusedAtLogin } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';

/** `kleis setup` */
export function describeSetup(command: Command, deps: Deps): void {
  addSignInFlags(command.argument('[name]', 'the name of the context that developers get'), [
    ...unusedAtLogin,
    'identity',
  ])
    .description('for admins: let a cluster take the sign-ins of a provider')
    .optionsGroup('Provider:')
    .addOption(new Option('--provider <kind>', 'what it is (default: by its URL)').choices(providerNames))
    .option('--no-sign-in', 'sign nobody in: advice from discovery and flags alone')
    .optionsGroup('Whom the cluster sees:')
    .option('--username-claim <claim>', 'the claim that names a person; a.b is b within a')
    .option('--username-prefix <text>', 'what stands before the name (default: oidc:); - is nothing')
    .option('--groups-claim <claim>', 'the claim that holds the groups; - is none')
    .option('--groups-prefix <text>', 'what stands before each (default: as of the name)')
    .addOption(
      new Option('--bind <group=role>', 'GROUP=ROLE or GROUP=ROLE@NAMESPACE,…; role/NAME is a Role of yours').argParser(
        collect,
      ),
    )
    .optionsGroup('Cluster:')
    .addOption(new Option('--distribution <kind>', 'what runs it').choices(distributionNames))
    .addOption(new Option('--api-version <version>', 'v1 from 1.34 on, v1beta1 from 1.30 on').choices(apiVersions))
    .addOption(
      new Option('--context <name>', 'its address and authority, from this context of your kubeconfig').conflicts([
        'server',
        'clusterCertificateAuthority',
        'tlsServerName',
      ]),
    )
    .option('--kubeconfig <file>', 'look in this kubeconfig')
    .option('--server <url>', 'the API server, for developers')
    .option('--cluster-certificate-authority <file>', 'PEM; what vouches for the API server')
    .option('--tls-server-name <name>', 'the name in the certificate of the API server')
    .option('--namespace <namespace>', 'the namespace of the context of developers')
    .optionsGroup('Options:')
    .option('--output-dir <folder>', 'write the files there, instead of printing them')
    .option('--force', 'write over what is there')
    .option('-y, --yes', 'ask nothing: defaults for what no flag says')
    .addOption(new Option('-o, --output <what>', 'what to print').choices(setupOutputs).default('guide'))
    .addHelpText('after', setupHelp)
    .action(async (name: string | undefined, flags: SetupFlags) =>
      (await import('../commands/setup.ts')).setup(name, flags, deps),
    );
}

const setupHelp = `
It asks what no flag says, signs you in once to see what the provider sends, and prints how to register Kleis there, what
to give the API server, the bindings, and what developers run. It changes nothing by itself.

  kleis setup
  kleis setup --yes --issuer-url https://login.example.com --distribution k3s --bind developers=view
  kleis setup --yes --no-sign-in --issuer-url https://login.example.com --username-claim sub -o authentication`;

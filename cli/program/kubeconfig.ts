import { type Command, Option } from 'commander';
import {
  addSignInFlags,
  unusedWithoutSignIn,
  type KubeconfigAddFlags,
  type KubeconfigChangeFlags,
  type KubeconfigFlags,
  type KubeconfigListFlags,
  type KubeconfigMergeFlags,
  type KubeconfigMigrateFlags,
  type KubeconfigServiceAccountFlags,
} from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';

/** `kleis kubeconfig …` */
export function describeKubeconfig(kubeconfig: Command, deps: Deps): void {
  const add = kubeconfig
    .command('add')
    .argument('[name]', 'the name of the context')
    .description('add a cluster, a user and a context that sign in with Kleis')
    .addHelpText('after', addHelp);
  addSignInFlags(add)
    .optionsGroup('One address:')
    .option('--from <url>', 'write what this broker, or any web server with its document, says is yours')
    .option('--all', 'with --from: every context, however many')
    .optionsGroup('Cluster:')
    .option('--server <url>', 'the API server; not needed if the cluster is in the kubeconfig already')
    .option('--cluster-certificate-authority <file>', 'PEM; what vouches for the API server')
    .option('--tls-server-name <name>', 'the name in the certificate of the API server')
    .option('--namespace <namespace>', 'the namespace of the context')
    .option(
      '--cluster <name>',
      'the name of the cluster entry (default: that of the context); with --from: only this cluster',
    )
    .option('--user <name>', 'the name of the user entry (default: kleis-NAME)')
    .option('--cluster-audience <audience>', 'as --audience, for this cluster alone: one user can serve many')
    .option('--cluster-scope <scope>', 'as --scope, for this cluster alone')
    .option('--cluster-resource <uri>', 'as --resource, for this cluster alone')
    .option('--cluster-grant <name>', 'as --grant, for this cluster alone')
    .optionsGroup('File:')
    .option('--kubeconfig <file>', 'write here (default: as kubectl does)')
    .option('--current', 'make it the current context')
    .option('--no-embed', 'keep the paths of certificate authorities of the provider and the broker')
    .option('--offline', 'write it without asking the provider, the broker and the API server')
    .option('--dry-run', 'print what would be added and write nothing')
    .option('-y, --yes', 'replace entries of the same names without asking')
    .action(async (name: string | undefined, flags: KubeconfigAddFlags) => {
      if (flags.from === undefined)
        await (await import('../commands/kubeconfig-add.ts')).kubeconfigAdd(name, flags, deps);
      else await (await import('../commands/kubeconfig-from.ts')).kubeconfigFrom(flags.from, name, flags, deps);
    });
  describeServiceAccount(kubeconfig, deps);
  describeVerbs(kubeconfig, deps);
}

/** What is done with entries that are there. The argument `context` is what the completion offers contexts for. */
function describeVerbs(kubeconfig: Command, deps: Deps): void {
  kubeconfig
    .command('list')
    .description('list the contexts: where, who, and how each signs in')
    .addHelpText('after', '\n  kleis kubeconfig list')
    .option('--kubeconfig <file>', 'of this file (default: as kubectl does)')
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['table', 'json', 'name']).default('table'))
    .action(async (flags: KubeconfigListFlags) =>
      (await import('../commands/kubeconfig-list.ts')).kubeconfigList(flags, deps),
    );
  kubeconfig
    .command('use')
    .argument('<context>', 'the context')
    .description('make a context the current one')
    .addHelpText('after', '\n  kleis kubeconfig use prod')
    .option('--kubeconfig <file>', 'in this file (default: as kubectl does)')
    .action(async (name: string, flags: KubeconfigFlags) =>
      (await import('../commands/kubeconfig-use.ts')).kubeconfigUse(name, flags, deps),
    );
  withChangeFlags(kubeconfig.command('rename'))
    .argument('<context>', 'the context')
    .argument('<new-name>', 'what it is to be called')
    .description('give a context another name')
    .addHelpText('after', '\n  kleis kubeconfig rename default prod')
    .action(async (old: string, next: string, flags: KubeconfigChangeFlags) =>
      (await import('../commands/kubeconfig-rename.ts')).kubeconfigRename(old, next, flags, deps),
    );
  withChangeFlags(kubeconfig.command('remove'), 'remove without asking')
    .argument('<context...>', 'the contexts')
    .description('remove contexts, and the users and clusters that no other uses')
    .addHelpText('after', removeHelp)
    .action(async (names: string[], flags: KubeconfigChangeFlags) =>
      (await import('../commands/kubeconfig-remove.ts')).kubeconfigRemove(names, flags, deps),
    );
  withChangeFlags(kubeconfig.command('merge'))
    .argument('<file...>', 'other kubeconfigs')
    .description('take the entries of other kubeconfigs over')
    .addOption(new Option('--prefix <text>', 'put this before every name of theirs').conflicts('overwrite'))
    .option('--overwrite', 'take theirs where yours has the same name')
    .addHelpText('after', mergeHelp)
    .action(async (files: string[], flags: KubeconfigMergeFlags) =>
      (await import('../commands/kubeconfig-merge.ts')).kubeconfigMerge(files, flags, deps),
    );
  const migrate = withChangeFlags(kubeconfig.command('migrate'), 'replace entries without asking')
    .argument('[context...]', 'whose users are to sign in with Kleis')
    .description('let users of other plugins sign in with Kleis')
    .option('--all', 'every user that can be')
    .option('--from <url>', 'by a grant of this broker, which has the same cluster')
    .addHelpText('after', migrateHelp);
  addSignInFlags(migrate).action(async (names: string[], flags: KubeconfigMigrateFlags) =>
    (await import('../commands/kubeconfig-migrate.ts')).kubeconfigMigrate(names, flags, deps),
  );
}

/** What a tool signs in with, that is no person. */
function describeServiceAccount(kubeconfig: Command, deps: Deps): void {
  const command = kubeconfig
    .command('service-account')
    .argument('[name]', 'the name of the new context (default: GRANT@CLUSTER, ACCOUNT@CLUSTER)')
    .description('add a user and a context for a tool: through a broker, or with a token that ends')
    .addHelpText('after', serviceAccountHelp);
  addSignInFlags(command, [...unusedWithoutSignIn, 'account'])
    .optionsGroup('Cluster, for --broker:')
    .option('--cluster <name>', 'the cluster entry (default: that of --context)')
    .option('--server <url>', 'the API server; not needed if the cluster is in the kubeconfig already')
    .option('--cluster-certificate-authority <file>', 'PEM; what vouches for the API server')
    .option('--tls-server-name <name>', 'the name in the certificate of the API server')
    .option('--offline', 'write it without asking the broker and the API server')
    .optionsGroup('Token, without --broker:')
    .option('--name <account>', 'the service account')
    .option('--namespace <namespace>', 'its namespace; also that of the context')
    .option('--context <name>', 'make it as the user of this context (default: the current one)')
    .addOption(
      new Option('--duration <time>', 'how long it lives, 24h unless --yes says more (default: 1h)').conflicts(
        'neverExpires',
      ),
    )
    .option('--never-expires', 'make a Secret with a token that never ends')
    .optionsGroup('File:')
    .option('--user <name>', 'the name of the user entry (default: kleis-NAME)')
    .option('--kubeconfig <file>', 'read and write here (default: as kubectl does)')
    .option('--out <file>', 'write a kubeconfig of its own, which only you can read')
    .option('--dry-run', 'print what would be added; make no token and write nothing')
    .option('-y, --yes', 'replace entries, and let a token live long, without asking')
    .action(async (name: string | undefined, flags: KubeconfigServiceAccountFlags) =>
      (await import('../commands/kubeconfig-service-account.ts')).kubeconfigServiceAccount(name, flags, deps),
    );
}

/** Of what changes entries that exist; `yes` says what it does not ask. */
function withChangeFlags(command: Command, yes?: string): Command {
  command.option('--kubeconfig <file>', 'of this file (default: as kubectl does)');
  command.option('--dry-run', 'say what would become of it and write nothing');
  return yes === undefined ? command : command.option('-y, --yes', yes);
}

const addHelp = `
What it does not name in the file stays as it is, byte for byte.

  kleis kubeconfig add --from https://kleis.example.com
  kleis kubeconfig add prod --server https://api.example.com:6443 --cluster-certificate-authority ca.crt \\
      --issuer-url https://login.example.com --scope groups`;

const serviceAccountHelp = `
Through a broker the tool has no secret in the file: it asks with the identity of where it runs.

  kleis kubeconfig service-account --broker https://kleis.example.com --grant deploy-web --cluster prod --identity github
  kleis kubeconfig service-account --namespace web --name deployer --duration 2h --out deployer.kubeconfig`;

const removeHelp = `
Sessions stay: kleis logout ends them.

  kleis kubeconfig remove --dry-run old older`;

const mergeHelp = `
Paths in them stay what they were. An entry of the same name with other content is refused.

  kleis kubeconfig merge --prefix lab- ~/Downloads/kubeconfig.yaml`;

const migrateHelp = `
It knows kubelogin, kubelogin of Azure, Pinniped, and the removed auth-providers oidc and azure, says what becomes of
each flag, and keeps a backup. Others need a provider (--issuer-url) or a broker (--from). What you type wins.

  kleis kubeconfig migrate --all --dry-run
  kleis kubeconfig migrate prod --from https://kleis.example.com`;

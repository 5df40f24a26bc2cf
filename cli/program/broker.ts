import { type Command, Option } from 'commander';
import {
  addBrokerFlags,
  type AdminFlags,
  type AdminGrantsFlags,
  type AdminLeasesFlags,
  type AdminRevokeFlags,
  type ExplainFlags,
  type GrantsFlags,
  optionOf,
  type OutputFlags,
  output,
  type VersionFlags,
  withContext,
} from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';

/** `version`, which stands with the others; a broker is asked only if one is named. */
export function describeVersion(command: Command, deps: Deps): void {
  addBrokerFlags(withContext(command))
    .description('print the version of Kleis, of Node, and of a broker')
    .addOption(output())
    .addHelpText('after', versionHelp)
    .action(async (flags: VersionFlags) => (await import('../commands/version.ts')).printVersion(flags, deps));
}

/** Commands that ask a broker, as a person or a job. @param finish see `createProgram` */
export function describeBrokerCommands(program: Command, deps: Deps, finish: (code: number) => void): void {
  program.commandsGroup('At a broker:');
  addBrokerFlags(withContext(program.command('grants')))
    .description('list what a broker gives you')
    .addOption(outputOf('table', 'json', 'name'))
    .addHelpText('after', brokerHelp('grants'))
    .action(async (flags: GrantsFlags) => (await import('../commands/grants.ts')).listGrants(flags, deps));
  addBrokerFlags(withContext(program.command('explain')).addOption(optionOf('grant')))
    .description('say which claims of your token a grant takes, and which not')
    .addOption(output())
    .addHelpText('after', brokerHelp('explain', ' --grant deploy-web'))
    .action(async (flags: ExplainFlags) => finish(await (await import('../commands/explain.ts')).explain(flags, deps)));
  describeAdmin(program.command('admin').description('for admins of a broker: leases, grants, health'), deps, finish);
}

function describeAdmin(admin: Command, deps: Deps, finish: (code: number) => void): void {
  const as = (name: string, yes?: string) => addBrokerFlags(withContext(admin.command(name)), yes);
  as('leases')
    .description('list who has which token now, the newest first')
    .addOption(optionOf('grant'))
    .option('--subject <name>', 'of this subject: whole, or up to one of its colons')
    .option('--all', 'also those that have ended or were revoked')
    .option('--watch', 'go on, and print what changes')
    .addOption(outputOf('table', 'wide', 'json', 'yaml', 'name'))
    .addHelpText('after', brokerHelp('admin leases', ' --subject repo:acme/web'))
    .action(async (flags: AdminLeasesFlags) => (await import('../commands/admin-leases.ts')).adminLeases(flags, deps));
  as('revoke', 'revoke, and let the broker have your sign-in, without asking')
    .argument('[id...]', 'the leases; the beginning of an id is enough where no other has it')
    .description('end leases, and with them the tokens')
    .addOption(optionOf('grant'))
    .option('--subject <name>', 'all of this subject: whole, or up to one of its colons')
    .option('--all', 'all that are active')
    .addOption(output())
    .addHelpText('after', brokerHelp('admin revoke', ' --subject repo:acme/web'))
    .action(async (ids: string[], flags: AdminRevokeFlags) =>
      finish(await (await import('../commands/admin-revoke.ts')).adminRevoke(ids, flags, deps)),
    );
  as('grants')
    .description('list every grant, when it was last used, and what is unwise about it')
    .addOption(outputOf('table', 'wide', 'json', 'name'))
    .addHelpText('after', brokerHelp('admin grants'))
    .action(async (flags: AdminGrantsFlags) => (await import('../commands/admin-grants.ts')).adminGrants(flags, deps));
  as('health')
    .description('say what is well with the broker, and what is not')
    .addOption(output())
    .addHelpText('after', brokerHelp('admin health'))
    .action(async (flags: AdminFlags & OutputFlags) =>
      finish(await (await import('../commands/admin-health.ts')).adminHealth(flags, deps)),
    );
}

function outputOf(usual: string, ...others: readonly string[]): Option {
  return new Option('-o, --output <format>', 'what to print').choices([usual, ...others]).default(usual);
}

const versionHelp = `
A broker tells its version only to who signs in; it is asked where --broker or --context names one.

  kleis version
  kleis version --broker https://kleis.example.com -o json`;

const brokerHelp = (name: string, rest = ''): string => `
It asks with your own token: of the CI job that this runs in, else of your sign-in. Without --broker it asks the broker of
a context of your kubeconfig: --context, else the current one.

  kleis ${name} --broker https://kleis.example.com${rest}
  kleis ${name} --context prod`;

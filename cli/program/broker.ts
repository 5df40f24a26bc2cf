import { type Command, Option } from 'commander';
import {
  addBrokerFlags,
  type ExplainFlags,
  type GrantsFlags,
  optionOf,
  output,
  withContext,
} from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';

/** Commands that ask a broker, as a person or a job. @param finish see `createProgram` */
export function describeBrokerCommands(program: Command, deps: Deps, finish: (code: number) => void): void {
  program.commandsGroup('At a broker:');
  addBrokerFlags(withContext(program.command('grants')))
    .description('list what a broker gives you')
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['table', 'json', 'name']).default('table'))
    .addHelpText('after', brokerHelp('grants'))
    .action(async (flags: GrantsFlags) => (await import('../commands/grants.ts')).listGrants(flags, deps));
  addBrokerFlags(withContext(program.command('explain')).addOption(optionOf('grant')))
    .description('say which claims of your token a grant takes, and which not')
    .addOption(output())
    .addHelpText('after', brokerHelp('explain', ' --grant deploy-web'))
    .action(async (flags: ExplainFlags) => finish(await (await import('../commands/explain.ts')).explain(flags, deps)));
}

const brokerHelp = (name: string, rest = ''): string => `
It asks with your own token: of the CI job that this runs in, else of your sign-in. Without --broker it asks the broker of
a context of your kubeconfig: --context, else the current one.

  kleis ${name} --broker https://kleis.example.com${rest}
  kleis ${name} --context prod`;

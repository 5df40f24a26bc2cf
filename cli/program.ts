import { type Command, CommanderError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { addCompletion } from '../shared/commands/completion.ts';
import { createRoot as createTree, finishTree } from '../shared/commands/tree.ts';
import { exitCodes, exitCodesHelp } from '../shared/errors.ts';
import { describeKubeconfig } from './program/kubeconfig.ts';
import { describeSetup } from './program/setup.ts';
import type { Deps } from './surroundings/deps.ts';
import { environment } from './settings/environment.ts';
import {
  addGetTokenFlags,
  addRevokeFlags,
  addSignInFlags,
  collect,
  type KubeconfigFlags,
  type LoginFlags,
  type LogoutFlags,
  optionOf,
  output,
  type OutputFlags,
  type RevokeFlags,
  type SignInFlags,
  type StatusFlags,
  type TokenFlags,
  tokenOutputs,
  unusedAtLogin,
  unusedWithoutSignIn,
  verboseFlag,
  withContext,
} from './settings/flags.ts';
import { describeBrokerCommands, describeVersion } from './program/broker.ts';
import { modeOf } from './settings/arguments.ts';
import { configNames, settingOf } from './settings/table.ts';
import { outcomeOf } from './surroundings/outcome.ts';
import type { DoctorFlags } from './commands/doctor.ts';
import type { WhoamiFlags } from './commands/whoami.ts';

const { version } = packageJson;

/** `kleis ARGUMENTS`. Resolves to the exit code; never rejects. */
export async function run(argv: readonly string[], deps: Deps): Promise<number> {
  let code: number = exitCodes.ok;
  const program = createProgram(argv, deps, (found) => {
    code = found;
  });
  return (await execute(program, argv, deps)) || code;
}

/** `kleis-get-token ARGUMENTS`, where there is something to say of them; else main-get-token.ts has no need of this. */
export async function runGetToken(argv: readonly string[], deps: Deps): Promise<number> {
  const program = createRoot('kleis-get-token', argv, deps);
  describeGetToken(program, argv, deps);
  finishTree(program, addVerbose);
  return execute(program, argv, deps);
}

async function execute(program: Command, argv: readonly string[], deps: Deps): Promise<number> {
  return outcomeOf(async () => {
    try {
      await program.parseAsync(argv, { from: 'user' });
    } catch (error) {
      // Its words have been said.
      if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
      throw error;
    }
    return exitCodes.ok;
  }, deps);
}

/**
 * The tree of commands, as `--help` and the completion show it.
 *
 * @param finish told the exit code of a command that found what it looked for, and that it is not fine
 */
export function createProgram(
  argv: readonly string[],
  deps: Deps,
  finish: (exitCode: number) => void = () => undefined,
): Command {
  const program = createRoot('kleis', argv, deps)
    .description('Short-lived, scoped access to Kubernetes clusters through your single sign-on.')
    .addHelpText('after', startHere);

  program.commandsGroup('Sign in:');
  addSignInFlags(withContext(program.command('login')), unusedAtLogin)
    .description('sign in, in a browser, with a device code, or by pasting')
    .addOption(optionOf('browserCommand'))
    .addHelpText('after', loginHelp)
    .action(async (flags: LoginFlags) => (await import('./commands/login.ts')).login(flags, deps));
  withContext(program.command('status'))
    .description('show who you are where, until when, and where that is kept')
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['table', 'wide', 'json']).default('table'))
    .option('--show-token', 'show the tokens too: whoever sees them can use them')
    .option('--quiet', 'print nothing, and end with 3 where a sign-in is needed')
    .addHelpText('after', statusHelp)
    .action(async (flags: StatusFlags) => finish(await (await import('./commands/status.ts')).status(flags, deps)));
  addSignInFlags(withContext(program.command('whoami')), unusedWithoutSignIn)
    .description('show who you are, to the provider and to the cluster')
    .option('--claims', 'print the claims of the ID token too; never the token')
    .addOption(output())
    .addHelpText('after', contextHelp('whoami', 'whoami --context prod -o json'))
    .action(async (flags: WhoamiFlags) => (await import('./commands/whoami.ts')).whoami(flags, deps));
  withContext(program.command('logout'))
    .description('sign out: revoke at the provider, remove from this machine')
    .option('--issuer-url <url>', 'sessions at this provider')
    .option('--account <name>', 'sessions of this account')
    .option('--session <id>', 'the session of this id, or whose id begins so: kleis status -o wide')
    .addOption(
      new Option('--all', 'every session').conflicts(['context', 'kubeconfig', 'issuerUrl', 'account', 'session']),
    )
    .addHelpText('after', logoutHelp)
    .action(async (flags: LogoutFlags) => (await import('./commands/logout.ts')).logout(flags, deps));

  program.commandsGroup('Set up:');
  program
    .command('init')
    .description('ask what kubectl needs for a cluster, try it, and write it')
    .option('--kubeconfig <file>', 'write here (default: as kubectl does)')
    .addHelpText('after', initHelp)
    .action(async (flags: KubeconfigFlags) => (await import('./commands/init.ts')).init(flags, deps));
  describeKubeconfig(program.command('kubeconfig').description('write, list and change kubeconfig entries'), deps);
  describeConfig(program.command('config'), deps);
  addCompletion(program, {
    names: ['kleis', 'kubectl-kleis'],
    write: (text) => deps.stdout.write(text),
    hush: () => deps.report.setLevel('silent'),
    values: async (question) => (await import('./commands/completion.ts')).knownValues(question, deps),
  });

  describeSetup(program.command('setup'), deps);

  program.commandsGroup('When something is wrong:');
  describeDoctor(program.command('doctor'), deps, finish);

  describeBrokerCommands(program, deps, finish);

  program.commandsGroup('For kubectl:');
  describeGetToken(program.command('get-token'), argv.slice(argv.indexOf('get-token') + 1), deps);

  program.commandsGroup('For scripts:');
  addSignInFlags(withContext(program.command('token')))
    .description('print the token that kubectl would get')
    .addOption(new Option('-o, --output <format>', 'what to print').choices(tokenOutputs).default('token'))
    .option('--force', 'renew: get a new one although the last is fresh')
    .option('--sign-in', 'sign in anew although the session is alive')
    .optionsGroup('Cluster, for -o kubeconfig and env:')
    .option('--server <url>', 'the API server (default: that of the context)')
    .option('--cluster-certificate-authority <file>', 'PEM; what vouches for the API server')
    .option('--tls-server-name <name>', 'the name in the certificate of the API server')
    .option('--namespace <namespace>', 'the namespace of the kubeconfig')
    .optionsGroup('Options:')
    .addHelpText(
      'after',
      contextHelp(
        'token --context prod',
        'token --identity github --broker https://kleis.example.com --grant deploy-web',
      ),
    )
    .action(async (flags: TokenFlags) => (await import('./commands/token.ts')).token(flags, deps));
  addRevokeFlags(withContext(program.command('revoke')))
    .description('take back what a broker gave this job, or one token')
    .option('--token-file <file>', 'the token in this file; - is standard input')
    .addHelpText('after', revokeHelp)
    .action(async (flags: RevokeFlags) => (await import('./commands/revoke.ts')).revoke(flags, deps));
  program.commandsGroup('Other:');
  describeVersion(program.command('version'), deps);
  finishTree(program, addVerbose);
  return program;
}

const startHere = `
Start here:
  kleis init                                                            asks for what it needs
  kleis kubeconfig add --from https://…                                 your company runs a broker
  kleis kubeconfig add prod --server https://… --issuer-url https://…   it does not
  kubectl get pods                                                      signs in by itself, once
  kleis setup                                                           you run the cluster, and nobody signs in yet
${exitCodesHelp()}`;

const initHelp = `
It asks for the address of your company's broker, or for a cluster and the issuer of your single sign-on, signs in, asks the
cluster who you are, and shows what it would write. Without a terminal kleis kubeconfig add does the same by flags.

  kleis init`;

const contextHelp = (...examples: readonly string[]) => `
Without --identity, --issuer-url and --broker it takes them from a context of your kubeconfig: --context, else the current one.

${examples.map((example) => `  kleis ${example}`).join('\n')}`;

const revokeHelp = `
It takes the flags that the token was got with; those that do not matter here are not shown.
${contextHelp('revoke --context prod', 'revoke --broker https://kleis.example.com --token-file token')}`;

const statusHelp = `
  kleis status
  kleis status --context prod --quiet || kleis login --context prod`;

const getTokenHelp = `
kubectl runs it by itself, with the flags of a kubeconfig entry. For people: kleis token.

  kleis get-token --issuer-url https://login.example.com --cluster-server https://api.example.com:6443`;

const configHelp = `
  kleis config
  kleis config -o json

They stand in ~/.config/kleis/config.yaml. A flag of the same name wins.

${configNames.map((name) => `  ${name.padEnd(18)}  ${settingOf(name).config?.help ?? settingOf(name).help}`).join('\n')}

Environment:
${Object.entries(environment)
  .map(([name, { help }]) => `  ${name.padEnd(36)}  ${help}`)
  .join('\n')}`;

const configSchemaHelp = `
An editor with the YAML language server takes it by a line at the top of config.yaml:

  # yaml-language-server: $schema=config.schema.json

  kleis config schema > ~/.config/kleis/config.schema.json`;

const loginHelp = `
Without --issuer-url it signs in for a context of your kubeconfig: --context, else the current one.

  kleis login --context prod
  kleis login --issuer-url https://login.example.com --login device`;

const logoutHelp = `
Without flags it ends the only session there is.

  kleis logout --account alice@example.com
  kleis logout --session 3f1c
  kleis logout --all`;

const doctorHelp = `
It looks in the order in which things break, changes nothing, and signs in only if you say so. What fails comes with what
mends it, what cannot be known with the reason. It ends with 0, or with the code of the first failure.

  kleis doctor --context prod
  kleis doctor --authentication-config /etc/kubernetes/authentication.yaml
  kleis doctor --bundle support.json
  kleis doctor --cluster`;

function createRoot(name: string, argv: readonly string[], deps: Deps): Command {
  return createTree({ name, version, argv, ...deps }).hook('preAction', (_, command) => {
    if (command.opts<{ verbose?: boolean }>().verbose === true) deps.report.setLevel('debug');
  });
}

/** On every command, since people add it at the end of what they have typed. */
function addVerbose(command: Command): void {
  command.optionsGroup('Options:').addOption(verboseFlag);
}

function describeGetToken(command: Command, args: readonly string[], deps: Deps): void {
  const { mode, rest } = modeOf(args);
  addGetTokenFlags(command)
    .description('print an ExecCredential for kubectl; signs in when it must')
    .addOption(new Option('--background').hideHelp())
    .addOption(new Option('--rejected').hideHelp())
    .addHelpText(
      'after',
      command.name() === 'get-token' ? getTokenHelp : getTokenHelp.replaceAll('  kleis get-token', '  kleis-get-token'),
    )
    .action(async (flags: SignInFlags) => {
      const { printCredential } = await import('./commands/get-token.ts');
      await printCredential({ flags, args: rest, mode }, deps);
    });
}

function describeConfig(command: Command, deps: Deps): void {
  command
    .description('show your settings and where each comes from')
    .addOption(output())
    .addHelpText('after', configHelp)
    .action(async (flags: OutputFlags) => (await import('./commands/config.ts')).showConfig(flags, deps))
    .command('schema')
    .description('print what config.yaml may hold, as JSON Schema, for editors')
    .addHelpText('after', configSchemaHelp)
    .action(async () => (await import('./commands/config-schema.ts')).printConfigSchema(deps));
}

function describeDoctor(command: Command, deps: Deps, finish: (exitCode: number) => void): void {
  command
    .description('find what is wrong between this machine and a cluster, and say what mends it')
    .option('--context <name>', 'look at this context (default: the current one)')
    .option('--kubeconfig <file>', 'look in this kubeconfig')
    .option('--sign-in', 'sign in where nobody is signed in')
    .option('--bundle <file>', 'write what a stranger may see of it into a new file, for support')
    .addOption(
      new Option('--cluster', 'find in the cluster what gives access without an end').conflicts([
        'bundle',
        'authenticationConfig',
        'oidcIssuerUrl',
        'oidcClientId',
        'oidcUsernameClaim',
        'oidcGroupsClaim',
        'oidcRequiredClaim',
        'oidcSigningAlgs',
      ]),
    )
    .addOption(output())
    .optionsGroup('What the API server expects, to compare with:')
    .option('--authentication-config <file>', 'its AuthenticationConfiguration')
    .option('--oidc-issuer-url <url>', 'its flag of that name; so are those below')
    .option('--oidc-client-id <id>', 'the audience')
    .option('--oidc-username-claim <claim>', 'where the name comes from (default: sub)')
    .option('--oidc-groups-claim <claim>', 'where the groups come from')
    .addOption(new Option('--oidc-required-claim <claim=value>', 'may be repeated').argParser(collect))
    .option('--oidc-signing-algs <list>', 'divided by commas (default: RS256)')
    .optionsGroup('Options:')
    .addHelpText('after', doctorHelp)
    .action(async (flags: DoctorFlags) => {
      finish(
        flags.cluster === true
          ? await (await import('./commands/doctor-cluster.ts')).doctorCluster(flags, deps)
          : await (await import('./commands/doctor.ts')).doctor(flags, deps),
      );
    });
}

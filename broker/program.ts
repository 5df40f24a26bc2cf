import { Argument, type Command, CommanderError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { addCompletion } from '../shared/commands/completion.ts';
import { createRoot, finishTree } from '../shared/commands/tree.ts';
import { exitCodes, exitCodesHelp, KleisError } from '../shared/errors.ts';
import { widthOf } from '../shared/table.ts';
import { clean, fold } from '../shared/text.ts';
import type { ConfigFaults } from './config/documents.ts';
import type { AuditReportFlags } from './commands/audit-report.ts';
import type { AuditShowFlags } from './commands/audit-show.ts';
import type { AuditUsedFlags } from './commands/audit-used.ts';
import type { AuditVerifyFlags } from './commands/audit-verify.ts';
import type { AuditWhoFlags } from './commands/audit-who.ts';
import type { CheckFlags } from './commands/check.ts';
import type { Deps } from './surroundings.ts';
import type { ExplainFlags } from './commands/explain.ts';
import type { RbacFlags } from './commands/rbac.ts';
import type { LeasesFlags } from './commands/leases.ts';
import type { WellKnownFlags } from './commands/well-known.ts';
import type { ServeFlags } from './commands/serve.ts';

/** `kleis-broker ARGUMENTS`. Resolves to the exit code; never rejects. */
export async function run(argv: readonly string[], deps: Deps): Promise<number> {
  let code: number = exitCodes.ok;
  const program = createProgram(argv, deps, (next) => {
    code = next;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return fail(error, deps);
  }
}

/** What to do where there is no configuration at all. */
function nothingThere(env: Deps['env']): string {
  const inPod = Boolean(env['KUBERNETES_SERVICE_HOST']);
  return `Put a configuration there, or correct --config.${inPod ? ' In a pod: is its ConfigMap there, and mounted at that path? The kubelet starts this again.' : ''}`;
}

/** Each line of a faulty configuration as compilers print it; everything else as what happened and what to do. */
function fail(error: unknown, { stderr, env }: Deps): number {
  const prose = (text: string) => fold(`       ${text}`, widthOf(stderr)).trimStart();
  // By name: the class is loaded with the commands that need it.
  if (error instanceof Error && error.name === 'ConfigFaults') {
    stderr.write(`${error.message}\n`);
    if ((error as ConfigFaults).empty) stderr.write(`next:  ${prose(nothingThere(env))}\n`);
    return exitCodes.configuration;
  }
  const known =
    error instanceof KleisError
      ? error
      : new KleisError('unexpected', `Something happened that the broker did not foresee: ${nameOf(error)}`);
  stderr.write(`error: ${prose(known.message)}\nnext:  ${prose(known.hint)}\n`);
  if (known.detail !== undefined && env['KLEIS_LOG'] === 'debug')
    stderr.write(`debug: ${known.code}: ${known.detail}\n`);
  return known.exitCode;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? clean(`${error.name}: ${error.message}`) : 'an unknown error';
}

export function createProgram(argv: readonly string[], deps: Deps, finish: (code: number) => void): Command {
  const program = createRoot({ name: 'kleis-broker', version: packageJson.version, argv, ...deps })
    .description('Exchanges identities of CI jobs and people for short-lived service-account tokens.')
    .addHelpText('after', exitCodesHelp({ unexpected: 'unexpected, or an audit with faults' }));

  program.commandsGroup('Run:');
  withConfig(program.command('serve'))
    .description('run the broker until SIGTERM')
    .addHelpText('after', '\n  kleis-broker serve --config /etc/kleis/broker.yaml')
    .action(async (flags: ServeFlags) => finish(await (await import('./commands/serve.ts')).serve(flags, deps)));

  program.commandsGroup('Set up:');
  withAdmin(withConfig(program.command('check')), 'compare with the live cluster, as this admin')
    .description('find what is wrong with a configuration, and with the clusters that it names')
    .addHelpText('after', checkHelp)
    .option('--online', 'ask the issuers for their keys, and the clusters whether the broker can work there')
    .option('--no-files', 'do not look at the files that it names: they are on another machine')
    .option('--cluster <name>', 'the cluster, if the configuration has several')
    .addOption(output('table', 'json', 'sarif'))
    .action(async (flags: CheckFlags) => finish(await (await import('./commands/check.ts')).check(flags, deps)));
  withAdmin(
    program.command('rbac').option('--config <path>', configHelp),
    'ask the API server for its audiences, as this admin',
  )
    .description('print what a cluster needs: namespaces, accounts, bindings, policies')
    .option('--cluster <name>', 'the cluster, if the configuration has several')
    .option('--role <name>', 'print a Role to begin with instead, for `access`: deployer')
    .option('--namespace <names...>', 'the namespaces of that Role')
    .addOption(output('yaml', 'json'))
    .addHelpText('after', rbacHelp)
    .action(async (flags: RbacFlags) => (await import('./commands/rbac.ts')).printRbac(flags, deps));

  program
    .command('well-known')
    .description('print the document that `kleis kubeconfig add --from` reads, for clusters without a broker')
    .requiredOption('--issuer-url <url>', 'the provider whose tokens the API servers take')
    .requiredOption('--client-id <id>', 'the client that people sign in with')
    .option('--scope <scopes...>', 'scopes to ask for beside openid')
    .option('--certificate-authority <file>', 'PEM; what vouches for the provider')
    .requiredOption('--kubeconfig <file>', 'where the clusters are')
    .requiredOption('--context <names...>', 'their contexts, whose names people will see')
    .addHelpText('after', wellKnownHelp)
    .action(async (flags: WellKnownFlags) =>
      finish(await (await import('./commands/well-known.ts')).printWellKnown(flags, deps)),
    );

  program.commandsGroup('Ask:');
  withConfig(program.command('explain'))
    .description('decide about a token as the broker would, and say why')
    .addHelpText('after', '\n  kleis-broker explain --config broker.yaml --grant deploy-web --token-file token')
    .requiredOption('--grant <name>', 'the grant')
    .requiredOption('--token-file <file>', 'the subject token')
    .option('--cluster <name>', 'what the caller would send as audience')
    .option('--expires-in <seconds>', 'what the caller would ask for')
    .option('--no-verify', 'believe the token: look neither at its signature nor at its times')
    .addOption(output('table', 'json'))
    .action(async (flags: ExplainFlags) =>
      finish(await (await import('./commands/explain.ts')).explainOffline(flags, deps)),
    );
  withBroker(program.command('leases'))
    .description('list what a running broker has minted and keeps a lease of')
    .addHelpText(
      'after',
      '\n  kleis-broker leases --broker https://kleis.example.com --token-file admin-token --grant deploy-web',
    )
    .option('--grant <name>', 'only of this grant')
    .action(async (flags: LeasesFlags) => (await import('./commands/leases.ts')).listRemote(flags, deps));
  withBroker(program.command('revoke'))
    .argument('[leases...]', 'their ids, as `leases` shows them')
    .description('end tokens before their time')
    .addHelpText(
      'after',
      '\n  kleis-broker revoke --broker https://kleis.example.com --token-file admin-token --grant deploy-web',
    )
    .option('--grant <name>', 'all that are active of this grant')
    .action(async (ids: string[], flags: LeasesFlags) =>
      finish(await (await import('./commands/leases.ts')).revokeRemote(ids, flags, deps)),
    );

  const audit = program.command('audit').description('look after the audit');
  withSpan(withFiles(audit.command('show')))
    .description('print what happened, a line each, by time')
    .option('--grant <name>', 'only of this grant')
    .option('--subject <text>', 'only of subjects that contain this')
    .option('--issuer <name>', 'only of this issuer')
    .option('--event <name>', 'only such events; may be given several times', gather)
    .option('--denied', 'only what was denied')
    .option('-f, --follow', 'go on with what is written, over rotations of the files, until Ctrl-C')
    .addOption(output('table', 'json'))
    .addHelpText('after', auditShowHelp)
    .action(async (files: string[], flags: AuditShowFlags) =>
      finish(await (await import('./commands/audit-show.ts')).auditShow(files, flags, deps)),
    );
  withFiles(audit.command('who').argument('<id>', auditId))
    .description('say which job a token or lease is of')
    .addOption(output('table', 'json'))
    .addHelpText('after', auditWhoHelp)
    .action(async (id: string, files: string[], flags: AuditWhoFlags) =>
      finish(await (await import('./commands/audit-who.ts')).auditWho(id, files, flags, deps)),
    );
  withFiles(audit.command('used').argument('<id>', auditId))
    .description('say what was done with a token, by the audit log of the API server')
    .requiredOption('--api-audit <files...>', 'of the API server, in any order; .gz too')
    .addOption(output('table', 'json'))
    .addHelpText('after', auditUsedHelp)
    .action(async (id: string, files: string[], flags: AuditUsedFlags) =>
      finish(await (await import('./commands/audit-used.ts')).auditUsed(id, files, flags, deps)),
    );
  withSpan(withFiles(audit.command('report')))
    .description('count who got what')
    .option('--month <month>', 'in UTC, as 2026-11; instead of --since and --until')
    .option('--by <claim>', 'count by a claim that the grants look at instead of the subject')
    .addOption(output('table', 'json', 'csv'))
    .addHelpText('after', auditReportHelp)
    .action(async (files: string[], flags: AuditReportFlags) =>
      finish(await (await import('./commands/audit-report.ts')).auditReport(files, flags, deps)),
    );
  withAdmin(audit.command('verify'), 'read the anchors as this admin')
    .argument('<files...>', 'all of the audit, in any order; .gz too')
    .description('find lines that were edited, removed or cut off')
    .addHelpText('after', '\n  kleis-broker audit verify /var/log/kleis/audit.jsonl*')
    .option('--config <path>', 'the configuration, which says where the anchors are')
    .option('--partial', 'the files are only a part: what is not in them is no fault', false)
    .addOption(output('table', 'json'))
    .action(async (files: string[], flags: AuditVerifyFlags) =>
      finish(await (await import('./commands/audit-verify.ts')).auditVerify(files, flags, deps)),
    );
  program.commandsGroup('Other:');
  program
    .command('schema')
    .addArgument(
      new Argument('[document]', 'of a configuration (JSON Schema), or of what there is to call (OpenAPI)')
        .choices(['config', 'openapi'])
        .default('config'),
    )
    .description('print a schema, for editors and other machines')
    .addHelpText('after', schemaHelp)
    .action(async (which: 'config' | 'openapi') => (await import('./commands/schema.ts')).printSchema(which, deps));
  addCompletion(program, {
    names: ['kleis-broker'],
    write: (text) => deps.stdout.write(text),
    values: async (question) => (await import('./commands/completion.ts')).knownValues(question),
  });
  finishTree(program, () => undefined);
  return program;
}

const checkHelp = `
SARIF is for what shows findings beside the lines of a change, such as code scanning of GitHub.

  kleis-broker check --config broker.yaml
  kleis-broker check --config broker.yaml --kubeconfig admin.kubeconfig
  kleis-broker check --config deploy/kleis --no-files -o sarif > kleis.sarif`;

const schemaHelp = `
An editor with the YAML language server takes it by a line at the top of a configuration:

  # yaml-language-server: $schema=broker-config.schema.json

  kleis-broker schema > broker-config.schema.json
  kleis-broker schema openapi > openapi.json`;

const notVerified = `
The lines are NOT verified: whether they are what the broker wrote, and all of it, says \`kleis-broker audit verify\`.`;

const auditShowHelp = `
A time is so long ago (15m, 2h, 30d), a date, or as RFC 3339 has it. JSON is the lines as they are in the files.
${notVerified}

  kleis-broker audit show /var/log/kleis/audit.jsonl* --since 2h --denied
  kubectl -n kleis-system logs deploy/kleis-broker | kleis-broker audit show - --grant deploy-web`;

const auditId = 'a lease, or the JTI of a token';

const auditWhoHelp = `
The id is a lease, the jti of a token that was minted (JTI=... in the API server's audit), the jti or the SHA-256 of the
token that the job presented, or a request id.
${notVerified}

  kleis-broker audit who JTI=a9c1f7e2-... /var/log/kleis/audit.jsonl*`;

const auditUsedHelp = `
API servers of 1.30 and later name the token of each request; of older ones only the account is known.
${notVerified}

  kleis-broker audit used r3b07b9... /var/log/kleis/audit.jsonl* --api-audit /var/log/kubernetes/audit*.log`;

const auditReportHelp = `
CSV and JSON have a row for each issuer, subject, grant and cluster: exchanges, denied, failed, withdrawn (tokens that did
not reach their caller), revoked, and the first and last time.
${notVerified}

  kleis-broker audit report /var/log/kleis/audit.jsonl* --month 2026-11 -o csv > november.csv`;

const wellKnownHelp = `
A running broker answers /.well-known/kleis itself. This document is for any web server with https:

  kleis-broker well-known --issuer-url https://login.example.com --client-id kleis --scope groups \\
      --kubeconfig admin.kubeconfig --context dev prod > .well-known/kleis
  kleis kubeconfig add --from https://clusters.example.com`;

const rbacHelp = `
It changes nothing. Its first lines say what must be there already. For the first time:

  kubectl create namespace web
  kleis-broker rbac --role deployer --namespace web | kubectl apply -f -
  kleis-broker rbac --config broker.yaml | kubectl apply -f -`;

const configHelp = 'the configuration: a YAML file, or a folder of them';

function withConfig(command: Command): Command {
  return command.requiredOption('--config <path>', configHelp);
}

function withAdmin(command: Command, what: string): Command {
  return command.option('--kubeconfig <file>', what).option('--context <name>', 'the context of that kubeconfig');
}

function withFiles(command: Command): Command {
  return command.argument('<files...>', 'of the audit, rotated ones too, in any order; .gz too; - for standard input');
}

function withSpan(command: Command): Command {
  return command.option('--since <time>', 'from then on').option('--until <time>', 'until then');
}

function gather(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

function withBroker(command: Command): Command {
  return command
    .requiredOption('--broker <url>', 'the broker')
    .requiredOption('--token-file <file>', 'a token of an admin, from one of the issuers of the broker')
    .option('--certificate-authority <file>', 'PEM; what vouches for the broker')
    .addOption(output('table', 'json'));
}

function output(usual: string, ...others: readonly string[]): Option {
  const choices = [usual, ...others];
  return new Option('-o, --output <format>', 'what to print').choices(choices).default(usual);
}

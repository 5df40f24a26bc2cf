import type { Option } from 'commander';
import { createProgram } from '../../cli/program.ts';
import { environment } from '../../cli/settings/environment.ts';
import { addSignInFlags, optionOf } from '../../cli/settings/flags.ts';
import { configNames, names, settingOf } from '../../cli/settings/table.ts';
import type { Deps } from '../../cli/surroundings/deps.ts';
import { errorCodes, exitCodes, exitMeanings, KleisError } from '../../shared/errors.ts';

/** A part of a page that is made from the code: what stands between `<!-- made: NAME -->` and `<!-- end -->`. */
export interface Part {
  readonly file: string;
  readonly name: string;
  readonly make: () => string;
}

/** The tables of the reference. */
export const referenceParts: readonly Part[] = [
  { file: 'docs/cli.md', name: 'sign-in flags', make: signInFlags },
  { file: 'docs/cli.md', name: 'flags of kubeconfig add', make: kubeconfigAddFlags },
  { file: 'docs/cli.md', name: 'config.yaml', make: configExample },
  { file: 'docs/cli.md', name: 'environment', make: variables },
  { file: 'docs/cli.md', name: 'exit codes', make: exits },
  { file: 'docs/cli.md', name: 'error codes', make: errors },
  { file: 'docs/broker.md', name: 'exit codes', make: exits },
];

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** `--token id|access`, `--issuer-url URL` */
function spelled({ long, flags, argChoices }: Option): string {
  const [, value = ''] = /<(.+)>/.exec(flags) ?? [];
  const choices = argChoices === undefined || long === '--identity' ? value.toUpperCase() : argChoices.join('|');
  return `\`${`${long} ${choices}`.trim()}\``;
}

function signInFlags(): string {
  const rows = names
    .filter((name) => settingOf(name).flag !== undefined)
    .map((name) => [spelled(optionOf(name)), settingOf(name).reference ?? settingOf(name).help]);
  return table(['flag', 'meaning'], rows);
}

function kubeconfigAddFlags(): string {
  const program = createProgram([], {} as Deps);
  const add = program.commands.find((each) => each.name() === 'kubeconfig')?.commands[0];
  if (add === undefined) throw new Error('there is no `kubeconfig add`');
  const known = new Set(addSignInFlags(program.createCommand('x')).options.map(({ long }) => long));
  const own = add.options.filter(({ long }) => !known.has(long) && long !== '--verbose');
  return table(
    ['flag', 'meaning'],
    own.map((option) => [spelled(option), option.description]),
  );
}

function configExample(): string {
  const lines = configNames.map((name) => {
    const { config, choices, help } = settingOf(name);
    const comment = choices === undefined ? (config?.help ?? help) : choices.join(', ');
    return `# ${comment}\n${name}: ${config?.example}`;
  });
  return `\`\`\`yaml\n${lines.join('\n')}\n\`\`\``;
}

function variables(): string {
  return table(
    ['variable', 'meaning'],
    Object.entries(environment).map(([name, { help, reference }]) => [
      name
        .split(', ')
        .map((each) => `\`${each}\``)
        .join(', '),
      reference ?? help,
    ]),
  );
}

function exits(): string {
  const rows = Object.entries(exitMeanings).map(([name, { means, scripts }]) => [
    String(exitCodes[name as keyof typeof exitCodes]),
    means,
    scripts,
  ]);
  return table(['code', 'meaning', 'a script should'], rows);
}

function errors(): string {
  const rows = errorCodes.map((code) => {
    const { exitCode, status, oauth, hint } = new KleisError(code, '');
    const http = oauth === 'server_error' && status === 500 ? '' : `${status} \`${oauth}\``;
    return [`\`${code}\``, String(exitCode), http, hint];
  });
  return table(['code', 'exit', 'the broker answers', 'what to do next, where nothing better is known'], rows);
}

import type { Command, Option } from 'commander';
import type { Deps } from '../surroundings/deps.ts';
import type { Shell } from '../settings/flags.ts';
import { contextNames } from '../kubeconfig/load.ts';

// The scripts ask the program itself, so that they never know less than `--help` does.
const scripts: Readonly<Record<Shell, string>> = {
  // Bash takes = and : for ends of words: what stands before them on the line must not be given back.
  bash: `_kleis() {
  local current=\${COMP_WORDS[COMP_CWORD]} value rest
  local -a words
  read -r -a words <<<"\${COMP_LINE:0:COMP_POINT}"
  [[ \${COMP_LINE:0:COMP_POINT} != *[[:space:]] ]] || words+=('')
  local last=\${words[-1]}
  [[ $current != [=:] ]] || current=
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    COMPREPLY+=("\${value#"\${last%"$current"}"}")
  done < <(command "\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _kleis kleis kubectl-kleis
`,
  zsh: `#compdef kleis kubectl-kleis
_kleis() {
  local -a items
  local value rest
  while IFS=$'\\t' read -r value rest; do
    items+=("\${value//:/\\\\:}:$rest")
  done < <(command "$words[1]" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( $#items )); then _describe -V kleis items; else _files; fi
}
compdef _kleis kleis kubectl-kleis
`,
  fish: `function __kleis_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (command $words[1] __complete -- $words[2..-1] 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c kleis -f -a '(__kleis_complete)'
complete -c kubectl-kleis -f -a '(__kleis_complete)'
`,
};

export function printCompletion(shell: Shell, deps: Deps): void {
  deps.stdout.write(scripts[shell]);
}

interface Candidate {
  readonly value: string;
  readonly description: string;
}

/**
 * What may stand in the place of the last of `words` (all after the program's name): a line each, `value TAB
 * description`. Nothing where a file name or free text belongs: the shell then offers files.
 */
export async function complete(program: Command, words: readonly string[], deps: Deps): Promise<void> {
  const current = words.at(-1) ?? '';
  const found = await candidates(program, words.slice(0, -1), current, deps);
  for (const { value, description } of found) {
    if (value.startsWith(current)) deps.stdout.write(`${value}\t${description}\n`);
  }
}

async function candidates(
  program: Command,
  before: readonly string[],
  current: string,
  deps: Deps,
): Promise<Candidate[]> {
  const { command, pending, position } = walk(program, before);
  if (pending !== undefined) return values(pending, '', deps);
  const [, name] = /^(--[\w-]+)=/.exec(current) ?? [];
  if (name !== undefined) {
    const option = command.options.find(({ long }) => long === name);
    return option === undefined ? [] : values(option, `${name}=`, deps);
  }
  if (current.startsWith('-')) {
    return command
      .createHelp()
      .visibleOptions(command)
      .map((option) => ({ value: option.long ?? option.short ?? '', description: option.description }));
  }
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[position] ?? (last?.variadic === true ? last : undefined);
  if (argument?.name() === 'context') return (await contextNames(deps)).map((value) => ({ value, description: '' }));
  const choices = argument?.argChoices;
  if (choices !== undefined) return choices.map((value) => ({ value, description: '' }));
  return command
    .createHelp()
    .visibleCommands(command)
    .map((child) => ({ value: child.name(), description: child.description() }));
}

/** The command that the words lead to, the option that still waits for its value, and how many arguments there are. */
function walk(program: Command, words: readonly string[]) {
  let command = program;
  let pending: Option | undefined;
  let position = 0;
  for (const word of words) {
    if (pending !== undefined) {
      pending = undefined;
    } else if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => long === word || short === word);
      if (option?.required === true) pending = option;
    } else {
      const child = command.commands.find((each) => each.name() === word);
      if (child === undefined) position += 1;
      else command = child;
    }
  }
  return { command, pending, position };
}

async function values(option: Option, prefix: string, deps: Deps): Promise<Candidate[]> {
  const found = option.long === '--context' ? await contextNames(deps) : (option.argChoices ?? []);
  return found.map((value) => ({ value: `${prefix}${value}`, description: '' }));
}

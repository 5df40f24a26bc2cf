import { type Command, Option } from 'commander';
import type { Values } from './complete.ts';
import { type Asker, askers, shells, type Shell } from './asker.ts';

export interface Completion {
  /** The program, and other names that it is called by. */
  readonly names: readonly [string, ...string[]];
  readonly write: (text: string) => void;
  /** Before anything is looked up: whoever completes reads no messages. */
  readonly hush?: () => void;
  readonly values: Values;
}

/** `completion SHELL`, which prints a script, and what the scripts ask. */
export function addCompletion(program: Command, { names, write, hush, values }: Completion): void {
  const [name] = names;
  program
    .command('completion')
    .description('print a completion script for your shell')
    .addArgument(program.createArgument('<shell>', 'your shell').choices(shells))
    .addHelpText('after', usage(name))
    .action(async (shell: Shell) => write((await import('./completion-scripts.ts')).scripts[shell](names)));
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .helpOption(false)
    .addOption(new Option('--shell <name>').choices(askers).makeOptionMandatory())
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (words: string[], { shell }: { shell: Asker }) => {
      hush?.();
      const { complete } = await import('./complete.ts');
      write(await complete(program, shell, shell === 'powershell' ? unpack(words) : words, values));
    });
}

/** Older versions of PowerShell drop empty arguments and lose quotes: one argument holds them all. */
function unpack([packed = '']: readonly string[]): string[] {
  return Buffer.from(packed, 'base64').toString().split('\0');
}

const usage = (name: string) => `
  source <(${name} completion bash)   in ~/.bashrc
  source <(${name} completion zsh)    in ~/.zshrc, after compinit
  ${name} completion fish | source    in ~/.config/fish/config.fish
  ${name} completion powershell | Out-String | Invoke-Expression   in $PROFILE`;

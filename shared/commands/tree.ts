import type { WriteStream } from 'node:tty';
import { Command, type CommandOptions } from 'commander';
import { useColour } from '../colour.ts';
import { KleisError } from '../errors.ts';
import { revealUnseen, shown } from '../text.ts';
import { pageOf } from './page.ts';
import { render, widthOf } from './render.ts';

/** A command that keeps what its help says after the flags, for whoever lays it out: a terminal, a page of the manual. */
export class HelpedCommand extends Command {
  /** Paragraphs of lines; what is indented stands as it is: examples, lists. */
  readonly notes: string[] = [];

  override createCommand(name?: string): HelpedCommand {
    return new HelpedCommand(name);
  }

  override addHelpText(position: string, text: unknown): this {
    if (position !== 'after' || typeof text !== 'string') throw new Error('Help has text after the flags alone.');
    this.notes.push(text);
    return this;
  }
}

export interface Root {
  readonly name: string;
  readonly version: string;
  /** What was typed. */
  readonly argv: readonly string[];
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The root of a tree of commands. `finishTree` once all are in it. */
export function createRoot({ name, version, argv, stdout, stderr, env }: Root): HelpedCommand {
  return new HelpedCommand(name)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain this command')
    .helpCommand(false)
    .exitOverride()
    .enablePositionalOptions()
    .configureHelp({
      formatHelp: (command, { helpWidth = 80 }) => render(pageOf(command), { width: helpWidth, colour: true }),
    })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: (text, write) => write(explainArguments(text, argv)),
      getOutHelpWidth: () => widthOf(stdout),
      getErrHelpWidth: () => widthOf(stderr),
      getOutHasColors: () => useColour(stdout, env),
      getErrHasColors: () => useColour(stderr, env),
    });
}

/**
 * Gives every command its own help as the next step after a mistake, and every group of commands a `help`, so that
 * `help kubeconfig add` and `kubeconfig help add` are the same.
 *
 * @param option for every command: people add it at the end of what they have typed
 */
export function finishTree(command: Command, each: (command: Command) => void, path = command.name()): void {
  each(command);
  command.showHelpAfterError(`next:  See \`${path} --help\`.`);
  for (const child of command.commands) finishTree(child, each, `${path} ${child.name()}`);
  if (command.commands.length > 0) addHelp(command);
}

const hidden: CommandOptions = { hidden: true };

function addHelp(group: Command): void {
  group
    .command('help', group.parent === null ? {} : hidden)
    .argument('[command...]', 'the command, such as: kubeconfig add')
    .helpOption(false)
    .description('explain a command')
    .addHelpText('after', `  ${pathOf(group)} help ${group.commands[0]?.name() ?? ''}`)
    .action((words: string[]) => find(group, words).outputHelp());
}

/** Throws `usage`, naming those that there are. */
function find(group: Command, words: readonly string[]): Command {
  let found = group;
  for (const word of words) {
    const children = found.createHelp().visibleCommands(found);
    const child = children.find((each) => each.name() === word);
    if (child === undefined) {
      const path = pathOf(found);
      const names = children.map((each) => each.name()).filter((name) => name !== 'help');
      throw new KleisError('usage', `There is no command ${shown(`${path} ${word}`)}.`, {
        hint: names.length === 0 ? `\`${path}\` has no commands below it.` : `There are: ${names.join(', ')}.`,
      });
    }
    found = child;
  }
  return found;
}

/** `kleis kubeconfig add` */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** What was pasted may hold what nobody sees, and dashes that are none. */
function explainArguments(text: string, argv: readonly string[]): string {
  const notes = argv.flatMap((argument) => {
    const [dash] = /^(?!-)\p{Pd}/u.exec(argument) ?? [];
    if (dash === undefined && shown(argument).slice(1, -1) === argument.slice(1, -1)) return [];
    const code = dash?.codePointAt(0)?.toString(16).toUpperCase();
    const why = dash === undefined ? 'holds what cannot be seen' : `begins with U+${code}, which is no hyphen`;
    return [`The argument ${shown(argument)} ${why}: type it anew.\n`];
  });
  return [text.split('\n').map(revealUnseen).join('\n'), ...notes.slice(0, 5)].join('');
}

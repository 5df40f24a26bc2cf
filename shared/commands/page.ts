import type { Argument, Command, Option } from 'commander';

/** What help says of a command, whoever shows it. */
export interface HelpPage {
  /** `kleis kubeconfig add` */
  readonly name: string;
  /** What follows the name: `[options] [name]`. */
  readonly usage: string;
  readonly description: string;
  readonly groups: readonly HelpGroup[];
  /** Paragraphs of lines; what is indented stands as it is: examples, lists. */
  readonly notes: string;
}

export interface HelpGroup {
  /** With a colon at its end. */
  readonly title: string;
  readonly kind: 'arguments' | 'options' | 'commands';
  readonly items: readonly HelpItem[];
}

export interface HelpItem {
  readonly term: string;
  readonly text: string;
}

export function pageOf(command: Command): HelpPage {
  const help = command.createHelp();
  const names = help.commandUsage(command).split(' ');
  const words = names.findIndex((word) => /^[[<]/.test(word));
  const first = words === -1 ? names.length : words;
  const args = command.registeredArguments.filter(({ description }) => description !== '');
  const groups: HelpGroup[] = [
    { title: 'Arguments:', kind: 'arguments', items: args.map(argumentItem) },
    ...grouped(help.visibleOptions(command), ({ helpGroupHeading }) => helpGroupHeading ?? 'Options:').map(
      ([title, options]): HelpGroup => ({ title, kind: 'options', items: options.map(optionItem) }),
    ),
    ...grouped(help.visibleCommands(command), (child) => child.helpGroup() || 'Commands:').map(
      ([title, children]): HelpGroup => ({ title, kind: 'commands', items: children.map(commandItem) }),
    ),
  ];
  const notes = 'notes' in command ? (command.notes as readonly string[]) : [];
  return {
    name: names.slice(0, first).join(' ').trim(),
    usage: names.slice(first).join(' '),
    description: command.description(),
    groups: groups.filter(({ items }) => items.length > 0),
    notes: notes.map((text) => text.replace(/^\n+|\n+$/g, '')).join('\n\n'),
  };
}

/** In the order in which they were made; the group of what stands by itself, `Options:`, is the last. */
function grouped<Item>(items: readonly Item[], groupOf: (item: Item) => string): (readonly [string, Item[]])[] {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(groupOf(item), [...(groups.get(groupOf(item)) ?? []), item]);
  const usual = groups.get('Options:');
  if (usual === undefined) return [...groups];
  groups.delete('Options:');
  return [...groups, ['Options:', usual]];
}

function argumentItem(argument: Argument): HelpItem {
  const { argChoices: choices, description } = argument;
  return { term: argument.name(), text: choices === undefined ? description : `${description}: ${choices.join(', ')}` };
}

/** `--login <auto|browser|device|paste>`: the choices in place of the name of the value, where they are short. */
function optionItem(option: Option): HelpItem {
  const list = option.argChoices?.join('|') ?? '';
  const isShort = list !== '' && list.length <= maxList;
  return { term: isShort ? option.flags.replace(/<.+>/, `<${list}>`) : option.flags, text: optionText(option) };
}

/** What is said of an option: its choices too where they are too long for its name. */
export function optionText({ description, argChoices: choices = [], defaultValue }: Option): string {
  const usual = typeof defaultValue === 'string' ? ` (default: ${defaultValue})` : '';
  return `${description}${usual}${choices.join('|').length > maxList ? `: ${choices.join(', ')}` : ''}`;
}

const maxList = 32;

function commandItem(command: Command): HelpItem {
  const args = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return { term: [command.name(), ...args].join(' '), text: command.summary() || command.description() };
}

import type { Command, Option } from 'commander';
import { clean } from '../text.ts';
import type { Asker } from './asker.ts';
import { quoteFor, readBashWord, readPowerShellWord, type TypedWord } from './shell-words.ts';
import { pathOf } from './tree.ts';

export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** What a value is wanted for. */
export interface Question {
  /** `--context`, or the name of an argument: `context`. */
  readonly name: string;
  /** `kleis admin revoke` */
  readonly command: string;
  /** Flags that stand before it, the last of each. */
  readonly flags: ReadonlyMap<string, string>;
  /** What is typed of it. */
  readonly current: string;
}

/** What the program knows of values that no tree says; nothing where a file or free text belongs. */
export type Values = (question: Question) => Promise<readonly Candidate[]>;

/**
 * What may stand in the place of the last of `words` (all after the program's name): lines of `value TAB description`,
 * quoted for who asks. Nothing where a file name or free text belongs: the shell then offers files.
 */
export async function complete(
  program: Command,
  asker: Asker,
  raw: readonly string[],
  values: Values,
): Promise<string> {
  const words = raw.map((word) => readWord(asker, word));
  const { text: current, open } = words.at(-1) ?? { text: '', open: '' };
  const before = words.slice(0, -1).map(({ text }) => text);
  const found = await candidates(program, before, current, values);
  const lines = found.flatMap(({ value, description = '' }) => {
    // A name that a terminal would not show as it is cannot be typed either.
    if (!value.startsWith(current) || value === '' || clean(value, maxValue) !== value) return [];
    const quoted = quoteFor(asker, value, open);
    return quoted === undefined ? [] : [`${quoted}\t${clean(description, 120)}`];
  });
  // Cobra, `ShellCompDirective`: 4 is "no files", 0 its default, files.
  const closing = asker === 'kubectl' ? [`:${found.length === 0 ? 0 : 4}`] : [];
  return [...lines.slice(0, maxLines), ...closing].map((line) => `${line}\n`).join('');
}

const maxValue = 500;
const maxLines = 2_000;

function readWord(asker: Asker, word: string): TypedWord {
  if (asker === 'bash') return readBashWord(word);
  return asker === 'powershell' ? readPowerShellWord(word) : { text: word, open: '' };
}

async function candidates(
  program: Command,
  before: readonly string[],
  current: string,
  values: Values,
): Promise<readonly Candidate[]> {
  const { command, pending, given, flags } = walk(program, before);
  const ask = async (name: string, typed: string) =>
    values({ name, command: pathOf(command), flags, current: typed }).catch(() => []);
  if (pending !== undefined) return valuesOf(pending, current, ask);
  const [, name, typed = ''] = /^(--[\w-]+)=(.*)$/s.exec(current) ?? [];
  if (name !== undefined) {
    const option = command.options.find(({ long }) => long === name);
    if (option === undefined) return [];
    return (await valuesOf(option, typed, ask)).map((each) => ({ ...each, value: `${name}=${each.value}` }));
  }
  const help = command.createHelp();
  if (current.startsWith('-')) {
    return help
      .visibleOptions(command)
      .map(({ long, short, description }) => ({ value: long ?? short ?? '', description }));
  }
  if (command.name() === 'help') return childrenOf(given.reduce(childNamed, command.parent ?? undefined));
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[given.length] ?? (last?.variadic === true ? last : undefined);
  if (argument === undefined) return childrenOf(command);
  const choices = argument.argChoices?.map((value) => ({ value }));
  return (choices ?? (await ask(argument.name(), current))).filter(({ value }) => !given.includes(value));
}

function childNamed(command: Command | undefined, name: string): Command | undefined {
  return command?.commands.find((each) => each.name() === name);
}

function childrenOf(command: Command | undefined): Candidate[] {
  if (command === undefined) return [];
  const children = command.createHelp().visibleCommands(command);
  return children.map((child) => ({ value: child.name(), description: child.description() }));
}

/** The command that the words lead to, the option that still waits for its value, and what was given. */
function walk(program: Command, words: readonly string[]) {
  let command = program;
  let pending: Option | undefined;
  const given: string[] = [];
  const flags = new Map<string, string>();
  for (const word of words) {
    const [, name = word, value] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
    if (pending !== undefined) {
      flags.set(pending.long ?? '', word);
      pending = undefined;
    } else if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => long === name || short === name);
      if (value !== undefined) flags.set(name, value);
      else if (option?.required === true) pending = option;
      else flags.set(name, '');
    } else {
      const child = childNamed(command, word);
      if (child === undefined || command.name() === 'help') given.push(word);
      else command = child;
    }
  }
  return { command, pending, given, flags };
}

async function valuesOf(
  option: Option,
  current: string,
  ask: (name: string, current: string) => Promise<readonly Candidate[]>,
): Promise<readonly Candidate[]> {
  return option.argChoices?.map((value) => ({ value })) ?? ask(option.long ?? '', current);
}

import { type Command, CommanderError } from 'commander';
import { expect, it } from 'vitest';
import { createProgram as createBroker } from '../../broker/program.ts';
import type { Deps as BrokerDeps } from '../../broker/surroundings.ts';
import { createProgram as createKleis } from '../../cli/program.ts';
import { readFlags } from '../../cli/settings/gather.ts';
import type { SignInFlags } from '../../cli/settings/flags.ts';
import type { Deps } from '../../cli/surroundings/deps.ts';
import { KleisError } from '../../shared/errors.ts';
import { type CommandLine, commandLines } from './command-lines.ts';

// A reader copies a line and it runs: the program's own tree of commands judges every line of the pages.

const silent = { write: () => true } as unknown as NodeJS.WriteStream;
const surroundings = {
  stdout: silent,
  stderr: silent,
  env: {},
  report: { setLevel: () => undefined },
} as unknown as Deps & BrokerDeps;

const roots = {
  kleis: createKleis([], surroundings),
  'kleis-broker': createBroker([], surroundings, () => undefined),
};
let flags: SignInFlags = {};
for (const root of Object.values(roots)) stub(root);

/** Commands do nothing but keep what was typed. */
function stub(command: Command): void {
  command.configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
  if (command.commands.length === 0) command.action(() => void (flags = command.opts()));
  for (const child of command.commands) stub(child);
}

const leftOut = new Set([
  'commander.missingArgument',
  'commander.missingMandatoryOptionValue',
  'commander.optionMissingArgument',
]);

type Asked = Pick<CommandLine, 'program' | 'words'> & { readonly inline?: boolean };

/** Why the program would not take it; undefined: it would. */
function refusal({ program, words, inline = false }: Asked): string | undefined {
  try {
    flags = {};
    roots[program].parse(words, { from: 'user' });
    // A name in capitals stands for a value that the reader has.
    if (program === 'kleis') readFlags(Object.fromEntries(Object.entries(flags).filter(([, value]) => isWhole(value))));
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 || (inline && leftOut.has(error.code)) ? undefined : error.message;
    }
    if (error instanceof KleisError) return error.message;
    throw error;
  }
}

const isWhole = (value: unknown) =>
  ![value].flat().some((each) => typeof each !== 'string' || /^[A-Z-]+$|…|\$/.test(each));

it('every command line in the pages is one that the program takes', () => {
  const lines = commandLines();
  expect(lines.length).toBeGreaterThan(250);
  const named = new Set(['kubeconfig', 'admin', 'audit']);
  const refused = lines
    .filter(({ words }) => words.length > 1 || !(words[0] === undefined || named.has(words[0])))
    .flatMap((line) => {
      const why = refusal(line);
      return why === undefined ? [] : [`${line.page}:${line.line} ${line.program} ${line.words.join(' ')}: ${why}`];
    });
  expect(refused).toEqual([]);
});

it.each([
  [['kubeconfig', 'add', '--form', 'https://kleis.example.com'], "unknown option '--form'"],
  [['kubeconfig', 'ad'], 'unknown command'],
  [['token', '-o', 'yml'], 'Allowed choices'],
  [['token', '--identity', 'jenkins'], 'jenkins'],
  [['revoke', 'now'], 'too many arguments'],
])('%j is refused', (words, why) => {
  expect(refusal({ program: 'kleis', words })).toContain(why);
});

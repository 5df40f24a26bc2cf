import { Command, CommanderError } from 'commander';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPlainArguments } from '../../../cli/settings/arguments.ts';
import { addGetTokenFlags, verboseFlag } from '../../../cli/settings/flags.ts';
import { flagNames, settingOf } from '../../../cli/settings/table.ts';

/** What commander makes of them; undefined for what it refuses, and for help. */
function byCommander(args: readonly string[]) {
  const command = addGetTokenFlags(new Command('kleis-get-token'))
    .version('1')
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .addOption(verboseFlag);
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return undefined;
    throw error;
  }
  const { verbose = false, ...flags } = command.opts<{ verbose?: boolean }>();
  return { flags, isVerbose: verbose };
}

const spelt = flagNames.map((name) => ({ long: settingOf(name).flag?.split(' ')[0] ?? '', ...settingOf(name) }));
const odd = fc.constantFrom(
  '',
  '-',
  '--',
  '-v',
  '-vv',
  '--verbose',
  '--verbose=x',
  '-h',
  '--help',
  '-V',
  '--background',
);
const value = fc.oneof(
  odd,
  fc.constantFrom(...spelt.flatMap(({ choices = [] }) => choices), ...spelt.map(({ long }) => long)),
  fc.constantFrom('https://login.example.com', 'a=b', '=', '__proto__', '--__proto__=x', '--no-dpop', '--login-'),
  fc.string({ maxLength: 8 }),
);
const flag = fc.constantFrom(...spelt);
const right: fc.Arbitrary<string[]> = flag.chain(({ long, isSwitch, choices }): fc.Arbitrary<string[]> => {
  if (isSwitch === true) return fc.constant([long]);
  const taken = choices === undefined ? value : fc.constantFrom(...choices);
  return fc.oneof(
    taken.map((text) => [`${long}=${text}`]),
    taken.map((text) => [long, text]),
  );
});
const wrong: fc.Arbitrary<string[]> = fc.oneof(
  value.map((text) => [text]),
  fc.tuple(flag, value).map(([{ long }, text]) => [`${long}=${text}`]),
  fc.tuple(flag, value).map(([{ long }, text]) => [long, text]),
  flag.map(({ long }) => [long]),
  flag.map(({ long }) => [long.slice(0, -1)]),
);

describe('plain arguments', () => {
  it('are read as commander reads them, or not at all', () => {
    const lines = fc.array(fc.oneof({ weight: 3, arbitrary: right }, wrong), { maxLength: 6 });
    fc.assert(
      fc.property(lines, (words) => {
        const plain = readPlainArguments(words.flat());
        if (plain !== undefined) expect(plain).toEqual(byCommander(words.flat()));
      }),
      { numRuns: 3000 },
    );
  });

  it('are those of every kubeconfig entry', () => {
    fc.assert(
      fc.property(fc.array(right, { maxLength: 6 }), (words) => {
        expect(readPlainArguments(words.flat())).toEqual(byCommander(words.flat()));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    [['surplus']],
    [['--']],
    [['--login']],
    [['--login', 'magic']],
    [['--dpop=true']],
    [['--browser-command=x']],
    [['-vv']],
    [['--help']],
    [['--background']],
    [['constructor']],
    [['--issuer-ur=https://a.example']],
  ])('%j is left to commander', (args) => {
    expect(readPlainArguments(args)).toBeUndefined();
  });
});

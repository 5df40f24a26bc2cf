import { printCredential } from './commands/get-token.ts';
import { modeOf, readPlainArguments } from './settings/arguments.ts';
import type { Deps } from './surroundings/deps.ts';
import { outcomeOf } from './surroundings/outcome.ts';
import { createDeps, exit } from './surroundings/process.ts';

const deps = createDeps();
void exit(deps, runGetToken(process.argv.slice(2), deps));

/** `kleis-get-token ARGUMENTS`: one command and nothing else, so that allowing this program allows only that. */
async function runGetToken(argv: readonly string[], { report }: Deps): Promise<number> {
  const { mode, rest } = modeOf(argv);
  const plain = readPlainArguments(rest);
  if (plain === undefined) return (await import('./program.ts')).runGetToken(argv, deps);
  if (plain.isVerbose) report.setLevel('debug');
  return outcomeOf(() => printCredential({ flags: plain.flags, args: rest, mode }, deps), deps);
}
